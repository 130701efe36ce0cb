//! Rules: which alerts and actions an order's state calls for, and when (docs/semantics.md, Alerts).
//!
//! `Desk` evaluates the rules in force; begin with `Desk::settle` in `alerts`. `row` has the rules as
//! Python compiled them, `anchors` the instants that deadlines count from, `stays` the time that a
//! parcel spent in each status, `deadlines` when a rule is due, `conditions` what CEL decides,
//! `working_time` the calendars, `evidence` what is shown of all that, `explained` the state of each
//! rule.

mod alerts;
mod anchors;
mod conditions;
mod deadlines;
mod desk;
mod evidence;
mod explained;
mod row;
mod stays;
mod working_time;

pub use alerts::{Transition, What};
pub use anchors::{Anchor, Kind};
pub use conditions::{Condition, Conditions, Evaluator, Seen, Verdict};
pub use deadlines::lacks_instant;
pub use desk::Desk;
pub use evidence::{Armed, Because};
pub use explained::{Explained, State};
pub use row::{Act, Deadline, Length, Limit, NO_ALERT, OVERDUE, Rule, Rules, WARNING};
pub use working_time::{BEYOND_MS, Intervals, WorkingTime};

use crate::order::NO_PARCEL;

/// No instant: of what is never due.
pub const NEVER: i64 = 1 << 62;

/// A parcel as alerts store it.
fn parcel_byte(parcel: Option<u8>) -> u8 {
    parcel.unwrap_or(NO_PARCEL)
}

/// A parcel as alerts store it, None for the order.
fn parcel_of_byte(parcel: u8) -> Option<u8> {
    (parcel != NO_PARCEL).then_some(parcel)
}
