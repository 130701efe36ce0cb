//! Entry: one event in an order's history.

/// Marks of an entry.
pub mod marks {
    /// A refused command: the fold leaves it out.
    pub const REFUSED: u16 = 1;
    /// Its source is the engine's own.
    pub const FROM_ENGINE: u16 = 2;
    /// It carries order-level fields.
    pub const HAS_FIELDS: u16 = 4;
    /// It corrects another event.
    pub const CORRECTS: u16 = 8;
    /// It is a command.
    pub const COMMAND: u16 = 16;
    /// It came by a number, without the order's id.
    pub const BY_NUMBER: u16 = 32;
    /// Its source is a carrier.
    pub const FROM_CARRIER: u16 = 64;
}

/// Three words of an entry, as they are stored:
///
/// ```text
/// time (42 bits) status (8) name (8) marks (6)
/// arrival (42 bits) source (16) more marks (6)
/// event_hash (64)
/// ```
pub type Words = [u64; 3];

/// One entry of a history, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the order of arrival.
    pub number: i32,
    /// Event time.
    pub at: i64,
    /// Status.
    pub status: u8,
    /// Number of its name in `Order::names`.
    pub name: u8,
    /// `marks`.
    pub marks: u16,
    /// Arrival.
    pub arrival_at: i64,
    /// Number of its source in the shard's symbols.
    pub source: u16,
    /// Hash of (source, event_id).
    pub hash: u64,
}

impl Entry {
    /// Unpack the words of an entry.
    pub fn of(number: usize, words: &Words) -> Entry {
        let [first, second, hash] = *words;
        Entry {
            number: number as i32,
            at: (first >> 22) as i64,
            status: (first >> 14) as u8,
            name: (first >> 6) as u8,
            marks: (first & 0x3F | (second & 0x3F) << 6) as u16,
            arrival_at: (second >> 22) as i64,
            source: (second >> 6) as u16,
            hash,
        }
    }

    /// The words of the entry.
    pub fn words(&self) -> Words {
        let low = u64::from(self.marks);
        let name = u64::from(self.status) << 14 | u64::from(self.name) << 6;
        [
            (self.at as u64) << 22 | name | low & 0x3F,
            (self.arrival_at as u64) << 22 | u64::from(self.source) << 6 | low >> 6,
            self.hash,
        ]
    }

    /// Whether it has one of some marks.
    pub fn has(&self, marks: u16) -> bool {
        self.marks & marks != 0
    }
}
