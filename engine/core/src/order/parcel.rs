//! Parcel in the fold.

use crate::order::model::{NO_ENTRY, Text};
use crate::statuses::NO_STATUS;

/// Marks of a parcel.
pub mod parcel_marks {
    /// The walk has come to it.
    pub const KNOWN: u16 = 1;
    /// It is a parcel of its own for the way back.
    pub const RETURN: u16 = 2;
    /// It was turned on its way forward.
    pub const TURNED: u16 = 4;
    /// Another replaced it.
    pub const REPLACED: u16 = 8;
    /// It was with a carrier.
    pub const WENT: u16 = 16;
    /// It has moved at all.
    pub const MOVED: u16 = 32;
    /// It was announced after the others had been delivered, and has not moved yet.
    pub const LATE: u16 = 64;
    /// Its spelling is known.
    pub const SPELLED: u16 = 128;
    /// Its return was withdrawn, so that it ended until it moves again.
    pub const WITHDRAWN: u16 = 256;
    /// The shop's word of the whole order covers it until it moves again.
    pub const SETTLED: u16 = 512;
}

/// A parcel in the fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its name in the normal form; "" for the unnamed one.
    pub name: Text,
    /// The name as the first entry that names it wrote it; "" where that is `name`.
    pub spelling: Text,
    /// Its status.
    pub status: u8,
    /// Time of its last update.
    pub updated_at: i64,
    /// `parcel_marks`.
    pub marks: u16,
    /// Time since which it counts no more.
    pub ended_at: i64,
    /// The entry that named or announced it first.
    pub announced: i32,
}

impl Parcel {
    /// Create a parcel of which nothing is known.
    pub fn new(name: impl Into<Text>) -> Self {
        Parcel {
            name: name.into(),
            spelling: Text::default(),
            status: NO_STATUS,
            updated_at: 0,
            marks: 0,
            ended_at: 0,
            announced: NO_ENTRY,
        }
    }

    /// Whether it has one of some marks.
    pub fn has(&self, marks: u16) -> bool {
        self.marks & marks != 0
    }

    /// Whether an entry of the walk named or announced it.
    pub fn is_known(&self) -> bool {
        self.has(parcel_marks::KNOWN)
    }

    /// Whether it is known and hasn't ended.
    pub fn counts(&self) -> bool {
        self.is_known() && self.ended_at == 0
    }

    /// Whether it is on its way to the sender.
    pub fn goes_back(&self) -> bool {
        self.has(parcel_marks::RETURN | parcel_marks::TURNED)
    }

    /// The name as it was written.
    pub fn shown(&self) -> &str {
        if self.spelling.is_empty() { &self.name } else { &self.spelling }
    }
}
