//! msgpack (https://msgpack.org), the format of stored orders, facts and snapshots.
//!
//! Written by hand: numbers take their shortest form as msgspec's encoder writes them, values that
//! nothing reads are copied as they are, and a damaged byte is a `Fault` with its place. `rmp` does
//! the first of these only.

use crate::fault::Fault;

/// Deepest nesting that is read; stored values have 5 levels at most.
const DEEPEST: usize = 64;

/// Cursor over msgpack bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

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

/// One msgpack value as bytes. It was read once, so that its structure is known to be sound.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(&'a [u8]);

/// Elements of an array.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    count: usize,
    data: &'a [u8],
}

/// Pairs of a map, in the order in which they were written.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    count: usize,
    data: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Create a cursor at the start of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Reader { data, at: 0 }
    }

    /// Whether all bytes have been read.
    pub fn is_done(&self) -> bool {
        self.at == self.data.len()
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    fn fault(&self) -> Fault {
        Fault::Damaged { at: self.at, length: self.data.len() }
    }

    fn back(&mut self) -> Fault {
        self.at -= 1;
        self.fault()
    }

    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(length).ok_or_else(|| self.fault())?;
        let found = self.data.get(self.at..end).ok_or_else(|| self.fault())?;
        self.at = end;
        Ok(found)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.data.get(self.at).ok_or_else(|| self.fault())?;
        self.at += 1;
        Ok(byte)
    }

    /// A big-endian number of `length` bytes.
    fn unsigned(&mut self, length: usize) -> Result<u64, Fault> {
        Ok(self.take(length)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A length of `length` bytes.
    fn length(&mut self, length: usize) -> Result<usize, Fault> {
        let found = self.unsigned(length)?;
        usize::try_from(found).map_err(|_| self.fault())
    }

    /// A signed big-endian number of `length` bytes.
    fn signed(&mut self, length: usize) -> Result<i64, Fault> {
        let unused = 64 - 8 * length as u32;
        Ok((self.unsigned(length)? << unused) as i64 >> unused)
    }

    /// The next value, one level deep.
    pub fn value(&mut self) -> Result<Value<'a>, Fault> {
        let marker = self.byte()?;
        Ok(match marker {
            0x00..=0x7F => Value::Int(i64::from(marker)),
            0xE0..=0xFF => Value::Int(i64::from(marker as i8)),
            0x80..=0x8F => Value::Map(self.map_of(usize::from(marker & 0x0F))?),
            0x90..=0x9F => Value::List(self.list_of(usize::from(marker & 0x0F))?),
            0xA0..=0xBF => Value::Text(self.text_of(usize::from(marker & 0x1F))?),
            0xC0 => Value::Nil,
            0xC2 => Value::Bool(false),
            0xC3 => Value::Bool(true),
            0xC4..=0xC6 => {
                let length = self.length(1 << (marker - 0xC4))?;
                Value::Bytes(self.take(length)?)
            }
            0xCA => Value::Float(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xCB => Value::Float(f64::from_bits(self.unsigned(8)?)),
            0xCC..=0xCF => {
                let number = self.unsigned(1 << (marker - 0xCC))?;
                i64::try_from(number).map_or(Value::Big(number), Value::Int)
            }
            0xD0..=0xD3 => Value::Int(self.signed(1 << (marker - 0xD0))?),
            0xD9..=0xDB => {
                let length = self.length(1 << (marker - 0xD9))?;
                Value::Text(self.text_of(length)?)
            }
            0xDC | 0xDD => {
                let count = self.length(2 << (marker - 0xDC))?;
                Value::List(self.list_of(count)?)
            }
            0xDE | 0xDF => {
                let count = self.length(2 << (marker - 0xDE))?;
                Value::Map(self.map_of(count)?)
            }
            _ => return Err(self.back()), // extensions, and the byte that nothing begins with
        })
    }

    fn text_of(&mut self, length: usize) -> Result<&'a str, Fault> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.fault())
    }

    fn list_of(&mut self, count: usize) -> Result<List<'a>, Fault> {
        let start = self.at;
        self.skip(count, DEEPEST)?;
        Ok(List { count, data: &self.data[start..self.at] })
    }

    fn map_of(&mut self, count: usize) -> Result<Map<'a>, Fault> {
        let start = self.at;
        self.skip(count.saturating_mul(2), DEEPEST)?;
        Ok(Map { count, data: &self.data[start..self.at] })
    }

    /// Read over `count` values.
    fn skip(&mut self, count: usize, depth: usize) -> Result<(), Fault> {
        for _ in 0..count {
            let marker = self.byte()?;
            let inner = match marker {
                0x80..=0x8F => 2 * usize::from(marker & 0x0F),
                0x90..=0x9F => usize::from(marker & 0x0F),
                0xDC | 0xDD => self.length(2 << (marker - 0xDC))?,
                0xDE | 0xDF => self.length(2 << (marker - 0xDE))?.saturating_mul(2),
                _ => {
                    self.at -= 1;
                    self.value()?;
                    continue;
                }
            };
            if depth == 0 {
                return Err(self.back());
            }
            self.skip(inner, depth - 1)?;
        }
        Ok(())
    }

    /// The next value as it is, its structure checked.
    pub fn raw(&mut self) -> Result<Raw<'a>, Fault> {
        let start = self.at;
        self.skip(1, DEEPEST)?;
        Ok(Raw(&self.data[start..self.at]))
    }

    /// The next value, a number of the type that is expected.
    pub fn int<T: TryFrom<i64>>(&mut self) -> Result<T, Fault> {
        let start = self.at;
        let found = match self.value()? {
            Value::Int(number) => T::try_from(number).ok(),
            _ => None,
        };
        found.ok_or(Fault::Damaged { at: start, length: self.data.len() })
    }

    /// The next value, a 64-bit number without sign.
    pub fn hash(&mut self) -> Result<u64, Fault> {
        let start = self.at;
        match self.value()? {
            Value::Int(number) if number >= 0 => Ok(number as u64),
            Value::Big(number) => Ok(number),
            _ => Err(Fault::Damaged { at: start, length: self.data.len() }),
        }
    }

    /// The next value, a truth value.
    pub fn bool(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0xC2 => Ok(false),
            0xC3 => Ok(true),
            _ => Err(self.back()),
        }
    }

    /// The next value, a text.
    pub fn text(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        match self.value()? {
            Value::Text(text) => Ok(text),
            _ => Err(Fault::Damaged { at: start, length: self.data.len() }),
        }
    }

    /// The next value, bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        match self.value()? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Fault::Damaged { at: start, length: self.data.len() }),
        }
    }

    /// Read over a nil, if that is next; whether it was.
    pub fn nil(&mut self) -> bool {
        let is_nil = self.data.get(self.at) == Some(&0xC0);
        self.at += usize::from(is_nil);
        is_nil
    }

    /// Read over the head of an array; how many values follow.
    pub fn list(&mut self) -> Result<usize, Fault> {
        match self.byte()? {
            marker @ 0x90..=0x9F => Ok(usize::from(marker & 0x0F)),
            marker @ (0xDC | 0xDD) => self.length(2 << (marker - 0xDC)),
            _ => Err(self.back()),
        }
    }

    /// Read over the head of an array of `count` values.
    pub fn list_with(&mut self, count: usize) -> Result<(), Fault> {
        let start = self.at;
        if self.list()? == count {
            return Ok(());
        }
        Err(Fault::Damaged { at: start, length: self.data.len() })
    }

    /// Read over the head of a map; how many pairs follow.
    pub fn map(&mut self) -> Result<usize, Fault> {
        match self.byte()? {
            marker @ 0x80..=0x8F => Ok(usize::from(marker & 0x0F)),
            marker @ (0xDE | 0xDF) => self.length(2 << (marker - 0xDE)),
            _ => Err(self.back()),
        }
    }

    /// Fault of a value at the cursor that has the wrong form.
    pub fn damaged(&self) -> Fault {
        self.fault()
    }
}

