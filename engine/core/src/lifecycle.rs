//! Lifecycle: the table of statuses and of the edges between them, as `dataflows/core/lifecycle.py`
//! compiled it from its file.
//!
//! Python hands it over once; nothing of it is known here. `engine/python/src/lifecycle.rs` reads it
//! from the attributes of the Python object.

use std::ops::Index;

pub use crate::statuses::{NO_STATUS, StatusSet};

/// The compiled table. `table[status]` is the row of a status, whose number is also its rank.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Rows by status, 254 at most.
    pub statuses: Vec<Status>,
    /// Least time (ms) between an entry that begins a second life and the one before it.
    pub second_life_after_ms: i64,
    /// The most bytes of order-level fields that an order holds.
    pub order_fields_bytes: usize,
    /// Statuses that some status withdraws.
    pub can_be_withdrawn: StatusSet,
    /// Statuses that parcels give an order once all of them have arrived.
    pub whole: StatusSet,
    /// Statuses that parcels give an order on their way forward.
    pub under_way: StatusSet,
    /// Statuses of an order by which all that went forward arrived.
    pub settles: StatusSet,
    /// Statuses of an order by which all that went back arrived.
    pub settles_back: StatusSet,
    /// Status of an order whose parcel was turned; `NO_STATUS` without one.
    pub coming_back: u8,
    /// Status of a parcel that arrived at the sender's; `NO_STATUS` without one.
    pub arrived_back: u8,
}

/// One row: the columns are explained at the top of dataflows/core/lifecycle.toml.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Code in events and documents.
    pub code: String,
    /// An order with it is created.
    pub creates: bool,
    /// It is an update of a parcel.
    pub logistics: bool,
    /// It is a sign of life and moves nothing.
    pub moves_nothing: bool,
    /// Its scope is `order` or `both`.
    pub of_order: bool,
    /// Its scope is `shipment` or `both`.
    pub of_shipment: bool,
    /// Its scope is `both`.
    pub of_both: bool,
    /// Time (ms) from the latest arrival until an order with it retires; 0 if it never does.
    pub retire_after_ms: i64,
    /// What a parcel with it does to its order.
    pub moves_order: Option<Move>,
    /// It ends an order.
    pub ends: bool,
    /// It ends a parcel.
    pub ends_parcel: bool,
    /// Statuses of later entries that end a parcel in it.
    pub ends_with: StatusSet,
    /// A parcel with it is on its way back from then on.
    pub turns: bool,
    /// The status of a parcel on its way back that it brings; `NO_STATUS` without one.
    pub arrives_back: u8,
    /// Statuses that it withdraws.
    pub withdraws: StatusSet,
    /// Statuses after which it is in sequence.
    pub regular_after: StatusSet,
    /// Statuses that end the waiting for more parcels, which it begins.
    pub open_until: StatusSet,
    /// It is a milestone alone and moves nothing.
    pub is_milestone: bool,
    /// It is a note.
    pub is_note: bool,
    /// Statuses that are reached from it irregularly.
    pub irregular: StatusSet,
    /// Ways of an order from it.
    pub order_ways: Ways,
    /// Ways of a parcel from it.
    pub parcel_ways: Ways,
}

/// Statuses that are reached from one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways {
    /// Over one `next` edge.
    pub next: StatusSet,
    /// Over `next` edges.
    pub regular: StatusSet,
    /// Over `next` and `irregular` edges.
    pub every: StatusSet,
}

/// What a parcel's status does to its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The status that it gives the order.
    pub target: u8,
    /// Only once all parcels have it.
    pub all_of_them: bool,
    /// The status until then; `NO_STATUS` where nothing happens until then.
    pub until_all: u8,
}

impl Lifecycle {
    /// The code of a status; None for `NO_STATUS`.
    pub fn code(&self, status: u8) -> Option<&str> {
        self.statuses.get(usize::from(status)).map(|row| row.code.as_str())
    }

    /// Ways of an order from a status; None from `NO_STATUS`.
    pub fn order_ways(&self, present: u8) -> Option<&Ways> {
        self.statuses.get(usize::from(present)).map(|row| &row.order_ways)
    }

    /// Ways of a parcel from a status; None from `NO_STATUS`.
    pub fn parcel_ways(&self, present: u8) -> Option<&Ways> {
        self.statuses.get(usize::from(present)).map(|row| &row.parcel_ways)
    }
}

impl Index<u8> for Lifecycle {
    type Output = Status;

    fn index(&self, status: u8) -> &Status {
        &self.statuses[usize::from(status)]
    }
}
