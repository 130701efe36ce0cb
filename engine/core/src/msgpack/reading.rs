//! Reading: a cursor over bytes that may be damaged.

use super::value::{List, Map, Raw, Value};
use crate::fault::Fault;

/// Deepest nesting that is read; stored values have 5 levels at most.
const DEEPEST: usize = 64;
/// Most values that room is made for before they are read: the bytes may be damaged.
const MOST_FORESEEN: usize = 16;

/// Cursor over msgpack bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
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

    /// Fault of a value at the cursor that has the wrong form.
    pub fn damaged(&self) -> Fault {
        Fault::Damaged { at: self.at, length: self.data.len() }
    }

    fn back(&mut self) -> Fault {
        self.at -= 1;
        self.damaged()
    }

    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(length).ok_or_else(|| self.damaged())?;
        let found = self.data.get(self.at..end).ok_or_else(|| self.damaged())?;
        self.at = end;
        Ok(found)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.data.get(self.at).ok_or_else(|| self.damaged())?;
        self.at += 1;
        Ok(byte)
    }

    /// The next `LENGTH` bytes, as a copy.
    fn copy<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let rest = self.data.get(self.at..).and_then(|rest| rest.first_chunk());
        let found = *rest.ok_or_else(|| self.damaged())?;
        self.at += LENGTH;
        Ok(found)
    }

    /// A big-endian number of 1, 2, 4 or 8 bytes.
    fn unsigned(&mut self, length: usize) -> Result<u64, Fault> {
        Ok(match length {
            1 => u64::from(self.byte()?),
            2 => u64::from(u16::from_be_bytes(self.copy()?)),
            4 => u64::from(u32::from_be_bytes(self.copy()?)),
            _ => u64::from_be_bytes(self.copy()?),
        })
    }

    /// A length of `length` bytes.
    fn length(&mut self, length: usize) -> Result<usize, Fault> {
        let found = self.unsigned(length)?;
        usize::try_from(found).map_err(|_| self.damaged())
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
        std::str::from_utf8(bytes).map_err(|_| self.damaged())
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
                0x00..=0x7F | 0xC0 | 0xC2 | 0xC3 | 0xE0..=0xFF => continue,
                0xA0..=0xBF => {
                    self.text_of(usize::from(marker & 0x1F))?;
                    continue;
                }
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

    /// The next value as `take` has it; a fault at its place where that is None.
    fn expected<T>(&mut self, take: impl FnOnce(Value<'a>) -> Option<T>) -> Result<T, Fault> {
        let start = self.at;
        let found = take(self.value()?);
        found.ok_or(Fault::Damaged { at: start, length: self.data.len() })
    }

    /// The next value, a number of the type that is expected.
    pub fn int<T: TryFrom<i64>>(&mut self) -> Result<T, Fault> {
        let start = self.at;
        let number = match self.byte()? {
            marker @ 0x00..=0x7F => Some(i64::from(marker)),
            marker @ 0xCC..=0xCF => i64::try_from(self.unsigned(1 << (marker - 0xCC))?).ok(),
            marker @ 0xD0..=0xD3 => Some(self.signed(1 << (marker - 0xD0))?),
            marker @ 0xE0..=0xFF => Some(i64::from(marker as i8)),
            _ => None,
        };
        let found = number.and_then(|number| T::try_from(number).ok());
        found.ok_or(Fault::Damaged { at: start, length: self.data.len() })
    }

    /// The next value, a 64-bit number without sign.
    pub fn hash(&mut self) -> Result<u64, Fault> {
        self.expected(Value::hash)
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
        let length = match self.byte()? {
            marker @ 0xA0..=0xBF => usize::from(marker & 0x1F),
            marker @ 0xD9..=0xDB => self.length(1 << (marker - 0xD9))?,
            _ => return Err(Fault::Damaged { at: start, length: self.data.len() }),
        };
        self.text_of(length)
    }

    /// The next value, a text, as one of its own.
    pub fn string(&mut self) -> Result<String, Fault> {
        Ok(self.text()?.to_owned())
    }

    /// The next value, bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        self.expected(|value| match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// Read over a nil, if that is next; whether it was.
    pub fn nil(&mut self) -> bool {
        let is_nil = self.data.get(self.at) == Some(&0xC0);
        self.at += usize::from(is_nil);
        is_nil
    }

    /// The next value as `read` has it, None for nil.
    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        if self.nil() { Ok(None) } else { read(self).map(Some) }
    }

    /// The next value, an array whose values are as `read` has them.
    pub fn all<T>(
        &mut self,
        read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut found = Vec::new();
        self.all_into(&mut found, read)?;
        Ok(found)
    }

    /// Put the values of the next value, an array, in the place of those that `held` has.
    pub fn all_into<T>(
        &mut self,
        held: &mut Vec<T>,
        mut read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<(), Fault> {
        let count = self.list()?;
        self.times_into(count, held, &mut read)
    }

    /// Put the pairs of the next value, a map, in the place of those that `held` has.
    pub fn pairs_into<T>(
        &mut self,
        held: &mut Vec<T>,
        mut read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<(), Fault> {
        let count = self.map()?;
        self.times_into(count, held, &mut read)
    }

    fn times_into<T>(
        &mut self,
        count: usize,
        held: &mut Vec<T>,
        read: &mut impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<(), Fault> {
        held.clear();
        held.reserve(count.min(MOST_FORESEEN));
        for _ in 0..count {
            held.push(read(self)?);
        }
        Ok(())
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
}
