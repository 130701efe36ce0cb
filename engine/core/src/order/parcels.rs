//! Parcels of an order in the fold: how they become known, end, and what they give the order
//! (docs/semantics.md, "Parcels and their names" and "Steps of the walk", 3 and 6).

use crate::lifecycle::{Lifecycle, Move, NO_STATUS};
use crate::normal_form::{as_number, as_waybill};
use crate::order::names::{Names, announced};
use crate::order::parcel_marks::{
    KNOWN, LATE, REPLACED, RETURN, SETTLED, SPELLED, TURNED, WENT, WITHDRAWN,
};
use crate::order::walk::named_of;
use crate::order::{Entry, Order, Parcel, marks};

/// Whether a status, of an entry that names `parcel`, is the parcel's and not the order's.
pub fn is_parcels(table: &Lifecycle, status: u8, parcel: &Parcel) -> bool {
    table[status].of_shipment && (!parcel.name.is_empty() || !table[status].of_order)
}

/// Whether an entry's status is its parcel's, and not the order's.
pub fn is_of_its_parcel(order: &Order, table: &Lifecycle, entry: &Entry) -> bool {
    let parcel = &order.parcels[parcel_of(order, entry)];
    is_parcels(table, entry.status, parcel) || order.course.partial.contains(&entry.number)
}

/// The number of the parcel that an entry names.
pub fn parcel_of(order: &Order, entry: &Entry) -> usize {
    usize::from(order.parcel_of[usize::from(entry.name)])
}

/// The parcel that the entry's status moves, which names `parcel`; None: it moves the order.
pub fn subject_of(
    order: &mut Order,
    table: &Lifecycle,
    entry: &Entry,
    parcel: usize,
) -> Option<usize> {
    let named = &order.parcels[parcel];
    if is_parcels(table, entry.status, named) {
        order.parcels[parcel].marks |= KNOWN;
        return Some(parcel);
    }
    if !(table[entry.status].of_both && entry.has(marks::FROM_CARRIER)) {
        return None;
    }
    let comes_back = named.is_known() && named.goes_back();
    if !(comes_back || has_several(order)) {
        return None;
    }
    order.parcels[parcel].marks |= KNOWN;
    order.course.partial.push(entry.number);
    Some(parcel)
}

/// Whether more than one parcel is expected, or named on the way forward, so far.
fn has_several(order: &Order) -> bool {
    let is_more = order.course.expected > 1 || order.course.opened_by != NO_STATUS;
    is_more || forward(order).filter(|parcel| !parcel.name.is_empty()).count() > 1
}

/// The number of the order's only, unnamed parcel.
pub fn unnamed(order: &mut Order) -> usize {
    let number = usize::from(order.parcel_number(""));
    order.parcels[number].marks |= KNOWN;
    number
}

/// Make the parcels known that an entry names (`parcel`) or announces.
pub fn see_names(
    order: &mut Order,
    table: &Lifecycle,
    entry: &Entry,
    parcel: usize,
    names: &Names,
) {
    let (shipment, waybill) = &order.names[usize::from(entry.name)];
    let written = if waybill.is_empty() { shipment } else { waybill }.clone();
    know(order, table, entry, parcel, &written, names);
    let others: Vec<String> = announced(order.extras_of(entry.number)).map(str::to_owned).collect();
    for written in &others {
        let other = usize::from(order.parcel_number(&as_waybill(written)));
        know(order, table, entry, other, written, names);
    }
}

/// Make a parcel known, which an entry names as `written`.
fn know(
    order: &mut Order,
    table: &Lifecycle,
    entry: &Entry,
    number: usize,
    written: &str,
    names: &Names,
) {
    let is_late = table.whole.contains(order.course.derived);
    let parcel = &mut order.parcels[number];
    // A shipment that is joined with a waybill goes by that.
    let is_its_name = || parcel.name == as_waybill(written) || parcel.name == as_number(written);
    if !parcel.has(SPELLED) && is_its_name() {
        parcel.spelling = if written == parcel.name { "" } else { written }.into();
        parcel.marks |= SPELLED;
    }
    if parcel.is_known() {
        return;
    }
    parcel.marks |= KNOWN;
    parcel.announced = entry.number;
    if parcel.name.is_empty() {
        return;
    }
    if names.is_return(&parcel.name) || entry.status == table.coming_back {
        parcel.marks |= RETURN;
    }
    if names.is_replaced_before(&parcel.name, entry.number) {
        parcel.ended_at = entry.at;
        parcel.marks |= REPLACED;
    }
    if is_late {
        parcel.marks |= LATE;
    }
}

/// End the parcel that the successor which an entry announces replaces.
pub fn end_replaced(order: &mut Order, entry: &Entry, names: &Names) {
    let meant = names.replaced_by(&named_of(order, entry));
    for parcel in &mut order.parcels {
        if parcel.is_known() && meant.contains(parcel.name.as_str()) {
            parcel.marks |= REPLACED;
            if parcel.ended_at == 0 {
                parcel.ended_at = entry.at;
            }
        }
    }
}

/// End the parcels that an entry, which names `named`, ends where they are (`ends_with`); whether
/// there were any.
pub fn end_by(order: &mut Order, table: &Lifecycle, entry: &Entry, named: usize) -> bool {
    let names_none = order.parcels[named].name.is_empty();
    let mut has_ended = false;
    for (number, parcel) in order.parcels.iter_mut().enumerate() {
        if !parcel.counts() || parcel.status == NO_STATUS {
            continue;
        }
        let ends = table[parcel.status].ends_with.contains(entry.status);
        if ends && (names_none || number == named) {
            parcel.ended_at = entry.at;
            has_ended = true;
        }
    }
    has_ended
}

