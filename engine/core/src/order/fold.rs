//! The fold: what an order's events, taken as a set, say about it (docs/semantics.md, "State of an
//! order").
//!
//! `step` moves an order by one entry. An entry later than everything held that says nothing new of
//! names is one step; any other is a fold from the beginning, over the history sorted. Both give the
//! same order, which a test holds.

use std::cell::OnceCell;

use crate::lifecycle::{Lifecycle, NO_STATUS, Ways};
use crate::order::names::Names;
use crate::order::parcel_marks::{LATE, MOVED, REPLACED, SETTLED, TURNED, WENT, WITHDRAWN};
use crate::order::parcels::{
    derived_status, end_by, end_replaced, end_turned, end_withdrawn, forward, is_parcels,
    parcel_of, see_names, settle, subject_of, unnamed,
};
use crate::order::walk::{counted, named_of};
use crate::order::{Entry, Fields, First, MovedBy, NO_ENTRY, Order, extras, flags, marks};

/// Extras that say something of names, or that make an entry unusual.
const SPECIAL: [&str; 5] =
    ["references", "replaces", extras::CORRECTED_HASH, extras::CAME_BY, extras::SENT_AT];

/// Fold the whole history from the beginning.
pub fn refold(order: &mut Order, table: &Lifecycle) {
    order.forget();
    let (whole, is_hiding) = counted(order, table);
    let mut start = 0;
    let mut names = place_names(order, &whole);
    for (place, entry) in whole.iter().enumerate() {
        let before = if place > start { whole[place - 1].at } else { entry.at };
        if begins_anew(order, table, entry, before) {
            start = place;
            order.forget();
            order.course.life = entry.number;
            names = place_names(order, &whole[place..]);
        }
        step(order, table, entry, Some(&names));
    }
    if is_hiding {
        order.flags |= flags::HAS_HIDDEN | flags::CORRECTED;
    }
    let is_missing = |entry: &Entry| {
        order.extras_of(entry.number).is_some_and(|fields| fields.has(extras::SENT_AT))
    };
    if !order.extras.is_empty() && whole[start..].iter().any(is_missing) {
        order.flags |= flags::MISSING_TIME;
    }
    order.walked = OnceCell::from(whole[start..].to_vec());
}

/// Find the parcel of each name of the order, by the names of the entries of a walk.
fn place_names(order: &mut Order, walked: &[Entry]) -> Names {
    let names = Names::of(walked.iter().map(|entry| named_of(order, entry)));
    let written = std::mem::take(&mut order.names);
    order.parcel_of = written
        .iter()
        .map(|(shipment, waybill)| order.parcel_number(&names.parcel(shipment, waybill)))
        .collect();
    order.names = written;
    names
}

/// Whether an entry begins a second life; `before` is the time of the one before it.
///
/// The first payment of an order on credit, or cash on delivery, settles it however late it comes.
fn begins_anew(order: &Order, table: &Lifecycle, entry: &Entry, before: i64) -> bool {
    let (row, present) = (&table[entry.status], order.status);
    row.creates
        && present != NO_STATUS
        && table[present].ends
        && entry.at - before >= table.second_life_after_ms
        && (order.first(entry.status).is_some() || !row.regular_after.contains(present))
}

/// Fold an entry that has just been added to the history.
pub fn take(order: &mut Order, table: &Lifecycle, entry: &Entry) {
    if entry.has(marks::REFUSED) {
        return;
    }
    if !is_one_step(order, table, entry) {
        return refold(order, table);
    }
    step(order, table, entry, None);
    if let Some(walked) = order.walked.get_mut() {
        walked.push(*entry);
    }
}

/// Whether an entry is later than everything held, and says nothing new of names.
///
/// Which pings are thinned out doesn't matter: they change nothing but for those that stay.
fn is_one_step(order: &Order, table: &Lifecycle, entry: &Entry) -> bool {
    if usize::from(entry.name) >= order.parcel_of.len() || !is_later(order, entry) {
        return false;
    }
    if order.has(flags::HAS_CORRECTIONS | flags::HAS_HIDDEN) || table[entry.status].is_note {
        return false;
    }
    let is_new = !order.parcels[parcel_of(order, entry)].is_known();
    let (shipment, waybill) = &order.names[usize::from(entry.name)];
    if is_new || !(shipment.is_empty() || waybill.is_empty()) {
        return false;
    }
    if begins_anew(order, table, entry, order.updated_at()) {
        return false;
    }
    let fields = order.extras_of(entry.number);
    fields.is_none_or(|fields| !fields.iter().any(|(name, _)| SPECIAL.contains(&name)))
}

