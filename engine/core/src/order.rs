//! Order: its state as a fold of its events (docs/semantics.md).
//!
//! `model` is the order in memory; begin there: its history has entries (`entry`), which carry fields
//! (`extras`), and it has parcels (`parcel`). `packing` makes it bytes, `history` adds a fact to
//! it, `fold` computes what its entries say, over the `walk` of those that count. `names` and
//! `parcels` are parts of the fold, `conflicts` judges duplicates, `fields` reads the order-level
//! fields.

pub mod conflicts;
pub mod content;
mod entry;
pub mod extras;
pub mod fields;
pub mod fold;
pub mod history;
pub mod limits;
mod model;
pub mod names;
pub mod packing;
mod parcel;
pub mod parcels;
pub mod side;
pub mod verifying;
pub mod walk;

pub use entry::{Entry, Words, marks};
pub use extras::{Extras, Fields};
pub use model::{
    Course, Done, First, MovedBy, NO_ENTRY, NO_PARCEL, OpenAlert, Opening, Order, RuleFault,
    RuleFaultKind, Term, Text, flags,
};
pub use parcel::{Parcel, parcel_marks};
