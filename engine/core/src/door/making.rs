//! Making: from a checked event to what follows from it (`dataflows/core/intake.py`).

use std::collections::HashSet;

use super::event::{Destination, Event, Location, Text};
use super::{Door, Table};
use crate::fact::Fact;
use crate::keys::{SEPARATOR, event_hash, order_key};
use crate::msgpack::{
    write_all, write_float, write_int, write_list, write_map, write_optional, write_text,
};
use crate::normal_form::{WAYBILL_KINDS, as_kind};
use crate::order::Fields;

const WAYBILL: &str = "waybill";

/// A plain event, decoded; its arrival and place are missing still.
#[derive(Clone, Debug)]
pub struct Plain {
    /// The fact, without arrival, topic, partition and offset.
    pub(super) fact: Fact,
    /// Order that the event names.
    pub(super) order_id: Option<String>,
    /// Its tenant.
    pub(super) tenant: String,
    /// Name of its carrier in the form in which carriers are compared; "" without.
    pub(super) carrier: String,
    /// Numbers that it registers, or the one by which it asks for its order.
    pub(super) numbers: Vec<Number>,
    /// Arrival of recorded history: `recorded_at`, else the event's own time.
    pub recorded_at: i64,
}

impl Plain {
    /// When it happened.
    pub fn at(&self) -> i64 {
        self.fact.at
    }

    /// Source of the event.
    pub fn source(&self) -> &str {
        &self.fact.source
    }

    /// Id of the event.
    pub fn event_id(&self) -> &str {
        &self.fact.event_id
    }
}

/// A number of an event.
#[derive(Clone, Debug)]
pub(super) struct Number {
    /// Its key: tenant, kind and normal form.
    pub key: String,
    /// Its kind; a return's is a waybill.
    pub kind: String,
    /// Its normal form.
    pub normal: String,
}

/// What follows from an event; None where its numbers or its time aren't plain.
pub(super) fn made(event: Event<'_>, data: &[u8], door: &Door) -> Option<Plain> {
    let table = &door.table;
    let listed = event.references.iter().flatten().flat_map(|(_, numbers)| numbers);
    if !event.waybill.iter().chain(listed).all(|number| door.is_number(number)) {
        return None;
    }
    let at =
        event.at.filter(|at| (table.limits.earliest_at..table.limits.latest_at).contains(at))?;
    let tenant = event.tenant.as_deref().unwrap_or(&table.default_tenant);
    let (source, event_id) = (event.source.as_deref()?, event.event_id.as_deref()?);
    let order_id = event.order_id.as_deref();
    let status = event.status?;
    let mut numbers = numbers_of(&event, tenant);
    match order_id {
        None => numbers.truncate(1),
        Some(_) if table.is_note.get(usize::from(status)) != Some(&false) => numbers.clear(),
        Some(_) => (),
    }
    if order_id.is_none() && numbers.is_empty() {
        return None;
    }
    let carrier = match event.carrier.as_deref() {
        Some(name) => compared(name, table)?,
        None => String::new(),
    };
    let parcel = event.waybill.as_deref().or(event.shipment.as_deref());
    let via = numbers.first().filter(|_| order_id.is_none());
    let fact = Fact {
        key: order_key(tenant, order_id.unwrap_or_default()),
        at,
        status,
        shipment: owned(&event.shipment),
        waybill: owned(&event.waybill),
        hash: event_hash(source, event_id),
        source: source.to_owned(),
        event_id: event_id.to_owned(),
        raw: data.to_vec(),
        command: event.is_command.unwrap_or_default(),
        counted: true,
        corrects: event.corrects.as_deref().map_or(0, |corrected| event_hash(source, corrected)),
        fields: fields_of(&event, parcel, table)?,
        side: side_of(&event, parcel, table)?,
        operator: event.operator.as_deref().map(str::to_owned),
        ip: event.ip.as_deref().map(str::to_owned),
        via: via.map(|number| (number.kind.clone(), number.normal.clone())),
        ..Fact::default()
    };
    Some(Plain {
        fact,
        order_id: order_id.map(str::to_owned),
        tenant: tenant.to_owned(),
        carrier,
        numbers,
        recorded_at: event.recorded_at.unwrap_or(at),
    })
}

impl Door {
    /// Whether a number is plainly one. What isn't ASCII may be a placeholder in another case.
    fn is_number(&self, number: &str) -> bool {
        let trimmed = number.trim_matches(' ');
        number.is_ascii()
            && (trimmed.len() > self.longest_placeholder
                || !self.table.placeholders.contains(&trimmed.to_ascii_lowercase()))
    }
}

fn owned(text: &Option<Text<'_>>) -> String {
    text.as_deref().unwrap_or_default().to_owned()
}

/// A carrier's name in the form in which carriers are compared: NFKC, lower case, without white
/// space. None where that isn't plain: ASCII and unified ideographs have no other form.
fn compared(name: &str, table: &Table) -> Option<String> {
    if !name.chars().all(|each| each.is_ascii() || matches!(each, '\u{4E00}'..='\u{9FFF}')) {
        return None;
    }
    let mut form = name.to_ascii_lowercase();
    form.retain(|each| each != ' ');
    Some(table.carriers.get(&form).cloned().unwrap_or(form))
}