/// Whether an entry comes after the latest one in the walk.
fn is_later(order: &Order, entry: &Entry) -> bool {
    let stamp = (entry.at as u64) << 8 | u64::from(entry.status);
    if stamp != order.latest || order.latest_entry == NO_ENTRY {
        return stamp > order.latest;
    }
    let latest = order.entry(order.latest_entry);
    let ours = (order.sent_name(entry.name), entry.arrival_at, entry.hash);
    ours > (order.sent_name(latest.name), latest.arrival_at, latest.hash)
}

/// Move the order by one entry, the next of the walk; `names` where it may name new parcels.
fn step(order: &mut Order, table: &Lifecycle, entry: &Entry, names: Option<&Names>) {
    let row = &table[entry.status];
    order.latest = (entry.at as u64) << 8 | u64::from(entry.status);
    order.latest_entry = entry.number;
    // 2. Fields, names and announcements are taken.
    if entry.has(marks::HAS_FIELDS) {
        take_fields(order, entry);
    }
    let parcel = parcel_of(order, entry);
    if let Some(names) = names {
        see_names(order, table, entry, parcel, names);
        if named_of(order, entry).replaces().is_some() {
            end_replaced(order, entry, names);
        }
    }
    // 3. A parcel or the order is moved.
    let subject = subject_of(order, table, entry, parcel);
    note_parts(order, table, entry.status, subject);
    // A parcel's DELIVERED is not the order's; that one is derived from the last parcel.
    if !(row.of_both && subject.is_some()) {
        reach(order, entry.status, entry.number);
    }
    if row.logistics && !entry.has(marks::FROM_ENGINE) {
        // An order's own status speaks for its only, unnamed parcel.
        let is_its = is_parcels(table, entry.status, &order.parcels[parcel]);
        let updated = if is_its { parcel } else { unnamed(order) };
        order.parcels[updated].updated_at = entry.at;
    }
    let has_ended = end_by(order, table, entry, parcel);
    let mut has_moved = false;
    if let Some(subject) = subject {
        has_moved = move_parcel(order, table, entry, subject);
    } else if !(has_ended && forward(order).next().is_some()) {
        move_order(order, table, entry, parcel);
    }
    if names.is_some() {
        end_turned(order, table, entry);
    }
    // 6. The order follows its parcels.
    derive(order, table, entry, has_moved);
    if row.creates && order.has(flags::EMBRYO) {
        (order.created_at, order.created_entry) = (entry.at, entry.number);
        order.flags &= !flags::EMBRYO;
    }
}

/// Note the first entry of a status.
fn reach(order: &mut Order, status: u8, entry: i32) {
    if order.first(status).is_none() {
        order.firsts.push(First { status, entry });
    }
}

/// Note that more parcels come by a status, or that no more do by the order's own.
fn note_parts(order: &mut Order, table: &Lifecycle, status: u8, subject: Option<usize>) {
    let course = &mut order.course;
    if !table[status].open_until.is_empty() {
        course.opened_by = status;
        return;
    }
    let is_closing =
        course.opened_by != NO_STATUS && table[course.opened_by].open_until.contains(status);
    if is_closing && subject.is_none() {
        course.opened_by = NO_STATUS;
    }
}

/// Take the order-level fields of an entry that stand in the header; the rest is in extras.
fn take_fields(order: &mut Order, entry: &Entry) {
    let Some(fields) = order.extras_of(entry.number) else { return };
    let number = |fields: &Fields, name: &str| fields.get(name).and_then(|value| value.int());
    let (promised_at, ship_by) = (number(fields, "promised_at"), number(fields, "ship_by"));
    let expected = number(fields, "parcels_expected");
    order.promised_at = promised_at.map_or(order.promised_at, |at| at.max(0));
    order.ship_by = ship_by.map_or(order.ship_by, |at| at.max(0));
    order.course.expected = expected.unwrap_or(order.course.expected);
}

// ---------------------------------------------------------------- 4. the order moves
/// (whether a fact that asks for `status` gets it, how that is flagged); `ways` are those of the
/// present status, None where there is none yet.
pub fn moved(present: u8, status: u8, ways: Option<&Ways>) -> (bool, u32) {
    let is_regular = ways.is_none_or(|ways| ways.regular.contains(status));
    if is_regular || status == present {
        // Not in `regular` by way of a cycle: the same status again is nothing at all.
        return (present != status, 0);
    }
    if ways.is_some_and(|ways| ways.every.contains(status)) {
        return (true, flags::IRREGULAR);
    }
    (false, flags::OUT_OF_SEQUENCE)
}

