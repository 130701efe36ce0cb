//! Mapping: one order of a number, and its packed form.
//!
//! ```text
//! valid_from    8 bytes   ms; little-endian, like all that follows
//! arrival_at    8 bytes   ms
//! used_day      2 bytes   days since 1970
//! heard_day     2 bytes
//! order length  2 bytes
//! carrier       2 bytes   its length; the highest bit: is_unused
//! order id, carrier
//! ```

use std::str::from_utf8;

use crate::fault::Fault;
use crate::instants::day_of;

/// Bytes of a packed mapping before its texts.
pub const HEAD_BYTES: usize = 24;
const UNUSED: u16 = 0x8000;

/// One order of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// The order's id.
    pub order: &'a str,
    /// The carrier that was named with the number; may be empty.
    pub carrier: &'a str,
    /// Time (ms) of the earliest event that registered the number.
    pub valid_from: i64,
    /// The first of the registrations' arrivals (ms).
    pub arrival_at: i64,
    /// Day of the latest event of the number.
    pub used_day: u16,
    /// Day of the latest arrival of such an event.
    pub heard_day: u16,
    /// No event has come to the order by the number yet.
    pub is_unused: bool,
}

impl<'a> Mapping<'a> {
    /// The mapping of a single registration.
    pub fn registered(
        order: &'a str,
        carrier: &'a str,
        at: i64,
        arrival_at: i64,
    ) -> Result<Self, Fault> {
        Ok(Mapping {
            order,
            carrier,
            valid_from: at,
            arrival_at,
            used_day: short_day(at)?,
            heard_day: short_day(arrival_at)?,
            is_unused: true,
        })
    }

    /// Return true if `other` adds nothing to this mapping; most registrations add nothing.
    pub fn covers(&self, other: &Mapping) -> bool {
        self.order == other.order
            && self.valid_from <= other.valid_from
            && self.arrival_at <= other.arrival_at
            && self.used_day >= other.used_day
            && self.heard_day >= other.heard_day
            && self.is_unused <= other.is_unused
            && (!self.carrier.is_empty() || other.carrier.is_empty())
    }

    /// This mapping after an event of time `at` came to its order by it at `given_at`.
    pub fn used(&self, at: i64, given_at: i64) -> Result<Self, Fault> {
        Ok(Mapping {
            used_day: self.used_day.max(short_day(at)?),
            heard_day: self.heard_day.max(short_day(given_at)?),
            is_unused: false,
            ..*self
        })
    }

    /// The union of two mappings of one order.
    pub fn united(&self, other: &Mapping<'a>) -> Self {
        Mapping {
            order: self.order,
            carrier: if self.carrier.is_empty() { other.carrier } else { self.carrier },
            valid_from: self.valid_from.min(other.valid_from),
            arrival_at: self.arrival_at.min(other.arrival_at),
            used_day: self.used_day.max(other.used_day),
            heard_day: self.heard_day.max(other.heard_day),
            is_unused: self.is_unused && other.is_unused,
        }
    }

    fn pack_into(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let order = length_of(self.order, u16::MAX)?;
        let carrier = length_of(self.carrier, UNUSED - 1)?;
        out.extend(self.valid_from.to_le_bytes());
        out.extend(self.arrival_at.to_le_bytes());
        out.extend(self.used_day.to_le_bytes());
        out.extend(self.heard_day.to_le_bytes());
        out.extend(order.to_le_bytes());
        out.extend((carrier | if self.is_unused { UNUSED } else { 0 }).to_le_bytes());
        out.extend(self.order.as_bytes());
        out.extend(self.carrier.as_bytes());
        Ok(())
    }
}

/// Sort mappings as a record has them: by arrival, then by order.
pub fn sort(mappings: &mut [Mapping]) {
    mappings
        .sort_by(|one, other| (one.arrival_at, one.order).cmp(&(other.arrival_at, other.order)));
}

/// The record of some mappings; empty for none.
pub fn pack(mappings: &[Mapping]) -> Result<Vec<u8>, Fault> {
    let texts: usize = mappings.iter().map(|each| each.order.len() + each.carrier.len()).sum();
    let mut record = Vec::with_capacity(mappings.len() * HEAD_BYTES + texts);
    for mapping in mappings {
        mapping.pack_into(&mut record)?;
    }
    Ok(record)
}

/// The mappings of a record.
///
/// # Errors
/// `Damaged`: the record is cut off, or a text is no UTF-8.
pub fn unpack(record: &[u8]) -> Result<Vec<Mapping<'_>>, Fault> {
    let mut found = Vec::with_capacity(1);
    let mut at = 0;
    while at < record.len() {
        let damaged = || Fault::Damaged { at, length: record.len() };
        let (mapping, size) = unpack_one(&record[at..]).ok_or_else(damaged)?;
        found.push(mapping);
        at += size;
    }
    Ok(found)
}

/// The first mapping of some bytes, and its length.
fn unpack_one(bytes: &[u8]) -> Option<(Mapping<'_>, usize)> {
    let head: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
    let long = |at: usize| i64::from_le_bytes(head[at..at + 8].try_into().expect("8 bytes"));
    let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let (order, carrier) = (usize::from(short(20)), short(22));
    let middle = HEAD_BYTES + order;
    let end = middle + usize::from(carrier & !UNUSED);
    let mapping = Mapping {
        order: from_utf8(bytes.get(HEAD_BYTES..middle)?).ok()?,
        carrier: from_utf8(bytes.get(middle..end)?).ok()?,
        valid_from: long(0),
        arrival_at: long(8),
        used_day: short(16),
        heard_day: short(18),
        is_unused: carrier & UNUSED != 0,
    };
    Some((mapping, end))
}

fn short_day(at: i64) -> Result<u16, Fault> {
    u16::try_from(day_of(at)).map_err(|_| Fault::OutOfRange(at))
}

fn length_of(text: &str, most: u16) -> Result<u16, Fault> {
    let too_long = || Fault::TooLong { length: text.len(), most: usize::from(most) };
    u16::try_from(text.len()).ok().filter(|&length| length <= most).ok_or_else(too_long)
}