impl<'a> Raw<'a> {
    /// The value that `data` holds alone.
    pub fn of(data: &'a [u8]) -> Result<Self, Fault> {
        let mut from = Reader::new(data);
        let found = from.raw()?;
        if from.is_done() { Ok(found) } else { Err(from.fault()) }
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
        match self.value() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number; None of any other value and beyond `i64::MAX`.
    pub fn int(self) -> Option<i64> {
        match self.value() {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The 64-bit number without sign; None of any other value.
    pub fn hash(self) -> Option<u64> {
        match self.value() {
            Value::Int(number) => u64::try_from(number).ok(),
            Value::Big(number) => Some(number),
            _ => None,
        }
    }

    /// The elements of an array; none of any other value.
    pub fn list(self) -> List<'a> {
        match self.value() {
            Value::List(list) => list,
            _ => List { count: 0, data: &[] },
        }
    }

    /// The pairs of a map; none of any other value.
    pub fn map(self) -> Map<'a> {
        match self.value() {
            Value::Map(map) => map,
            _ => Map { count: 0, data: &[] },
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
        self.texts().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn is_equal(self, other: Map<'_>) -> bool {
        self.count == other.count
            && self.iter().all(|(key, value)| {
                other.iter().any(|(their, other)| key.is_equal(their) && value.is_equal(other))
            })
    }
}

/// A number that compares as Python's do: whole numbers and binary64 by their exact value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number of up to 64 bits, signed or not.
    Int(i128),
    /// A binary64.
    Float(f64),
}

/// The number that a value is, a truth value among them; None of any other.
pub fn number_of(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Bool(is_true) => Some(Number::Int(i128::from(is_true))),
        Value::Int(number) => Some(Number::Int(i128::from(number))),
        Value::Big(number) => Some(Number::Int(i128::from(number))),
        Value::Float(number) => Some(Number::Float(number)),
        _ => None,
    }
}

impl Number {
    /// Order of two numbers; None beside a NaN.
    pub fn compare(self, other: Number) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Number::Int(one), Number::Int(two)) => Some(one.cmp(&two)),
            (Number::Float(one), Number::Float(two)) => one.partial_cmp(&two),
            (Number::Int(one), Number::Float(two)) => compare_exactly(one, two),
            (Number::Float(one), Number::Int(two)) => {
                compare_exactly(two, one).map(std::cmp::Ordering::reverse)
            }
        }
    }
}

