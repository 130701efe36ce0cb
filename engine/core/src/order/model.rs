//! Order in memory: what `packing` stores, and what is computed from it.
//!
//! Instants are ms, 0 for none. Entries of the history are named by their number, its place in the
//! order of arrival; parcels by theirs in `Order::parcels`, names by theirs in `Order::names`.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use compact_str::CompactString;

use crate::normal_form::{as_number, as_waybill};
use crate::order::entry::{Entry, Words};
use crate::order::extras::{Extras, Fields};
use crate::order::parcel::Parcel;
use crate::order::side::Side;
use crate::statuses::NO_STATUS;

/// A short text: up to 24 bytes lie in it, and not on the heap.
pub type Text = CompactString;

/// No entry.
pub const NO_ENTRY: i32 = -1;
/// No parcel: the order itself, in alerts and in what was done.
pub const NO_PARCEL: u8 = 255;

/// Flags of an order.
pub mod flags {
    /// Nothing has created it yet.
    pub const EMBRYO: u32 = 1;
    /// It moved over an irregular edge.
    pub const IRREGULAR: u32 = 2;
    /// An entry asked for a status that can't be reached.
    pub const OUT_OF_SEQUENCE: u32 = 4;
    /// A duplicate contradicted the event that is held.
    pub const CONFLICTING: u32 = 8;
    /// Some entries don't count.
    pub const CORRECTED: u32 = 16;
    /// A deadline was long past when its anchor arrived.
    pub const MISSED: u32 = 32;
    /// Some entry corrects another; not shown.
    pub const HAS_CORRECTIONS: u32 = 64;
    /// Some entry is the engine's; not shown.
    pub const HAS_ENGINE: u32 = 128;
    /// Some entries don't count: corrected, or of a number that nothing names; not shown.
    pub const HAS_HIDDEN: u32 = 256;
    /// Order-level fields were lost.
    pub const ORDER_FULL: u32 = 512;
    /// An event came without a time.
    pub const MISSING_TIME: u32 = 1024;
    /// An event was refused, as the order was over a limit.
    pub const HISTORY_FULL: u32 = 2048;
    /// Flags that a fold from the beginning keeps.
    pub const KEPT_BY_A_FOLD: u32 =
        CONFLICTING | MISSED | HAS_CORRECTIONS | HAS_ENGINE | ORDER_FULL | HISTORY_FULL;
    /// Names in documents, in their order there.
    pub const NAMES: [(u32, &str); 9] = [
        (EMBRYO, "embryo"),
        (IRREGULAR, "irregular"),
        (OUT_OF_SEQUENCE, "out_of_sequence"),
        (CONFLICTING, "conflicting_duplicate"),
        (CORRECTED, "corrected"),
        (MISSED, "missed_deadline"),
        (ORDER_FULL, "order_full"),
        (MISSING_TIME, "missing_time"),
        (HISTORY_FULL, "history_full"),
    ];
}

/// What the fold knows of an order's way beyond its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The entry that brought the status.
    pub status_entry: i32,
    /// The status is derived from the parcels.
    pub is_derived: bool,
    /// A parcel was with a carrier by then.
    pub had_gone: bool,
    /// The status that the parcels gave last.
    pub derived: u8,
    /// The status that the latest forward move of a parcel gives.
    pub onward: u8,
    /// How many parcels were announced to come; 0 if nothing was.
    pub expected: i64,
    /// The entry that began the order anew.
    pub life: i32,
    /// Entries without a parcel's name whose status was the unnamed parcel's and not the order's.
    pub partial: Vec<i32>,
    /// The status by which more parcels come.
    pub opened_by: u8,
}

impl Default for Course {
    fn default() -> Self {
        Course {
            status_entry: NO_ENTRY,
            is_derived: false,
            had_gone: false,
            derived: NO_STATUS,
            onward: NO_STATUS,
            expected: 0,
            life: NO_ENTRY,
            partial: Vec::new(),
            opened_by: NO_STATUS,
        }
    }
}

/// An open alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAlert {
    /// Number of its rule in the symbols of the shard.
    pub rule: u16,
    /// 1 (warning) or 2 (overdue).
    pub level: u8,
    /// Index of the anchor taken.
    pub deadline: u32,
    /// It opened for the third time within a short time.
    pub is_flapping: bool,
    /// The parcel, `NO_PARCEL` for the order.
    pub parcel: u8,
    /// The entry of the anchor.
    pub anchor: i32,
    /// Its opening.
    pub opened_at: i64,
    /// Its due time: of the opening, or of the escalation since `escalated_at`.
    pub due_at: i64,
    /// Its escalation.
    pub escalated_at: i64,
    /// Until when it was wanted; 0 while a flapping alert is.
    pub last_wanted_at: i64,
}

/// An opening, kept as long as it matters for flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Number of the rule in the symbols.
    pub rule: u16,
    /// The parcel, `NO_PARCEL` for the order.
    pub parcel: u8,
    /// Its time.
    pub at: i64,
}

