//! Order: its state as a fold of its events (docs/semantics.md).
//!
//! `model` is the order in memory; begin there. `packing` makes it bytes, `history` adds a fact to
//! it, `fold` computes what its entries say, over the `walk` of those that count. `names` and
//! `parcels` are parts of the fold, `conflicts` judges duplicates, `fields` reads the order-level
//! fields.

pub mod conflicts;
pub mod content;
pub mod fields;
pub mod fold;
pub mod history;
pub mod limits;
mod model;
pub mod names;
pub mod packing;
pub mod parcels;
pub mod side;
pub mod verifying;
pub mod walk;

pub use model::{
    Course, Done, Entry, Extras, Fields, First, MovedBy, NO_ENTRY, NO_PARCEL, OpenAlert, Opening,
    Order, Parcel, RuleFault, RuleFaultKind, Term, Words, extras, flags, marks, parcel_marks,
};
