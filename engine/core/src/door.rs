//! Door: plain events, from the bytes of a message to facts, registrations and questions.
//!
//! A *plain* event leaves nothing to judge: our own JSON, every field of its type and within its
//! limits, instants in one form of RFC 3339, a status of the lifecycle, no personal data and no
//! number that stands for none. What follows from it is what Python makes of it
//! (`dataflows/decoding.py`), byte for byte: `tests/fuzz/test_door.py` compares both. Anything else
//! is left to Python, which alone refuses messages and words why. So a check here may be stricter
//! than Python's, and never laxer: where a message lets you choose, leave it.
//!
//! It takes two steps, as the arrival of an event follows from those before it: `Door::read` decodes
//! a message, `Shared::add` makes a fact of it when its arrival is known.

mod characters;
mod event;
mod making;
mod sharing;
mod value;

use std::collections::{HashMap, HashSet};

pub use event::FIELDS;
pub use making::Plain;
pub use sharing::{Packed, Place, Shared};

/// Type that the rules declare for an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A truth value.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A text.
    Text,
}

/// What is known of the form of events, of the lifecycle and of the rules: as Python handed it over.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Statuses by code.
    pub statuses: HashMap<String, u8>,
    /// Whether an event of a status says nothing of its order but a note, by status.
    pub is_note: Vec<bool>,
    /// Numbers that stand for none, lower case and trimmed.
    pub placeholders: HashSet<String>,
    /// Codes of carriers by their names in the form in which they are compared.
    pub carriers: HashMap<String, String>,
    /// Types of the attributes that the rules declare.
    pub declared: HashMap<String, Type>,
    /// Attributes that are readings of a parcel.
    pub readings: HashSet<String>,
    /// Whether dates without a zone are days in UTC.
    pub is_utc: bool,
    /// Names of the data that points are converted from.
    pub datums: HashSet<String>,
    /// Tenant of an event that names none.
    pub default_tenant: String,
    /// Limits.
    pub limits: Limits,
}

/// Limits of an event. Instants are ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Most bytes of a message.
    pub event_bytes: usize,
    /// Most levels of nesting.
    pub levels: usize,
    /// Most characters of an id.
    pub id_chars: usize,
    /// Most characters of a code or a name.
    pub code_chars: usize,
    /// Most parcels that can be announced.
    pub parcels: i64,
    /// Most that an event's time may be ahead of its arrival.
    pub ahead_ms: i64,
    /// Times before this are none.
    pub earliest_at: i64,
    /// The first instant that is too late.
    pub latest_at: i64,
    /// Shards of the orders.
    pub shards: u8,
}

/// The door: reads plain events.
#[derive(Clone, Debug)]
pub struct Door {
    table: Table,
    longest_placeholder: usize,
}

impl Door {
    /// Create a door.
    pub fn new(table: Table) -> Door {
        let longest_placeholder = table.placeholders.iter().map(String::len).max().unwrap_or(0);
        Door { table, longest_placeholder }
    }

    /// The event of a message, None unless it is a plain one.
    pub fn read(&self, data: &[u8]) -> Option<Plain> {
        let limits = &self.table.limits;
        if data.len() > limits.event_bytes {
            return None;
        }
        let text = characters::plain(data, limits.levels)?;
        let event = event::Event::read(text, &self.table)?;
        making::made(event, data, self)
    }
}
