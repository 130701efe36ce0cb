//! Extras of an entry: the fields that it carries, as msgpack.

use crate::fault::Fault;
use crate::msgpack::{Map, Raw, Reader, write_map, write_text};

/// Hash of the event that the entry corrects.
pub const CORRECTED_HASH: &str = "corrects";
/// [kind, normal form] of the number by which it came, where that isn't its waybill.
pub const CAME_BY: &str = "via";
/// Time as sent, where that is none.
pub const SENT_AT: &str = "sent_at";
/// Hash of its fields, of which some were lost.
pub const LOST: &str = "lost";
/// What extras hold besides order-level fields: all of these.
pub const NO_FIELDS: [&str; 4] = [CORRECTED_HASH, CAME_BY, SENT_AT, LOST];

/// The extras of an entry: order-level fields, and what is unusual of it (`extras`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extras {
    /// The entry.
    pub entry: i32,
    /// The fields.
    pub fields: Fields,
}

/// Fields by name: a msgpack map whose keys are texts, in the order in which they were given. What
/// nothing reads is never decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Vec<u8>);

impl Default for Fields {
    fn default() -> Self {
        Fields(vec![0x80])
    }
}

impl Fields {
    /// Read the next value, a map.
    pub fn read(from: &mut Reader<'_>) -> Result<Fields, Fault> {
        let value = from.raw()?;
        match value.bytes()[0] {
            0x80..=0x8F | 0xDE | 0xDF => Ok(Fields(value.bytes().to_vec())),
            _ => Err(from.damaged()),
        }
    }

    /// The fields of `count` packed pairs, each of a text and a value.
    pub fn of(count: usize, pairs: &[u8]) -> Fields {
        let mut out = Vec::with_capacity(pairs.len() + 5);
        write_map(&mut out, count);
        out.extend_from_slice(pairs);
        Fields(out)
    }

    /// The map as msgpack.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The pairs.
    pub fn map(&self) -> Map<'_> {
        self.raw().map()
    }

    /// The map as a value.
    pub fn raw(&self) -> Raw<'_> {
        Raw::known(&self.0)
    }

    /// The pairs of name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'_>)> {
        self.map().texts()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<Raw<'_>> {
        self.map().get(name)
    }

    /// Whether a name has a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.map().is_empty()
    }

    /// Add a name that is missing, with the value that `write` appends.
    pub fn add(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let (count, head) = (self.map().len(), self.head_bytes());
        let mut out = Vec::with_capacity(self.0.len() + name.len() + 12);
        write_map(&mut out, count + 1);
        out.extend_from_slice(&self.0[head..]);
        write_text(&mut out, name);
        write(&mut out);
        self.0 = out;
    }

    fn head_bytes(&self) -> usize {
        match self.0[0] {
            0xDE => 3,
            0xDF => 5,
            _ => 1,
        }
    }
}
