//! Values that lie in msgpack bytes, decoded when they are read.

use super::number::number_of;
use super::reading::Reader;
use super::writing::{write_list, write_map};
use crate::fault::Fault;

/// One value, decoded one level deep.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Nothing (None).
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number up to `i64::MAX`.
    Int(i64),
    /// A whole number beyond `i64::MAX`.
    Big(u64),
    /// A binary64.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An array.
    List(List<'a>),
    /// A map.
    Map(Map<'a>),
}

impl<'a> Value<'a> {
    /// The text; None of any other value.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number; None of any other value and beyond `i64::MAX`.
    pub fn int(self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The 64-bit number without sign; None of any other value.
    pub fn hash(self) -> Option<u64> {
        match self {
            Value::Int(number) => u64::try_from(number).ok(),
            Value::Big(number) => Some(number),
            _ => None,
        }
    }
}

/// One msgpack value as bytes. It was read once, so that its structure is known to be sound.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(pub(super) &'a [u8]);

/// Elements of an array.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    pub(super) count: usize,
    pub(super) data: &'a [u8],
}

/// Pairs of a map, in the order in which they were written.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    pub(super) count: usize,
    pub(super) data: &'a [u8],
}

impl<'a> Raw<'a> {
    /// The value that `data` holds alone.
    pub fn of(data: &'a [u8]) -> Result<Self, Fault> {
        let mut from = Reader::new(data);
        let found = from.raw()?;
        if from.is_done() { Ok(found) } else { Err(from.damaged()) }
    }

    /// The value that `data` is known to hold alone, as it was read or written before.
    pub(crate) fn known(data: &'a [u8]) -> Self {
        Raw(data)
    }

    /// The bytes of the value.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The value, one level deep.
    pub fn value(self) -> Value<'a> {
        Reader::new(self.0).value().expect("a raw value was read once")
    }

    /// The text; None of any other value.
    pub fn text(self) -> Option<&'a str> {
        Reader::new(self.0).text().ok()
    }

    /// The whole number; None of any other value and beyond `i64::MAX`.
    pub fn int(self) -> Option<i64> {
        self.value().int()
    }

    /// The 64-bit number without sign; None of any other value.
    pub fn hash(self) -> Option<u64> {
        self.value().hash()
    }

    /// The elements of an array; none of any other value.
    pub fn list(self) -> List<'a> {
        let mut from = Reader::new(self.0);
        match from.list() {
            Ok(count) => List { count, data: &self.0[from.at()..] },
            Err(_) => List { count: 0, data: &[] },
        }
    }

    /// The pairs of a map; none of any other value.
    pub fn map(self) -> Map<'a> {
        let mut from = Reader::new(self.0);
        match from.map() {
            Ok(count) => Map { count, data: &self.0[from.at()..] },
            Err(_) => Map { count: 0, data: &[] },
        }
    }

    /// Equality as Python defines it: 1, 1.0 and true are equal, maps have no order.
    pub fn is_equal(self, other: Raw<'_>) -> bool {
        if self.0 == other.0 && !matches!(self.value(), Value::Float(number) if number.is_nan()) {
            return true;
        }
        match (self.value(), other.value()) {
            (Value::Text(one), Value::Text(two)) => one == two,
            (Value::Bytes(one), Value::Bytes(two)) => one == two,
            (Value::List(one), Value::List(two)) => {
                one.len() == two.len() && one.iter().zip(two.iter()).all(|(a, b)| a.is_equal(b))
            }
            (Value::Map(one), Value::Map(two)) => one.is_equal(two),
            (one, two) => match (number_of(one), number_of(two)) {
                (Some(one), Some(two)) => one.compare(two) == Some(std::cmp::Ordering::Equal),
                _ => false,
            },
        }
    }

    /// Append the value with the keys of all its maps sorted by their bytes.
    pub fn write_sorted(self, out: &mut Vec<u8>) {
        match self.value() {
            Value::List(list) => {
                write_list(out, list.len());
                list.iter().for_each(|each| each.write_sorted(out));
            }
            Value::Map(map) => {
                let mut pairs: Vec<_> = map.iter().collect();
                pairs.sort_by_key(|(key, _)| key.text().unwrap_or_default().as_bytes());
                write_map(out, pairs.len());
                for (key, value) in pairs {
                    out.extend_from_slice(key.bytes());
                    value.write_sorted(out);
                }
            }
            _ => out.extend_from_slice(self.0),
        }
    }
}

impl<'a> List<'a> {
    /// How many elements there are.
    pub fn len(self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The elements.
    pub fn iter(self) -> impl Iterator<Item = Raw<'a>> {
        let mut from = Reader::new(self.data);
        (0..self.count).map(move |_| from.raw().expect("a raw value was read once"))
    }
}

impl<'a> Map<'a> {
    /// How many pairs there are.
    pub fn len(self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The pairs of key and value, as written.
    pub fn iter(self) -> impl Iterator<Item = (Raw<'a>, Raw<'a>)> {
        let mut from = Reader::new(self.data);
        (0..self.count).map(move |_| {
            let mut next = || from.raw().expect("a raw value was read once");
            (next(), next())
        })
    }

    /// The pairs whose key is a text, with that.
    pub fn texts(self) -> impl Iterator<Item = (&'a str, Raw<'a>)> {
        self.iter().filter_map(|(key, value)| Some((key.text()?, value)))
    }

    /// The value of a key that is a text.
    pub fn get(self, name: &str) -> Option<Raw<'a>> {
        let mut pairs = self.iter();
        pairs.find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }

    fn is_equal(self, other: Map<'_>) -> bool {
        self.count == other.count
            && self.iter().all(|(key, value)| {
                other.iter().any(|(their, other)| key.is_equal(their) && value.is_equal(other))
            })
    }
}