/// All numbers that an event names, its waybill first, each once.
fn numbers_of(event: &Event<'_>, tenant: &str) -> Vec<Number> {
    let number = |kind: &str, number: &str| {
        let known = if WAYBILL_KINDS.contains(&kind) { WAYBILL } else { kind };
        let normal = as_kind(kind, number).into_owned();
        let key = format!("{tenant}{SEPARATOR}{known}{SEPARATOR}{normal}");
        Number { key, kind: known.to_owned(), normal }
    };
    let mut found: Vec<Number> = event.waybill.iter().map(|each| number(WAYBILL, each)).collect();
    let mut references: Vec<_> = event.references.iter().flatten().collect();
    references.sort_unstable_by(|(one, _), (two, _)| one.cmp(two));
    for (kind, numbers) in references {
        found.extend(numbers.iter().map(|each| number(kind, each)));
    }
    if found.len() > 1 {
        let mut seen = HashSet::with_capacity(found.len());
        found.retain(|each| seen.insert(each.key.clone()));
    }
    found
}

/// Pairs of name and value in the making.
#[derive(Default)]
struct Pairs {
    count: usize,
    packed: Vec<u8>,
}

impl Pairs {
    fn add(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.count += 1;
        write_text(&mut self.packed, name);
        write(&mut self.packed);
    }

    fn add_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.add(name, |out| write_text(out, text));
        }
    }

    fn add_number(&mut self, name: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.add(name, |out| write_int(out, number));
        }
    }

    fn add_degrees(&mut self, name: &str, degrees: Option<f64>) {
        if let Some(degrees) = degrees {
            self.add(name, |out| write_float(out, degrees));
        }
    }

    fn add_pairs(&mut self, name: &str, pairs: Pairs) {
        if pairs.count > 0 {
            self.add(name, |out| {
                write_map(out, pairs.count);
                out.extend_from_slice(&pairs.packed);
            });
        }
    }

    fn fields(self) -> Option<Fields> {
        (self.count > 0).then(|| Fields::of(self.count, &self.packed))
    }
}

/// The order-level fields that the event carries; the inner None without any.
fn fields_of(event: &Event<'_>, parcel: Option<&str>, table: &Table) -> Option<Option<Fields>> {
    let mut found = Pairs::default();
    found.add_number("promised_at", event.promised_at);
    found.add_number("ship_by", event.ship_by);
    let mut planned = Pairs::default();
    for (name, at) in event.planned.iter().flatten() {
        planned.add_number(name, Some(*at));
    }
    found.add_pairs("planned", planned);
    found.add_pairs("attributes", attributes(event, table, false)?);
    let mut references = Pairs::default();
    for (kind, numbers) in event.references.iter().flatten() {
        let mut numbers: Vec<&str> = numbers.iter().map(|number| &**number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        references.add(kind, |out| write_all(out, &numbers, |out, number| write_text(out, number)));
    }
    found.add_pairs("references", references);
    if let Some(destination) = &event.destination {
        found.add("destination", |out| write_destination(out, destination));
    }
    found.add_text("customer_id", event.customer_id.as_deref());
    found.add_text("supplier_id", event.supplier_id.as_deref());
    found.add_number("parcels_expected", event.parcels_expected);
    found.add_text("replaces", event.replaces.as_deref());
    if parcel.is_none() {
        found.add_text("carrier", event.carrier.as_deref());
    }
    Some(found.fields())
}

/// What the event says of its parcel; the inner None if nothing.
fn side_of(event: &Event<'_>, parcel: Option<&str>, table: &Table) -> Option<Option<Fields>> {
    let mut found = Pairs::default();
    if parcel.is_some() {
        found.add_text("carrier", event.carrier.as_deref());
    }
    if let Some(location) = event.location.as_ref().filter(|location| !is_empty(location)) {
        found.add("location", |out| write_location(out, location));
    }
    found.add_pairs("readings", attributes(event, table, true)?);
    Some(found.fields())
}

/// The attributes that are readings, or those that are not.
fn attributes(event: &Event<'_>, table: &Table, are_readings: bool) -> Option<Pairs> {
    let mut found = Pairs::default();
    for (name, value) in event.attributes.iter().flatten() {
        let is_reading = value.number().is_some() && table.readings.contains(&**name);
        if is_reading == are_readings {
            let mut is_written = false;
            found.add(name, |out| is_written = value.write(out).is_some());
            is_written.then_some(())?;
        }
    }
    Some(found)
}

fn is_empty(location: &Location<'_>) -> bool {
    let Location { name, lat, lon, datum } = location;
    name.is_none() && lat.is_none() && lon.is_none() && datum.is_none()
}

fn write_location(out: &mut Vec<u8>, location: &Location<'_>) {
    write_list(out, 4);
    write_optional(out, location.name.as_deref(), write_text);
    write_optional(out, location.lat, write_float);
    write_optional(out, location.lon, write_float);
    write_optional(out, location.datum.as_deref(), write_text);
}

fn write_destination(out: &mut Vec<u8>, destination: &Destination<'_>) {
    let mut found = Pairs::default();
    found.add_text("town", destination.town.as_deref());
    found.add_text("region", destination.region.as_deref());
    found.add_text("country", destination.country.as_deref());
    found.add_degrees("lat", destination.lat);
    found.add_degrees("lon", destination.lon);
    write_map(out, found.count);
    out.extend_from_slice(&found.packed);
}
