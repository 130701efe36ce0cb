//! Stays: how long a parcel was in each status.

use crate::lifecycle::Lifecycle;
use crate::order::fold::moved;
use crate::order::parcels::is_of_its_parcel;
use crate::order::walk::walk;
use crate::order::{Order, parcel_marks};
use crate::statuses::NO_STATUS;

/// A parcel's time in one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The status.
    pub status: u8,
    /// Its beginning.
    pub began_at: i64,
    /// Its end; None for the stay that continues.
    pub ended_at: Option<i64>,
    /// The entry that brought the parcel there.
    pub entry: i32,
    /// Marks of that entry.
    pub marks: u16,
}

/// The stays of a parcel in the order of time.
pub fn stays(order: &Order, table: &Lifecycle, parcel: u8) -> Vec<Stay> {
    let mut found: Vec<Stay> = Vec::new();
    let mut status = NO_STATUS;
    let mut goes_back = order.parcels[usize::from(parcel)].has(parcel_marks::RETURN);
    for entry in walk(order, table) {
        let is_here = order.parcel_of[usize::from(entry.name)] == parcel;
        let row = &table[entry.status];
        if !is_here || row.moves_nothing || !is_of_its_parcel(order, table, entry) {
            continue;
        }
        let is_arrival = goes_back && row.arrives_back != NO_STATUS;
        let reached = if is_arrival { row.arrives_back } else { entry.status };
        let is_taken = if is_arrival {
            reached != status
        } else {
            moved(status, reached, table.parcel_ways(status)).0
        };
        if !is_taken {
            continue;
        }
        if let Some(last) = found.last_mut() {
            last.ended_at = Some(entry.at);
        }
        found.push(Stay {
            status: reached,
            began_at: entry.at,
            ended_at: None,
            entry: entry.number,
            marks: entry.marks,
        });
        status = reached;
        goes_back |= table[status].turns;
    }
    found
}
