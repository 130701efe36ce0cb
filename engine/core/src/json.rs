//! JSON (RFC 8259), byte for byte as msgspec writes it with `order="deterministic"`: maps by name.

use std::ops::Range;

use crate::fault::Fault;
use crate::instants;
use crate::msgpack::{Raw, Value};

/// A JSON text in the making. Whoever writes it keeps it well-formed.
#[derive(Clone, Debug, Default)]
pub struct Json(pub Vec<u8>);

impl Json {
    /// Create an empty one with room for so many bytes.
    pub fn with_room(size_bytes: usize) -> Json {
        Json(Vec::with_capacity(size_bytes))
    }

    /// The place of what was written from `start` on.
    pub fn since(&self, start: usize) -> Range<usize> {
        start..self.0.len()
    }

    /// What was written at a place, once more.
    pub fn again(&mut self, place: &Range<usize>) {
        self.0.extend_from_within(place.clone());
    }

    /// Bytes that are JSON already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Begin an object.
    pub fn open(&mut self) {
        self.0.push(b'{');
    }

    /// End an object.
    pub fn close(&mut self) {
        self.0.push(b'}');
    }

    /// The name of the next field of an object; one of ours, which needs no escapes.
    pub fn name(&mut self, name: &'static str) {
        self.comma(b'{');
        self.0.push(b'"');
        self.raw(name.as_bytes());
        self.raw(b"\":");
    }

    /// The name of the next entry of a map.
    pub fn key(&mut self, name: &str) {
        self.comma(b'{');
        self.text(name);
        self.0.push(b':');
    }

    /// A comma, unless this is the first after the opening bracket: no value ends with one.
    fn comma(&mut self, opening: u8) {
        if self.0.last() != Some(&opening) {
            self.0.push(b',');
        }
    }

    /// A list, each item written by `write`.
    pub fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Json, T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.0.push(b'[');
        for item in items {
            self.comma(b'[');
            write(self, item)?;
        }
        self.0.push(b']');
        Ok(())
    }

    /// Null.
    pub fn null(&mut self) {
        self.raw(b"null");
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        self.raw(itoa::Buffer::new().format(value).as_bytes());
    }

    /// An integer that may need all 64 bits.
    pub fn unsigned(&mut self, value: u64) {
        self.raw(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A float in its shortest form; null for one that is no number.
    pub fn float(&mut self, value: f64) {
        if value.is_finite() {
            self.raw(ryu::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.null();
        }
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.0.push(b'"');
        let bytes = text.as_bytes();
        let mut from = 0;
        let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        if !bytes.iter().fold(false, |found, &byte| found | is_escaped(byte)) {
            self.raw(bytes);
            self.0.push(b'"');
            return;
        }
        for (at, &byte) in bytes.iter().enumerate() {
            if is_escaped(byte) {
                self.raw(&bytes[from..at]);
                self.escaped(byte);
                from = at + 1;
            }
        }
        self.raw(&bytes[from..]);
        self.0.push(b'"');
    }

    fn escaped(&mut self, byte: u8) {
        match byte {
            b'"' => self.raw(b"\\\""),
            b'\\' => self.raw(b"\\\\"),
            b'\n' => self.raw(b"\\n"),
            b'\r' => self.raw(b"\\r"),
            b'\t' => self.raw(b"\\t"),
            0x08 => self.raw(b"\\b"),
            0x0c => self.raw(b"\\f"),
            _ => self.raw(format!("\\u{byte:04x}").as_bytes()),
        }
    }

    /// A text, or null.
    pub fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// An instant.
    ///
    /// # Errors
    /// It lies outside the years that RFC 3339 can write.
    pub fn instant(&mut self, at: i64) -> Result<(), Fault> {
        let written = instants::format(at)?;
        self.0.push(b'"');
        self.raw(&written);
        self.0.push(b'"');
        Ok(())
    }

    /// An instant; null for 0.
    ///
    /// # Errors
    /// See `instant`.
    pub fn instant_or_null(&mut self, at: i64) -> Result<(), Fault> {
        if at == 0 {
            self.null();
            return Ok(());
        }
        self.instant(at)
    }

    /// A month, the number of months since the year 0: `2018-01`.
    pub fn month(&mut self, months: i64) {
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        match u16::try_from(year) {
            Ok(year @ 0..=9_999) => {
                let mut text = *b"\"0000-00\"";
                instants::write_number(&mut text[1..5], year.into());
                instants::write_number(&mut text[6..8], month as u32);
                self.raw(&text);
            }
            _ => self.text(&format!("{year:04}-{month:02}")),
        }
    }

    /// A packed value, maps by name.
    ///
    /// # Errors
    /// It holds bytes, or a map whose names are no texts.
    pub fn packed(&mut self, value: Raw<'_>) -> Result<(), Fault> {
        match value.value() {
            Value::Nil => self.null(),
            Value::Bool(value) => self.bool(value),
            Value::Int(value) => self.int(value),
            Value::Big(value) => self.unsigned(value),
            Value::Float(value) => self.float(value),
            Value::Text(text) => self.text(text),
            Value::Bytes(_) => return Err(Fault::Kind("bytes")),
            Value::List(items) => self.list(items.iter(), Json::packed)?,
            Value::Map(map) => self.entries(map.texts().collect())?,
        }
        Ok(())
    }

    /// A packed value; null for None.
    ///
    /// # Errors
    /// See `packed`.
    pub fn packed_or_null(&mut self, value: Option<Raw<'_>>) -> Result<(), Fault> {
        match value {
            Some(value) => self.packed(value),
            None => {
                self.null();
                Ok(())
            }
        }
    }

    /// An object of packed values, by name.
    ///
    /// # Errors
    /// See `packed`.
    pub fn entries(&mut self, mut entries: Vec<(&str, Raw<'_>)>) -> Result<(), Fault> {
        entries.sort_unstable_by_key(|(name, _)| *name);
        self.open();
        for (name, value) in entries {
            self.key(name);
            self.packed(value)?;
        }
        self.close();
        Ok(())
    }

    /// The hash of an event as 16 hex digits.
    pub fn hash(&mut self, hash: u64) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0.push(b'"');
        let digits = (0..16).rev().map(|place| DIGITS[(hash >> (4 * place) & 15) as usize]);
        self.0.extend(digits);
        self.0.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::default();
        write(&mut json);
        String::from_utf8(json.0).expect("UTF-8")
    }

    #[test]
    fn floats_are_written_as_msgspec_writes_them() {
        let known = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e16"),
            (1e-5, "0.00001"),
            (1e-6, "1e-6"),
            (1.5e-7, "1.5e-7"),
            (123_456_789_012_345_680.0, "1.2345678901234568e17"),
            (f64::NAN, "null"),
        ];
        for (value, text) in known {
            assert_eq!(written(|json| json.float(value)), text);
        }
    }

    #[test]
    fn texts_are_escaped() {
        let text = "\"a\\\0\u{1f}\u{7f}\u{8}\u{c}\n\r\té/";
        let found = written(|json| json.text(text));
        assert_eq!(found, "\"\\\"a\\\\\\u0000\\u001f\u{7f}\\b\\f\\n\\r\\té/\"");
    }
}