/// What was acted on or missed, so that it happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Number of the rule in the symbols; two bits above that say what was done.
    pub rule: u16,
    /// The parcel, `NO_PARCEL` for the order; of a fault its kind.
    pub parcel: u8,
    /// The entry of the anchor; 0 of a fault.
    pub anchor: i32,
}

impl Done {
    /// Bits beside the rule: a fault of it was audited.
    pub const FAULT_BITS: u16 = 0xC000;
    /// Bit beside the rule: this deadline was long past when its anchor arrived.
    pub const MISSED_BIT: u16 = 0x8000;
    /// Bit beside the rule: the action of the escalation was requested.
    pub const ESCALATED_BIT: u16 = 0x4000;

    /// Whether it is an audited fault.
    pub fn is_fault(&self) -> bool {
        self.rule & Done::FAULT_BITS == Done::FAULT_BITS
    }
}

/// A derived move of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedBy {
    /// The status that the order came into.
    pub status: u8,
    /// The entry that moved it.
    pub entry: i32,
}

/// The first entry of a status that the order reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The status.
    pub status: u8,
    /// Its first entry.
    pub entry: i32,
}

/// What a rule counts from at present, for the order or a parcel. Computed by the rules, and kept
/// by the order until its next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Index of the rule among the rules in force.
    pub rule: u16,
    /// The parcel; None for the order.
    pub parcel: Option<u8>,
    /// Index of the anchor taken.
    pub deadline: u32,
    /// Time of the anchor.
    pub anchor_at: i64,
    /// Due time; 0 for a condition, which is due since it became true.
    pub due_at: i64,
    /// Time at which a warning becomes overdue.
    pub escalated_at: i64,
}

/// Kind of a fault of a rule, in the order in which `Done` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleFaultKind {
    /// Its condition can't be evaluated.
    Condition,
    /// Its deadline is outside the years of its calendar.
    OutsideYears,
}

/// What could not be evaluated of a rule for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    /// Index of the rule among the rules in force.
    pub rule: u16,
    /// Its kind.
    pub kind: RuleFaultKind,
    /// Why.
    pub reason: String,
}

/// An order unpacked for work.
#[derive(Clone, Debug)]
pub struct Order {
    /// Key: tenant and order id.
    pub key: Arc<str>,
    /// The armed deadline.
    pub armed_at: i64,
    /// Status; `NO_STATUS` before the first.
    pub status: u8,
    /// `flags`.
    pub flags: u32,
    /// Number of its changes.
    pub version: u64,
    /// The latest entry of the walk.
    pub latest_entry: i32,
    /// time << 8 | status of that; 0 without. Not stored.
    pub latest: u64,
    /// The entry that created it.
    pub created_entry: i32,
    /// Time of that. Not stored.
    pub created_at: i64,
    /// Promise to the customer.
    pub promised_at: i64,
    /// Promise of the shop to itself.
    pub ship_by: i64,
    /// Year * 12 + month - 1 of its first arrival: its period in the warm tier.
    pub period: i64,
    /// Its way beyond its status.
    pub course: Course,
    /// Its parcels, 250 at most.
    pub parcels: Vec<Parcel>,
    /// Names as entries wrote them: (shipment, waybill).
    pub names: Vec<(Text, Text)>,
    /// Of each name its parcel; names of entries that don't count may be missing at the end.
    pub parcel_of: Vec<u8>,
    /// Derived moves.
    pub derived: Vec<MovedBy>,
    /// First entries of the statuses that it reached, in the order in which it did.
    pub firsts: Vec<First>,
    /// Open alerts.
    pub alerts: Vec<OpenAlert>,
    /// What was acted on, missed or audited.
    pub done: Vec<Done>,
    /// Openings that matter for flapping.
    pub openings: Vec<Opening>,
    /// Extras of the entries that have some, ascending.
    pub extras: Vec<Extras>,
    /// Side of each name; it may be missing at the end.
    pub side: Vec<Option<Side>>,
    /// Hashes of pings that were thinned out.
    pub thinned: Vec<u64>,
    /// The history in the order of arrival.
    pub history: Vec<Words>,
    /// What the rules count from, until the next entry. Not stored.
    pub terms: Option<Vec<Term>>,
    /// What could not be evaluated for that, until the order is settled. Not stored.
    pub faults: Vec<RuleFault>,
    /// The walk, once something asked for it. Not stored.
    pub walked: OnceCell<Vec<Entry>>,
    /// It had retired, and lies in the cold. Not stored.
    pub had_retired: bool,
}