/// Move an order by an entry of its own, which names the parcel `named`.
fn move_order(order: &mut Order, table: &Lifecycle, entry: &Entry, named: usize) {
    let (status, present) = (entry.status, order.status);
    let row = &table[status];
    if row.is_milestone {
        return;
    }
    let (mut is_taken, mut flagged) = moved(present, status, table.order_ways(present));
    let mut is_withdrawal = false;
    if !is_taken && present != NO_STATUS && present != status {
        let is_shops = order.parcels[named].name.is_empty() && !entry.has(marks::FROM_CARRIER);
        if is_shops && row.withdraws.contains(present) {
            (is_taken, flagged, is_withdrawal) = (true, 0, true);
        } else if row.regular_after.contains(present) {
            flagged = 0;
        }
    }
    order.flags |= flagged;
    if is_taken {
        set_status(order, table, entry, status, false);
    }
    if is_withdrawal && row.withdraws.contains(table.coming_back) {
        end_withdrawn(order, table, entry);
    }
    if order.status == status {
        settle(order, table);
    }
}

/// Bring the order into a status.
fn set_status(order: &mut Order, table: &Lifecycle, entry: &Entry, status: u8, is_derived: bool) {
    let has_gone = order.parcels.iter().any(|parcel| parcel.has(WENT));
    let was_under_way = order.firsts.iter().any(|first| table.under_way.contains(first.status));
    let course = &mut order.course;
    order.status = status;
    (course.is_derived, course.status_entry) = (is_derived, entry.number);
    course.had_gone = has_gone || was_under_way;
    if is_derived {
        order.derived.push(MovedBy { status, entry: entry.number });
        reach(order, status, entry.number);
    }
}

// ---------------------------------------------------------------- 5. a parcel moves
/// Move a parcel; whether it has moved.
fn move_parcel(order: &mut Order, table: &Lifecycle, entry: &Entry, number: usize) -> bool {
    let (row, parcel) = (&table[entry.status], &order.parcels[number]);
    if row.moves_nothing {
        return false;
    }
    let is_whole = row.moves_order.is_some_and(|moves| moves.all_of_them);
    let revives = is_whole || row.turns || parcel.has(WITHDRAWN);
    if parcel.ended_at != 0 && (parcel.has(REPLACED) || !revives) {
        return false;
    }
    if parcel.goes_back() && row.arrives_back != NO_STATUS {
        if parcel.status == row.arrives_back {
            return false;
        }
        place_parcel(order, table, entry, number, row.arrives_back);
        return true;
    }
    let present = parcel.status;
    let (is_taken, flagged) = moved(present, entry.status, table.parcel_ways(present));
    order.flags |= flagged;
    if is_taken {
        place_parcel(order, table, entry, number, entry.status);
    }
    is_taken
}

/// Bring a parcel into a status.
fn place_parcel(order: &mut Order, table: &Lifecycle, entry: &Entry, number: usize, status: u8) {
    let (row, parcel) = (&table[status], &mut order.parcels[number]);
    parcel.status = status;
    parcel.ended_at = if row.ends_parcel { entry.at } else { 0 };
    parcel.marks |= MOVED | if row.turns { TURNED } else { 0 };
    parcel.marks &= !(LATE | WITHDRAWN | SETTLED);
    if row.moves_order.is_some() {
        parcel.marks |= WENT;
    }
    let Some(moves) = table[entry.status].moves_order else { return };
    let onward = if moves.all_of_them { moves.until_all } else { moves.target };
    if !parcel.goes_back() && onward != NO_STATUS {
        order.course.onward = onward;
    }
}

// ---------------------------------------------------------------- 6. derived
/// Move the order to the status that its parcels give it, where that is new.
fn derive(order: &mut Order, table: &Lifecycle, entry: &Entry, has_moved: bool) {
    let before = order.course.derived;
    let new = derived_status(order, table);
    order.course.derived = new;
    let present = order.status;
    if new == NO_STATUS || new == present || !(has_moved || new != before) {
        return;
    }
    if present == NO_STATUS || order.course.is_derived {
        return set_status(order, table, entry, new, true);
    }
    let (is_taken, flagged) = moved(present, new, table.order_ways(present));
    if is_taken && flagged == 0 {
        return set_status(order, table, entry, new, true);
    }
    let is_direct =
        !table.can_be_withdrawn.contains(present) && table[present].irregular.contains(new);
    if is_direct && (table.whole.contains(new) || !order.course.had_gone) {
        order.flags |= flags::IRREGULAR;
        set_status(order, table, entry, new, true);
    }
}
