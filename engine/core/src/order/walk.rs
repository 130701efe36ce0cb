//! The walk: the entries of a history that count, in the order in which the fold takes them
//! (docs/semantics.md, "What counts").
//!
//! Left out are refused commands, what was corrected, what came by a number that no entry with the
//! order's id names any more, pings that were thinned out, and lives before the present one.

use std::borrow::Cow;

use foldhash::{HashMap, HashSet};

use crate::instants::HOUR_MS;
use crate::lifecycle::Lifecycle;
use crate::normal_form::as_waybill;
use crate::order::names::{Named, Number, numbers_named};
use crate::order::{Entry, NO_ENTRY, Order, extras, flags, marks};

/// Beyond so many events in all, pings are thinned.
pub const MAX_PINGS: usize = 500;

/// The entries that count, in the order in which the fold takes them; of the present life.
pub fn walk<'a>(order: &'a Order, table: &Lifecycle) -> &'a [Entry] {
    order.walked.get_or_init(|| {
        let (whole, _) = counted(order, table);
        let life = order.course.life;
        let begins = |entry: &Entry| entry.number == life;
        let start = if life == NO_ENTRY { None } else { whole.iter().position(begins) };
        match start.unwrap_or(0) {
            0 => whole,
            start => whole[start..].to_vec(),
        }
    })
}

/// (the entries that count, of all lives; whether any doesn't, but for what was thinned out).
pub fn counted(order: &Order, table: &Lifecycle) -> (Vec<Entry>, bool) {
    let mut counting = Vec::with_capacity(order.history.len());
    counting.extend(order.entries().filter(|entry| !entry.has(marks::REFUSED)));
    leave_out_thinned(order, &mut counting, table);
    let kept = counting.len();
    if order.has(flags::HAS_CORRECTIONS) {
        let corrected = |extras: &crate::order::Extras| {
            extras.fields.get(extras::CORRECTED_HASH).and_then(|hash| hash.hash())
        };
        let corrected: HashSet<u64> = order.extras.iter().filter_map(corrected).collect();
        counting.retain(|entry| !corrected.contains(&entry.hash));
    }
    leave_out_unknown_numbers(order, &mut counting, table);
    let hides = counting.len() < kept;
    sort(order, &mut counting);
    counting.retain(|entry| !table[entry.status].is_note);
    (counting, hides)
}

/// Sort entries by time, rank of the status, name as sent, arrival and hash.
fn sort(order: &Order, counting: &mut [Entry]) {
    let place = |entry: &Entry| (entry.at, entry.status);
    if counting.is_sorted_by(|one, two| place(one) < place(two)) {
        return; // nothing that the names would decide
    }
    let sent = sent_names(order);
    counting.sort_by(|one, two| {
        let name = |entry: &Entry| &sent[usize::from(entry.name)];
        place(one)
            .cmp(&place(two))
            .then_with(|| name(one).cmp(name(two)))
            .then_with(|| (one.arrival_at, one.hash).cmp(&(two.arrival_at, two.hash)))
    });
}

fn sent_names(order: &Order) -> Vec<Cow<'_, str>> {
    (0..order.names.len()).map(|name| order.sent_name(name as u8)).collect()
}

/// Leave out the entries that came by a number that no entry with the order's id names; a note
/// names none.
fn leave_out_unknown_numbers(order: &Order, counting: &mut Vec<Entry>, table: &Lifecycle) {
    if !counting.iter().any(|entry| entry.has(marks::BY_NUMBER)) {
        return;
    }
    let names = |entry: &&Entry| !entry.has(marks::BY_NUMBER) && !table[entry.status].is_note;
    let known = numbers_named(counting.iter().filter(names).map(|entry| named_of(order, entry)));
    counting.retain(|entry| !entry.has(marks::BY_NUMBER) || known.contains(&came_by(order, entry)));
}

/// The number by which an entry came: by default its own waybill.
fn came_by(order: &Order, entry: &Entry) -> Number {
    let via = order.extras_of(entry.number).and_then(|fields| fields.get(extras::CAME_BY));
    let Some(via) = via else {
        let (_, waybill) = &order.names[usize::from(entry.name)];
        return ("waybill".to_owned(), as_waybill(waybill).into_owned());
    };
    let mut texts = via.list().iter().map(|part| part.text().unwrap_or_default().to_owned());
    (texts.next().unwrap_or_default(), texts.next().unwrap_or_default())
}

/// An entry as far as names go.
pub fn named_of<'a>(order: &'a Order, entry: &Entry) -> Named<'a> {
    let (shipment, waybill) = &order.names[usize::from(entry.name)];
    Named { entry: entry.number, shipment, waybill, fields: order.extras_of(entry.number) }
}

/// Whether an entry is a sign of life and nothing else.
pub fn is_ping(entry: &Entry, table: &Lifecycle) -> bool {
    table[entry.status].moves_nothing && !entry.has(marks::HAS_FIELDS)
}

/// Keep of the pings the first and last of each parcel and hour, once there are many events.
fn leave_out_thinned(order: &Order, held: &mut Vec<Entry>, table: &Lifecycle) {
    if held.len() + order.thinned.len() <= MAX_PINGS {
        return;
    }
    let kept = lasting_pings(order, held, table);
    held.retain(|entry| !is_ping(entry, table) || kept.contains(&entry.number));
}

/// The pings that stay: of each parcel, as sent, and hour the first and last by (time, hash).
pub fn lasting_pings(order: &Order, held: &[Entry], table: &Lifecycle) -> HashSet<i32> {
    let sent = sent_names(order);
    let mut ends: HashMap<(&str, i64), (&Entry, &Entry)> = HashMap::default();
    let when = |entry: &Entry| (entry.at, entry.hash);
    for entry in held.iter().filter(|entry| is_ping(entry, table)) {
        let group = (&*sent[usize::from(entry.name)], entry.at.div_euclid(HOUR_MS));
        let (first, last) = ends.entry(group).or_insert((entry, entry));
        if when(entry) < when(first) {
            *first = entry;
        }
        if when(entry) > when(last) {
            *last = entry;
        }
    }
    ends.values().flat_map(|(first, last)| [first.number, last.number]).collect()
}
