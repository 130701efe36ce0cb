//! Resolver: numbers (waybills, references) lead to orders.
//!
//! `numbers` holds the numbers of one shard and answers by them; begin there. `mapping` is one order
//! of a number and its packed form, `queue` the registrations that wait for the watermark, `table` the
//! compact table of records, `crowd` a number with many orders, `days` the calendar of forgetting.

mod crowd;
mod days;
mod mapping;
mod meaning;
mod numbers;
mod queue;
mod table;

pub use days::LOOKED_AT_ONCE;
pub use mapping::Mapping;
pub use meaning::{Limits, Question};
pub use numbers::{Answer, Numbers, Registered};
pub use queue::Registration;
pub use table::{HASH_BYTES, Hash, NumberTable, hash_of};