/// End turned parcels: what is in them travels under the number of a return parcel.
pub fn end_turned(order: &mut Order, table: &Lifecycle, entry: &Entry) {
    let comes = |parcel: &Parcel| parcel.has(RETURN) && parcel.announced == entry.number;
    if !order.parcels.iter().any(comes) {
        return;
    }
    for parcel in &mut order.parcels {
        if parcel.has(TURNED) && parcel.counts() && !has_arrived(table, parcel) {
            parcel.ended_at = entry.at;
        }
    }
}

/// End the parcels on their way back, as their return was withdrawn, until they move again.
pub fn end_withdrawn(order: &mut Order, table: &Lifecycle, entry: &Entry) {
    for parcel in &mut order.parcels {
        if parcel.counts() && parcel.goes_back() && !has_arrived(table, parcel) {
            parcel.ended_at = entry.at;
            parcel.marks |= WITHDRAWN;
        }
    }
}

/// Cover parcels that have not arrived by the order's own status, which says that they did.
pub fn settle(order: &mut Order, table: &Lifecycle) {
    let forward_too = table.settles.contains(order.status);
    let back_too = table.settles_back.contains(order.status);
    if !(forward_too || back_too) {
        return;
    }
    for parcel in &mut order.parcels {
        let is_covered = if parcel.goes_back() {
            back_too && !has_arrived(table, parcel)
        } else {
            forward_too && all_have(table, std::iter::once(&*parcel)).is_none()
        };
        if parcel.counts() && is_covered {
            parcel.marks |= SETTLED;
        }
    }
}

/// Whether a parcel on its way back is at the sender's.
fn has_arrived(table: &Lifecycle, parcel: &Parcel) -> bool {
    parcel.goes_back() && parcel.status != NO_STATUS && parcel.status == table.arrived_back
}

/// Whether a parcel counts and has set out on the way back: a label alone moves no order.
fn is_back(table: &Lifecycle, parcel: &Parcel) -> bool {
    parcel.counts()
        && parcel.goes_back()
        && (parcel.has(TURNED | WENT) || has_arrived(table, parcel))
}

/// The named parcels that are known, by number; the unnamed one only without any of these.
pub fn numbered(order: &Order) -> impl Iterator<Item = (u8, &Parcel)> + Clone {
    let is_named = |parcel: &Parcel| parcel.is_known() && !parcel.name.is_empty();
    let some_are = order.parcels.iter().any(is_named);
    let is_meant =
        move |parcel: &Parcel| parcel.is_known() && !(some_are && parcel.name.is_empty());
    (0..).zip(&order.parcels).filter(move |(_, parcel)| is_meant(parcel))
}

fn meant(order: &Order) -> impl Iterator<Item = &Parcel> + Clone {
    numbered(order).map(|(_, parcel)| parcel)
}

/// The parcels that count and go forward.
pub fn forward(order: &Order) -> impl Iterator<Item = &Parcel> + Clone {
    meant(order).filter(|parcel| parcel.counts() && !parcel.has(RETURN | TURNED | LATE))
}

/// The status that all parcels, as known so far, give their order; `NO_STATUS` for none.
pub fn derived_status(order: &Order, table: &Lifecycle) -> u8 {
    let here = forward(order);
    let back = meant(order).filter(|parcel| is_back(table, parcel));
    let is_under_way = || back.clone().any(|parcel| !has_arrived(table, parcel));
    let count = here.clone().count();
    let is_complete = are_all(order, count + gone(order, table));
    if let Some(all) = all_have(table, here).filter(|_| is_complete) {
        if is_under_way() {
            return table.coming_back;
        }
        let is_returned =
            back.clone().any(|parcel| parcel.has(RETURN) && has_arrived(table, parcel));
        return if is_returned { table.arrived_back } else { all.target };
    }
    if count > 0 || !is_complete {
        return order.course.onward;
    }
    if is_under_way() {
        return table.coming_back;
    }
    if back.clone().next().is_some() { table.arrived_back } else { NO_STATUS }
}

/// Whether so many parcels are all that come, as far as that is known.
fn are_all(order: &Order, count: usize) -> bool {
    match order.course.expected {
        0 => order.course.opened_by == NO_STATUS,
        expected => count as i64 >= expected,
    }
}

/// The `moves_order` of when = "all" that the statuses of all these parcels have.
fn all_have<'a>(table: &Lifecycle, mut here: impl Iterator<Item = &'a Parcel>) -> Option<Move> {
    let moves = |parcel: &Parcel| table.statuses.get(usize::from(parcel.status))?.moves_order;
    let first = moves(here.next()?).filter(|first| first.all_of_them)?;
    here.all(|parcel| moves(parcel) == Some(first)).then_some(first)
}

/// The parcels that came and were turned, or that won't come: cancelled, refunded, lost.
fn gone(order: &Order, table: &Lifecycle) -> usize {
    let is_gone = |parcel: &&Parcel| {
        !parcel.has(RETURN | REPLACED)
            && (parcel.has(TURNED) || (parcel.ended_at != 0 && has_gone(table, parcel)))
    };
    meant(order).filter(is_gone).count()
}

/// Whether an ended parcel was one that was to come; a void label was none.
fn has_gone(table: &Lifecycle, parcel: &Parcel) -> bool {
    let Some(row) = table.statuses.get(usize::from(parcel.status)) else { return false };
    (row.ends_parcel && row.of_order) || !row.ends_with.is_empty()
}