/// Order of a whole number and a binary64, by their exact values.
fn compare_exactly(whole: i128, float: f64) -> Option<std::cmp::Ordering> {
    if float.is_nan() {
        return None;
    }
    // A cast saturates, and a whole number has 65 bits at most.
    let floor = float.floor() as i128;
    let rest =
        if float > float.floor() { std::cmp::Ordering::Less } else { std::cmp::Ordering::Equal };
    Some(whole.cmp(&floor).then(rest))
}

/// Append a whole number in its shortest form.
pub fn write_int(out: &mut Vec<u8>, number: impl Into<i64>) {
    let number = number.into();
    if number >= 0 {
        return write_hash(out, number as u64);
    }
    match number {
        -32.. => out.push(number as u8),
        -0x80.. => out.extend_from_slice(&[0xD0, number as u8]),
        -0x8000.. => head(out, 0xD1, &(number as i16).to_be_bytes()),
        -0x8000_0000.. => head(out, 0xD2, &(number as i32).to_be_bytes()),
        _ => head(out, 0xD3, &number.to_be_bytes()),
    }
}

/// Append a 64-bit number without sign in its shortest form.
pub fn write_hash(out: &mut Vec<u8>, number: u64) {
    match number {
        0..=0x7F => out.push(number as u8),
        0x80..=0xFF => out.extend_from_slice(&[0xCC, number as u8]),
        0x100..=0xFFFF => head(out, 0xCD, &(number as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => head(out, 0xCE, &(number as u32).to_be_bytes()),
        _ => head(out, 0xCF, &number.to_be_bytes()),
    }
}

/// Append a nil.
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xC0);
}

/// Append a truth value.
pub fn write_bool(out: &mut Vec<u8>, is_true: bool) {
    out.push(0xC2 + u8::from(is_true));
}

/// Append a binary64.
pub fn write_float(out: &mut Vec<u8>, number: f64) {
    head(out, 0xCB, &number.to_bits().to_be_bytes());
}

/// Append a text.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..=0x1F => out.push(0xA0 | length as u8),
        length @ 0x20..=0xFF => out.extend_from_slice(&[0xD9, length as u8]),
        length @ 0x100..=0xFFFF => head(out, 0xDA, &(length as u16).to_be_bytes()),
        length => head(out, 0xDB, &(length as u32).to_be_bytes()),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Append bytes.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_bytes_head(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Append the head of `length` bytes.
pub fn write_bytes_head(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=0xFF => out.extend_from_slice(&[0xC4, length as u8]),
        0x100..=0xFFFF => head(out, 0xC5, &(length as u16).to_be_bytes()),
        _ => head(out, 0xC6, &(length as u32).to_be_bytes()),
    }
}