impl Order {
    /// Create an order of which nothing is known.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Order {
            key: key.into(),
            armed_at: 0,
            status: NO_STATUS,
            flags: flags::EMBRYO,
            version: 0,
            latest_entry: NO_ENTRY,
            latest: 0,
            created_entry: NO_ENTRY,
            created_at: 0,
            promised_at: 0,
            ship_by: 0,
            period: 0,
            course: Course::default(),
            parcels: Vec::new(),
            names: Vec::new(),
            parcel_of: Vec::new(),
            derived: Vec::new(),
            firsts: Vec::new(),
            alerts: Vec::new(),
            done: Vec::new(),
            openings: Vec::new(),
            extras: Vec::new(),
            side: Vec::new(),
            thinned: Vec::new(),
            history: Vec::new(),
            terms: None,
            faults: Vec::new(),
            walked: OnceCell::new(),
            had_retired: false,
        }
    }

    /// Make an order of which nothing is known out of this one, which keeps the room of its lists.
    pub fn renew(&mut self, key: Arc<str>) {
        *self = Order {
            course: Course { partial: emptied(&mut self.course.partial), ..Course::default() },
            parcels: emptied(&mut self.parcels),
            names: emptied(&mut self.names),
            parcel_of: emptied(&mut self.parcel_of),
            derived: emptied(&mut self.derived),
            firsts: emptied(&mut self.firsts),
            alerts: emptied(&mut self.alerts),
            done: emptied(&mut self.done),
            openings: emptied(&mut self.openings),
            extras: emptied(&mut self.extras),
            side: emptied(&mut self.side),
            thinned: emptied(&mut self.thinned),
            history: emptied(&mut self.history),
            ..Order::new(key)
        };
    }

    /// Set back everything that the fold computes, for a fold from the beginning.
    pub fn forget(&mut self) {
        self.status = NO_STATUS;
        (self.latest, self.latest_entry) = (0, NO_ENTRY);
        (self.created_at, self.created_entry) = (0, NO_ENTRY);
        (self.promised_at, self.ship_by) = (0, 0);
        self.flags = self.flags & flags::KEPT_BY_A_FOLD | flags::EMBRYO;
        self.course = Course::default();
        self.derived.clear();
        self.firsts.clear();
        for parcel in &mut self.parcels {
            *parcel = Parcel::new(std::mem::take(&mut parcel.name));
        }
    }

    /// Whether it has one of some flags.
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// The words of an entry.
    pub fn words(&self, entry: i32) -> &Words {
        &self.history[entry as usize]
    }

    /// An entry, unpacked.
    pub fn entry(&self, entry: i32) -> Entry {
        Entry::of(entry as usize, self.words(entry))
    }

    /// The history in the order of arrival.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = Entry> {
        self.history.iter().enumerate().map(|(number, words)| Entry::of(number, words))
    }

    /// The time of an entry.
    pub fn at(&self, entry: i32) -> i64 {
        (self.words(entry)[0] >> 22) as i64
    }

    /// The arrival of an entry.
    pub fn arrival_at(&self, entry: i32) -> i64 {
        (self.words(entry)[1] >> 22) as i64
    }

    /// The hash of an entry; 0 for `NO_ENTRY`.
    pub fn hash_of(&self, entry: i32) -> u64 {
        if entry == NO_ENTRY { 0 } else { self.words(entry)[2] }
    }

    /// Time of the latest entry of the walk; 0 without one.
    pub fn updated_at(&self) -> i64 {
        (self.latest >> 8) as i64
    }

    /// Arrival of the latest entry; 0 without one.
    pub fn latest_arrival_at(&self) -> i64 {
        self.history.last().map_or(0, |words| (words[1] >> 22) as i64)
    }

    /// The number of the entry with a hash.
    pub fn find(&self, hash: u64) -> Option<i32> {
        self.history.iter().position(|words| words[2] == hash).map(|number| number as i32)
    }

    /// Whether the ping with this hash was thinned out.
    pub fn was_thinned(&self, hash: u64) -> bool {
        self.thinned.contains(&hash)
    }

    /// The first entry of a status that the order reached.
    pub fn first(&self, status: u8) -> Option<i32> {
        self.firsts.iter().find(|first| first.status == status).map(|first| first.entry)
    }

    /// The extras of an entry.
    pub fn extras_of(&self, entry: i32) -> Option<&Fields> {
        let place = self.extras.binary_search_by_key(&entry, |extras| extras.entry).ok()?;
        Some(&self.extras[place].fields)
    }

    /// The normal form of a name as it was sent: of its waybill, else of its shipment.
    pub fn sent_name(&self, name: u8) -> Cow<'_, str> {
        let (shipment, waybill) = &self.names[usize::from(name)];
        if waybill.is_empty() { as_number(shipment) } else { as_waybill(waybill) }
    }

    /// The number of a name as written, a new one if it is new.
    pub fn name_number(&mut self, shipment: &str, waybill: &str) -> u8 {
        let same = |name: &(Text, Text)| name.0 == shipment && name.1 == waybill;
        let known = self.names.iter().position(same);
        known.unwrap_or_else(|| {
            self.names.push((shipment.into(), waybill.into()));
            self.names.len() - 1
        }) as u8
    }

    /// The number of a parcel by its normal form, a new one if it is new.
    pub fn parcel_number(&mut self, name: &str) -> u8 {
        let known = self.parcels.iter().position(|parcel| parcel.name == name);
        known.unwrap_or_else(|| {
            self.parcels.push(Parcel::new(name));
            self.parcels.len() - 1
        }) as u8
    }
}

/// A list without its items, with its room.
fn emptied<T>(list: &mut Vec<T>) -> Vec<T> {
    list.clear();
    std::mem::take(list)
}
