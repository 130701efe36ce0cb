//! Content of a message: what it says, as one hash that breaks ties between its rivals.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Serializer, Value};

use crate::fault::Fault;
use crate::keys::short_hash;

const DROPPED: &str = "dropped_fields";

/// Hash of what a message says: blake2b of its compact JSON, keys sorted.
///
/// Without `recorded_at`, and without `personal`: sealed under another store's keys, the same message
/// would have other bytes, and another rival might win. `dropped_fields` sorted, as they are named in
/// the order in which the message has them.
pub fn content_hash(raw: &[u8]) -> Result<u64, Fault> {
    let unreadable = |_| Fault::Kind("the event");
    let mut said: Value = serde_json::from_slice(raw).map_err(unreadable)?;
    if let Some(said) = said.as_object_mut() {
        said.remove("recorded_at");
        said.remove("personal");
        if let Some(Value::Array(dropped)) = said.get_mut(DROPPED) {
            dropped.sort_by(|one, two| one.as_str().cmp(&two.as_str()));
        }
    }
    let mut text = Vec::with_capacity(raw.len());
    said.serialize(&mut Serializer::with_formatter(&mut text, PythonsFloats))
        .map_err(unreadable)?;
    Ok(short_hash(&text))
}

/// Compact JSON with floats as Python writes them.
struct PythonsFloats;

impl Formatter for PythonsFloats {
    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(repr(value).as_bytes())
    }
}

/// A float as Python's `repr` writes it: with an exponent below 1e-4 and from 1e16 on.
fn repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("it has an exponent");
    let exponent: i32 = exponent.parse().expect("it is a number");
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        let written = [1.0, -0.5, 1e15, 1e16, 1.5e-5, 1e-4, 123456789.123, 1e300].map(repr);
        let pythons = ["1.0", "-0.5", "1000000000000000.0", "1e+16", "1.5e-05", "0.0001"];
        assert_eq!(written[..6], pythons);
        assert_eq!(written[6..], ["123456789.123", "1e+300"]);
    }

    #[test]
    fn a_hash_leaves_out_what_differs_between_copies() {
        let one =
            br#"{"b": [1, 2.50], "recorded_at": "x", "a": "\u00e9", "dropped_fields": ["z", "c"]}"#;
        let two = "{\"a\":\"é\",\"dropped_fields\":[\"c\",\"z\"],\"personal\":{},\"b\":[1,2.5]}";
        assert_eq!(content_hash(one), content_hash(two.as_bytes()));
        assert_eq!(content_hash(one), Ok(PYTHONS));
        assert!(content_hash(b"{").is_err());
    }

    const PYTHONS: u64 = 14_862_020_257_127_468_056;
}
