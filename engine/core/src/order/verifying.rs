//! Verifying a stored order: whether it is what its history says.

use crate::fault::Fault;
use crate::lifecycle::Lifecycle;
use crate::order::Order;
use crate::order::fold::refold;
use crate::order::packing::{pack, unpack};

/// The order that was stored as `data`, which has at least one entry.
pub fn stored(key: &str, data: &[u8]) -> Result<Order, Fault> {
    let order = unpack(key, data)?;
    if order.history.is_empty() { Err(Fault::History(0)) } else { Ok(order) }
}

/// Names of what the fold computes that differs from a fold of the whole history. What differs
/// besides is the one name "its bytes".
pub fn differences(order: &Order, table: &Lifecycle) -> Vec<&'static str> {
    let mut again = order.clone();
    refold(&mut again, table);
    if pack(&again) == pack(order) {
        return Vec::new();
    }
    let folded = [
        ("status", again.status == order.status),
        ("flags", again.flags == order.flags),
        ("latest", again.latest == order.latest),
        ("created_at", again.created_at == order.created_at),
        ("promised_at", again.promised_at == order.promised_at),
        ("ship_by", again.ship_by == order.ship_by),
        ("derived", again.derived == order.derived),
        ("firsts", again.firsts == order.firsts),
        ("course", again.course == order.course),
        ("parcels", again.parcels == order.parcels),
        ("parcel_of", again.parcel_of == order.parcel_of),
    ];
    let mut names: Vec<_> =
        folded.iter().filter(|(_, is_equal)| !is_equal).map(|(name, _)| *name).collect();
    if names.is_empty() {
        names.push("its bytes");
    }
    names
}