/// Append the head of an array of `count` values.
pub fn write_list(out: &mut Vec<u8>, count: usize) {
    match count {
        0..=0x0F => out.push(0x90 | count as u8),
        0x10..=0xFFFF => head(out, 0xDC, &(count as u16).to_be_bytes()),
        _ => head(out, 0xDD, &(count as u32).to_be_bytes()),
    }
}

/// Append the head of a map of `count` pairs.
pub fn write_map(out: &mut Vec<u8>, count: usize) {
    match count {
        0..=0x0F => out.push(0x80 | count as u8),
        0x10..=0xFFFF => head(out, 0xDE, &(count as u16).to_be_bytes()),
        _ => head(out, 0xDF, &(count as u32).to_be_bytes()),
    }
}

fn head(out: &mut Vec<u8>, marker: u8, bytes: &[u8]) {
    out.push(marker);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn numbers_take_their_shortest_form_and_come_back() {
        let bounds = [0x7F, 0xFF, 0xFFFF, 0xFFFF_FFFF, i64::MAX];
        let lengths = [1, 2, 3, 5, 9];
        for (bound, length) in bounds.into_iter().zip(lengths) {
            for number in [bound, -bound / 2 - 1, bound.wrapping_add(1), -bound] {
                let bytes = written(|out| write_int(out, number));
                assert_eq!(Reader::new(&bytes).int(), Ok(number));
            }
            assert_eq!(written(|out| write_int(out, bound)).len(), length);
        }
        assert_eq!(written(|out| write_int(out, -32)), [0xE0]);
        assert_eq!(written(|out| write_int(out, -33)), [0xD0, 0xDF]);
        let most = written(|out| write_hash(out, u64::MAX));
        assert_eq!(Reader::new(&most).hash(), Ok(u64::MAX));
        assert!(Reader::new(&most).int::<i64>().is_err());
    }

    #[test]
    fn texts_and_lists_of_any_length_come_back() {
        for length in [0, 31, 32, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(length);
            let bytes = written(|out| write_text(out, &text));
            assert_eq!(Reader::new(&bytes).text(), Ok(&*text));
            let bytes = written(|out| write_bytes(out, text.as_bytes()));
            assert_eq!(Reader::new(&bytes).bytes(), Ok(text.as_bytes()));
            let list = written(|out| {
                write_list(out, length);
                (0..length).for_each(|_| write_nil(out));
            });
            assert_eq!(Raw::of(&list).map(|list| list.list().iter().count()), Ok(length));
        }
    }

    fn map(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        written(|out| {
            write_map(out, pairs.len());
            for (name, value) in pairs {
                write_text(out, name);
                out.extend_from_slice(value);
            }
        })
    }

    #[test]
    fn values_are_equal_as_python_defines_it() {
        let float = |number| written(|out| write_float(out, number));
        let (one, two) = (map(&[("a", &[1]), ("b", &[0xC3])]), map(&[("b", &[1]), ("a", &[0xC3])]));
        let equal = |one: &[u8], two: &[u8]| {
            Raw::of(one).expect("it is sound").is_equal(Raw::of(two).expect("it is sound"))
        };
        assert!(equal(&one, &two));
        assert!(equal(&float(2.0), &[2]) && !equal(&float(2.5), &[2]) && equal(&[0xC2], &[0]));
        assert!(!equal(&float(f64::NAN), &float(f64::NAN)) && !equal(&[0xC0], &[0]));
        assert!(!equal(&one, &map(&[("a", &[1])])));
        let big = written(|out| write_hash(out, (1 << 53) + 1));
        assert!(!equal(&big, &float(9_007_199_254_740_992.0)));
        let sorted = written(|out| Raw::of(&two).expect("it is sound").write_sorted(out));
        assert_eq!(sorted, map(&[("a", &[0xC3]), ("b", &[1])]));
    }

    #[test]
    fn what_is_no_value_is_a_fault_at_its_place() {
        assert_eq!(Raw::of(&[0xC1]).err(), Some(Fault::Damaged { at: 0, length: 1 }));
        assert!(Raw::of(&[0x92, 0x01]).is_err() && Raw::of(&[0x01, 0x01]).is_err());
        assert!(Raw::of(&[0x91; 100]).is_err());
        assert!(Raw::of(&[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(Raw::of(&[0xA1, 0xFF]).is_err());
    }
}
