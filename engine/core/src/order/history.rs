//! Adding a fact to an order: its limits, its entry in the history, and the pings that leave it
//! (docs/semantics.md, "Events and arrival" and "Commands").

use std::collections::HashSet;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::instants::{DAY_MS, civil, day_of};
use crate::lifecycle::{Lifecycle, NO_STATUS};
use crate::msgpack::{Raw, Value, write_hash, write_int, write_list, write_text};
use crate::normal_form::as_waybill;
use crate::order::fold::{refold, take};
use crate::order::limits::{fitting, unread};
use crate::order::names::announced;
use crate::order::side::{self, keep_side};
use crate::order::walk::{MAX_PINGS, is_ping, lasting_pings};
use crate::order::{Done, Entry, Extras, Fields, Order, extras, flags, marks};
use crate::refusal::Refusal;
use crate::symbols::Symbols;

/// Most entries of an order that are no pings.
pub const MAX_ENTRIES: usize = 2_000;
/// Most parcels of an order.
pub const MAX_SHIPMENTS: usize = 250;
/// Age (ms) of a retired order that nothing recalls any more.
pub const COLD_LIMIT_MS: i64 = 400 * DAY_MS;
const INSTANT_BITS: u32 = 42;
const THINNED_AT_ONCE: usize = 64; // pings leave the history when there are so many to go
const ENGINE_SOURCES: [&str; 4] = ["rule:", "action:", "note:", "eta:"];

/// Form of the fields that are read later.
const SHAPES: [(&str, Check); 11] = [
    ("references", |value| is_map(value, has_numbers)),
    ("planned", |value| is_map(value, |at| at.int().is_some())),
    ("attributes", |value| is_map(value, |_| true)),
    ("readings", |value| is_map(value, |_| true)),
    ("promised_at", |value| value.int().is_some()),
    ("ship_by", |value| value.int().is_some()),
    ("parcels_expected", |value| value.int().is_some()),
    ("customer_id", |value| value.text().is_some()),
    ("supplier_id", |value| value.text().is_some()),
    ("replaces", |value| value.text().is_some()),
    ("carrier", |value| value.text().is_some()),
];

