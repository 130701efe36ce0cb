//! Writing JSON (RFC 8259) as msgspec does with `order="deterministic"`: keys of maps are sorted.

use crate::fold::civil;
use crate::msgpack::{Reader, Unusual, Usual, Value};

const DAY_MS: i64 = 86_400_000;

pub struct Json(pub Vec<u8>);

impl Json {
    pub fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// `,"name":`, or with another first character.
    pub fn name(&mut self, name: &str, before: char) {
        self.0.push(before as u8);
        self.0.push(b'"');
        self.raw(name);
        self.raw("\":");
    }

    pub fn text(&mut self, text: &str) {
        self.0.push(b'"');
        let bytes = text.as_bytes();
        let mut from = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.0.extend_from_slice(&bytes[from..at]);
            from = at + 1;
            match byte {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                0x08 => self.raw("\\b"),
                0x0c => self.raw("\\f"),
                _ => self.raw(&format!("\\u{byte:04x}")),
            }
        }
        self.0.extend_from_slice(&bytes[from..]);
        self.0.push(b'"');
    }

    pub fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    pub fn int(&mut self, value: i64) {
        self.raw(&value.to_string());
    }

    fn digits(&mut self, value: i64, width: usize) {
        let mut rest = value;
        let from = self.0.len();
        self.0.resize(from + width, b'0');
        for place in (from..from + width).rev() {
            self.0[place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    pub fn instant(&mut self, instant: i64) {
        let (days, ms) = (instant.div_euclid(DAY_MS), instant.rem_euclid(DAY_MS));
        let (year, month, day) = civil(days);
        self.0.push(b'"');
        let parts = [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day, 2, b'T'),
            (ms / 3_600_000, 2, b':'),
            (ms / 60_000 % 60, 2, b':'),
            (ms / 1_000 % 60, 2, b'.'),
            (ms % 1_000, 3, b'Z'),
        ];
        for (value, width, after) in parts {
            self.digits(value, width);
            self.0.push(after);
        }
        self.0.push(b'"');
    }

    /// An instant, null for 0.
    pub fn instant_or_null(&mut self, instant: i64) {
        if instant == 0 {
            self.raw("null");
        } else {
            self.instant(instant);
        }
    }

    /// A period as it is counted, year * 12 + month - 1: `2017-10`.
    pub fn period(&mut self, period: i64) {
        self.0.push(b'"');
        self.digits(period / 12, 4);
        self.0.push(b'-');
        self.digits(period % 12 + 1, 2);
        self.0.push(b'"');
    }

    pub fn float(&mut self, value: f64) {
        self.raw(&format!("{value:?}"));
    }

    /// A list of things, each written by `write`.
    pub fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Json, T) -> Usual<()>,
    ) -> Usual<()> {
        self.0.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write(self, item)?;
        }
        self.0.push(b']');
        Ok(())
    }

    /// A map whose keys are sorted here.
    pub fn map<T>(
        &mut self,
        mut items: Vec<(&str, T)>,
        mut write: impl FnMut(&mut Json, T) -> Usual<()>,
    ) -> Usual<()> {
        items.sort_by(|one, other| one.0.cmp(other.0));
        self.0.push(b'{');
        for (index, (name, item)) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.text(name);
            self.0.push(b':');
            write(self, item)?;
        }
        self.0.push(b'}');
        Ok(())
    }

    /// Packed scalars, and lists of them, as they are.
    pub fn packed(&mut self, from: &mut Reader) -> Usual<()> {
        match from.value()? {
            Value::Nil => self.raw("null"),
            Value::Bool(value) => self.raw(if value { "true" } else { "false" }),
            Value::Int(value) => self.int(value),
            Value::Float(value) if value.is_finite() => self.float(value),
            Value::Text(text) => self.text(text),
            Value::Array(count) => self.list(0..count, |json, _| json.packed(from))?,
            _ => return Err(Unusual),
        }
        Ok(())
    }
}

/// The keys of a packed map with the bytes of their values.
pub fn items<'a>(from: &mut Reader<'a>) -> Usual<Vec<(&'a str, &'a [u8])>> {
    (0..from.map()?)
        .map(|_| Ok((from.str()?, from.raw()?)))
        .collect()
}