type Check = fn(Raw<'_>) -> bool;

fn is_map(value: Raw<'_>, is_sound: Check) -> bool {
    match value.value() {
        Value::Map(pairs) => pairs.iter().all(|(key, each)| key.text().is_some() && is_sound(each)),
        _ => false,
    }
}

fn has_numbers(value: Raw<'_>) -> bool {
    match value.value() {
        Value::List(numbers) => numbers.iter().all(|number| number.text().is_some()),
        _ => false,
    }
}

/// The reason for which a fact was not added.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// It is refused; the order is as it was, but for a flag.
    Refused(Refusal),
    /// It can't be evaluated.
    Fault(Fault),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

/// Whether a command may have what it asks for, by the facts that arrived before it.
pub fn permitted(order: &Order, fact: &Fact, table: &Lifecycle) -> bool {
    if order.status == NO_STATUS || order.created_at == 0 {
        return table[fact.status].creates;
    }
    table[order.status].order_ways.next.contains(fact.status)
}

/// Refuse (`order_closed`) a fact that comes too late for an order that was to retire at
/// `retires_at`; but not one that creates: it may begin a second life.
pub fn check_open(fact: &Fact, retires_at: i64, table: &Lifecycle) -> Result<(), Refusal> {
    if fact.arrival_at - retires_at > COLD_LIMIT_MS && !table[fact.status].creates {
        let days = COLD_LIMIT_MS / DAY_MS;
        let reason = format!("it retired over {days} days before this arrived");
        return Err(Refusal::new("order_closed", reason));
    }
    Ok(())
}

/// Add a fact to the history and fold it; a refused command is kept and left out of the fold.
///
/// Refusals are `order_history_full`, `too_many_shipments` and `too_many_names`.
pub fn add(
    order: &mut Order,
    fact: &Fact,
    table: &Lifecycle,
    sources: &mut Symbols,
    refused: bool,
) -> Result<(), Stop> {
    check_shapes(fact)?;
    check_instants(fact)?;
    check_room(order, fact, table)?;
    check_shipments(order, fact)?;
    if order.history.is_empty() {
        order.period = period_of(fact.arrival_at);
    }
    let entry = entry_of(order, fact, sources, refused)?;
    order.history.push(entry.words());
    let kept = extras_of(order, fact, table, refused);
    if !kept.is_empty() {
        order.extras.push(Extras { entry: entry.number, fields: kept });
    }
    if refused {
        return Ok(());
    }
    if fact.corrects != 0 {
        order.flags |= flags::HAS_CORRECTIONS;
    }
    if entry.has(marks::FROM_ENGINE) {
        order.flags |= flags::HAS_ENGINE;
    }
    if fact.side.is_some() {
        keep_side(order, fact, &entry)?;
    }
    order.version += 1;
    order.terms = None;
    let keeps_walk = order.walked.get().is_some();
    take(order, table, &entry);
    if !keeps_walk {
        order.walked.take();
    }
    thin_out(order, table);
    Ok(())
}

/// Check that fields which are read later have the form that the door gives them.
fn check_shapes(fact: &Fact) -> Result<(), Fault> {
    let carried = [&fact.fields, &fact.side].into_iter().flatten().flat_map(Fields::iter);
    for (name, value) in carried {
        let checked = SHAPES.iter().find(|(checked, _)| *checked == name);
        if let Some((name, _)) = checked.filter(|(_, is_sound)| !is_sound(value)) {
            return Err(Fault::Kind(name));
        }
    }
    Ok(())
}

/// Check that the instants of a fact fit into an entry.
fn check_instants(fact: &Fact) -> Result<(), Fault> {
    let fits = |at: &i64| (0..1 << INSTANT_BITS).contains(at);
    let unfit = [fact.at, fact.arrival_at].into_iter().find(|at| !fits(at));
    unfit.map_or(Ok(()), |at| Err(Fault::Unstorable(at)))
}

/// What is kept of a fact besides its entry: order-level fields, and what is unusual of it.
fn extras_of(order: &mut Order, fact: &Fact, table: &Lifecycle, refused: bool) -> Fields {
    let mut kept = match &fact.fields {
        None => Fields::default(),
        Some(fields) if refused => unread(fields),
        Some(fields) => match fitting(order, fields, table.order_fields_bytes) {
            None => fields.clone(),
            Some(fitting) => {
                order.flags |= flags::ORDER_FULL;
                fitting
            }
        },
    };
    if fact.corrects != 0 && !refused {
        kept.add(extras::CORRECTED_HASH, |out| write_hash(out, fact.corrects));
    }
    if let Some((kind, number)) = &fact.via {
        if kind != "waybill" || *number != as_waybill(&fact.waybill) {
            kept.add(extras::CAME_BY, |out| {
                write_list(out, 2);
                write_text(out, kind);
                write_text(out, number);
            });
        }
    }
    if let Some(sent_at) = fact.sent_at {
        kept.add(extras::SENT_AT, |out| write_int(out, sent_at));
    }
    kept
}

/// Refuse a fact that would take the order over its limits; flag the order then.
fn check_room(order: &mut Order, fact: &Fact, table: &Lifecycle) -> Result<(), Refusal> {
    if order.history.len() < MAX_ENTRIES || has_room(order, table, fact) {
        return Ok(());
    }
    mark_full(order);
    let reason = format!("the order has {MAX_ENTRIES} events already");
    Err(Refusal::new("order_history_full", reason))
}

/// Flag an order of which an event is refused, as it is over a limit.
fn mark_full(order: &mut Order) {
    if !order.has(flags::HISTORY_FULL) {
        order.flags |= flags::HISTORY_FULL;
        order.version += 1; // what is published changes, so its version has to
    }
}

/// Whether a fact fits: pings and all other entries have a limit each.
fn has_room(order: &Order, table: &Lifecycle, fact: &Fact) -> bool {
    let may_hold = order.firsts.iter().any(|first| table[first.status].moves_nothing);
    let pings = order.entries().filter(|entry| may_hold && is_ping(entry, table)).count();
    if table[fact.status].moves_nothing && fact.fields.is_none() {
        return pings < MAX_ENTRIES + MAX_PINGS;
    }
    order.history.len() - pings < MAX_ENTRIES
}

/// Take pings that don't count any more out of the history; their hashes stay.
///
/// Not those that an alert is open for, nor the latest arrival: retirement counts from it.
fn thin_out(order: &mut Order, table: &Lifecycle) {
    if order.history.len() + order.thinned.len() <= MAX_PINGS {
        return;
    }
    let held: Vec<Entry> = order.entries().filter(|entry| !entry.has(marks::REFUSED)).collect();
    let mut kept = lasting_pings(order, &held, table);
    kept.extend(order.alerts.iter().map(|alert| alert.anchor));
    kept.insert(order.history.len() as i32 - 1);
    let goes = |entry: &&Entry| is_ping(entry, table) && !kept.contains(&entry.number);
    let going: Vec<i32> = held.iter().filter(goes).map(|entry| entry.number).collect();
    if going.len() < THINNED_AT_ONCE {
        return;
    }
    order.thinned.extend(going.iter().map(|&entry| order.history[entry as usize][2]));
    renumber(order, &going);
    refold(order, table);
}

/// Take entries out of the history, and name those that stay by their new numbers.
fn renumber(order: &mut Order, going: &[i32]) {
    let going: HashSet<i32> = going.iter().copied().collect();
    let mut place = 0;
    let new: Vec<Option<i32>> = (0..order.history.len() as i32)
        .map(|number| {
            let stays = !going.contains(&number);
            place += i32::from(stays);
            stays.then(|| place - 1)
        })
        .collect();
    let new_of = |number: i32| new.get(usize::try_from(number).ok()?).copied().flatten();
    let mut number = 0;
    order.history.retain(|_| {
        number += 1;
        new[number - 1].is_some()
    });
    order.extras.retain_mut(|extras| match new_of(extras.entry) {
        Some(number) => {
            extras.entry = number;
            true
        }
        None => false,
    });
    for alert in &mut order.alerts {
        alert.anchor = new_of(alert.anchor).expect("an entry with an open alert stays");
    }
    order.done.retain(|done| new_of(done.anchor).is_some() || done.is_fault());
    for done in &mut order.done {
        let Done { anchor, .. } = *done;
        done.anchor = new_of(anchor).unwrap_or(anchor);
    }
    for held in order.side.iter_mut().flatten() {
        side::renumber(held, &new);
    }
    order.terms = None;
    order.walked.take();
}

/// Refuse a fact that names or announces more parcels than an order can number; flag it then.
fn check_shipments(order: &mut Order, fact: &Fact) -> Result<(), Refusal> {
    let written = announced(fact.fields.as_ref());
    let held = order.parcels.len().max(order.names.len());
    if held + 1 + written.count() <= MAX_SHIPMENTS {
        return Ok(());
    }
    let mut names: HashSet<(&str, &str)> =
        order.names.iter().map(|(shipment, waybill)| (&**shipment, &**waybill)).collect();
    names.insert((&fact.shipment, &fact.waybill));
    let written = std::iter::once(fact.parcel()).chain(announced(fact.fields.as_ref()));
    let mut parcels: HashSet<_> = written.map(as_waybill).collect();
    parcels.extend(order.parcels.iter().map(|parcel| parcel.name.as_str().into()));
    let count = parcels.len().max(names.len());
    if count <= MAX_SHIPMENTS {
        return Ok(());
    }
    mark_full(order);
    let reason = format!("the order would have {count} parcels; at most {MAX_SHIPMENTS} are taken");
    Err(Refusal::new("too_many_shipments", reason))
}

/// The fact as an entry of this order.
fn entry_of(
    order: &mut Order,
    fact: &Fact,
    sources: &mut Symbols,
    refused: bool,
) -> Result<Entry, Refusal> {
    let is_engines = ENGINE_SOURCES.iter().any(|prefix| fact.source.starts_with(prefix));
    let marked = [
        (refused, marks::REFUSED),
        (is_engines, marks::FROM_ENGINE),
        (fact.source.starts_with("carrier:"), marks::FROM_CARRIER),
        (fact.via.is_some(), marks::BY_NUMBER),
        (fact.fields.is_some(), marks::HAS_FIELDS),
        (fact.corrects != 0, marks::CORRECTS),
        (fact.command, marks::COMMAND),
    ];
    let name = order.name_number(&fact.shipment, &fact.waybill);
    let source = sources.number(&fact.source)?;
    Ok(Entry {
        number: order.history.len() as i32,
        at: fact.at,
        status: fact.status,
        name,
        marks: marked.iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| mark).sum(),
        arrival_at: fact.arrival_at,
        source,
        hash: fact.hash,
    })
}

/// Year * 12 + month - 1 of an instant, UTC: the warm period of an order.
fn period_of(instant: i64) -> i64 {
    let (year, month, _) = civil(day_of(instant));
    year * 12 + month - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_month() {
        assert_eq!(period_of(0), 1970 * 12);
        assert_eq!(period_of(1_709_164_800_000), 2024 * 12 + 1); // 2024-02-29
        assert_eq!(period_of(1_709_251_200_000), 2024 * 12 + 2); // 2024-03-01
        assert_eq!(period_of(1_735_689_599_999), 2024 * 12 + 11);
    }
}
