//! Event: the fields of a plain event, checked (`schemas/event.py`).

use std::borrow::Cow;

use super::value::Value;
use super::{Table, Type};
use crate::instants::{self, DAY_MS};

/// Names of the fields that are read. All are fields of an event, and it has no others.
pub const FIELDS: [&str; 29] = [
    "event_id",
    "status_code",
    "timestamp",
    "source",
    "order_id",
    "waybill",
    "references",
    "tenant",
    "kind",
    "shipment",
    "promised_at",
    "ship_by",
    "zone",
    "planned",
    "location",
    "operator",
    "ip",
    "attributes",
    "customer_id",
    "supplier_id",
    "carrier",
    "personal",
    "corrects",
    "replaces",
    "parcels_expected",
    "destination",
    "recorded_at",
    "format",
    DROPPED,
];
/// A field that makes a message a CloudEvent.
const ENVELOPE: &str = "specversion";
/// A field by which an earlier reader names what it has left out.
const DROPPED: &str = "dropped_fields";
/// Version of our format.
const FORMAT: i64 = 1;
/// Bytes of a bare date.
const BARE_DATE: usize = "2018-12-31".len();

pub type Text<'a> = Cow<'a, str>;

/// A place: name, latitude and longitude in degrees, datum.
#[derive(Debug, Default)]
pub struct Location<'a> {
    pub name: Option<Text<'a>>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub datum: Option<Text<'a>>,
}

/// Destination of an order.
#[derive(Debug, Default)]
pub struct Destination<'a> {
    pub town: Option<Text<'a>>,
    pub region: Option<Text<'a>>,
    pub country: Option<Text<'a>>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
}

/// The fields of an event; instants are ms.
#[derive(Debug, Default)]
pub struct Event<'a> {
    pub event_id: Option<Text<'a>>,
    pub status: Option<u8>,
    pub at: Option<i64>,
    pub source: Option<Text<'a>>,
    pub order_id: Option<Text<'a>>,
    pub waybill: Option<Text<'a>>,
    pub references: Option<Vec<(Text<'a>, Vec<Text<'a>>)>>,
    pub tenant: Option<Text<'a>>,
    pub is_command: Option<bool>,
    pub shipment: Option<Text<'a>>,
    pub promised_at: Option<i64>,
    pub ship_by: Option<i64>,
    pub planned: Option<Vec<(Text<'a>, i64)>>,
    pub location: Option<Location<'a>>,
    pub operator: Option<Text<'a>>,
    pub ip: Option<Text<'a>>,
    pub attributes: Option<Vec<(Text<'a>, Value<'a>)>>,
    pub customer_id: Option<Text<'a>>,
    pub supplier_id: Option<Text<'a>>,
    pub carrier: Option<Text<'a>>,
    pub corrects: Option<Text<'a>>,
    pub replaces: Option<Text<'a>>,
    pub parcels_expected: Option<i64>,
    pub destination: Option<Destination<'a>>,
    pub recorded_at: Option<i64>,
    /// `personal` came, without any data.
    personal: Option<()>,
}

impl<'a> Event<'a> {
    /// The event of a JSON text; None where a field isn't plain.
    pub fn read(text: &'a str, table: &Table) -> Option<Event<'a>> {
        let Value::Object(fields) = Value::read(text)? else { return None };
        let mut event = Event::default();
        for (name, value) in fields {
            event.take(&name, value, table)?;
        }
        Some(event)
    }

    /// Take a field. What the sender has added of its own stays in the message alone.
    fn take(&mut self, name: &str, value: Value<'a>, table: &Table) -> Option<()> {
        let (id, code) = (table.limits.id_chars, table.limits.code_chars);
        match name {
            "event_id" => set(&mut self.event_id, text(value, id)),
            "status_code" => set(&mut self.status, status(value, table)),
            "timestamp" => set(&mut self.at, instant(value)),
            "source" => set(&mut self.source, text(value, id)),
            "tenant" => set(&mut self.tenant, text(value, id)),
            "kind" => set(&mut self.is_command, is_command(&value)),
            "format" => (value == Value::Int(FORMAT)).then_some(()),
            ENVELOPE => None,
            // Twice, it is taken out of the message that is kept.
            "personal" => set(&mut self.personal, (value == Value::Null).then_some(())),
            // A zone that is named takes a time zone database.
            "zone" | DROPPED => (value == Value::Null).then_some(()),
            "order_id" => put(&mut self.order_id, value, |it| text(it, id)),
            "waybill" => put(&mut self.waybill, value, |it| text(it, id)),
            "references" => put(&mut self.references, value, |it| references(it, id, code)),
            "shipment" => put(&mut self.shipment, value, |it| text(it, id)),
            "promised_at" => put(&mut self.promised_at, value, |it| promise(it, table)),
            "ship_by" => put(&mut self.ship_by, value, |it| promise(it, table)),
            "planned" => put(&mut self.planned, value, |it| planned(it, table)),
            "location" => put(&mut self.location, value, |it| location(it, table)),
            "operator" => put(&mut self.operator, value, |it| text(it, usize::MAX)),
            "ip" => put(&mut self.ip, value, |it| text(it, usize::MAX)),
            "attributes" => put(&mut self.attributes, value, |it| attributes(it, table)),
            "customer_id" => put(&mut self.customer_id, value, |it| text(it, id)),
            "supplier_id" => put(&mut self.supplier_id, value, |it| text(it, id)),
            "carrier" => put(&mut self.carrier, value, |it| text(it, id)),
            "corrects" => put(&mut self.corrects, value, |it| text(it, id)),
            "replaces" => put(&mut self.replaces, value, |it| text(it, id)),
            "parcels_expected" => put(&mut self.parcels_expected, value, |it| parcels(&it, table)),
            "destination" => put(&mut self.destination, value, |it| destination(it, id)),
            "recorded_at" => put(&mut self.recorded_at, value, |it| plausible(instant(it), table)),
            _ => Some(()),
        }
    }
}

/// Set a field that has no value yet; None where it has, or where `value` isn't plain.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = value;
    slot.is_some().then_some(())
}

/// Set a field that has no value yet by `read`; null means that it is absent.
fn put<'a, T>(
    slot: &mut Option<T>,
    value: Value<'a>,
    read: impl FnOnce(Value<'a>) -> Option<T>,
) -> Option<()> {
    match value {
        Value::Null => slot.is_none().then_some(()),
        value => set(slot, read(value)),
    }
}

/// A text of at most so many characters that isn't blank.
fn text(value: Value<'_>, most: usize) -> Option<Text<'_>> {
    let Value::Text(text) = value else { return None };
    let is_short = text.len() <= most || text.chars().count() <= most;
    (is_short && !text.trim().is_empty()).then_some(text)
}

/// A name in a map, which may be blank.
fn name(text: Text<'_>, most: usize) -> Option<Text<'_>> {
    let is_short = text.len() <= most || text.chars().count() <= most;
    (is_short && !text.is_empty()).then_some(text)
}

fn status(value: Value<'_>, table: &Table) -> Option<u8> {
    let Value::Text(code) = value else { return None };
    table.statuses.get(&*code).copied()
}

fn is_command(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Text(kind) if kind == "fact" => Some(false),
        Value::Text(kind) if kind == "command" => Some(true),
        _ => None,
    }
}

fn instant(value: Value<'_>) -> Option<i64> {
    let Value::Text(text) = value else { return None };
    instants::parse(&text).map(|written| written.at)
}

/// An instant between 1970 and the end of what is plausible.
fn plausible(at: Option<i64>, table: &Table) -> Option<i64> {
    at.filter(|at| (0..table.limits.latest_at).contains(at))
}

/// A promise (`schemas/promises.py`): a midnight and a bare date mean the end of the day.
fn promise(value: Value<'_>, table: &Table) -> Option<i64> {
    let Value::Text(text) = value else { return None };
    let at = if text.len() == BARE_DATE {
        instants::parse_date(&text).filter(|_| table.is_utc).map(|day| (day + 1) * DAY_MS - 1)
    } else {
        instants::parse(&text).map(|it| if it.is_midnight { it.at + DAY_MS - 1 } else { it.at })
    };
    plausible(at, table)
}

fn references(value: Value<'_>, id: usize, code: usize) -> Option<Vec<(Text<'_>, Vec<Text<'_>>)>> {
    let kind = |(kind, numbers)| {
        let numbers = match numbers {
            Value::List(numbers) => {
                numbers.into_iter().map(|number| text(number, id)).collect::<Option<_>>()?
            }
            number => vec![text(number, id)?],
        };
        Some((name(kind, code)?, numbers))
    };
    value.fields()?.into_iter().map(kind).collect()
}

fn planned<'a>(value: Value<'a>, table: &Table) -> Option<Vec<(Text<'a>, i64)>> {
    let code = table.limits.code_chars;
    let entry = |(of, at)| Some((name(of, code)?, plausible(instant(at), table)?));
    value.fields()?.into_iter().map(entry).collect()
}

/// Attributes, of the types that the rules declare.
fn attributes<'a>(value: Value<'a>, table: &Table) -> Option<Vec<(Text<'a>, Value<'a>)>> {
    let code = table.limits.code_chars;
    let attribute = |(of, value): (Text<'a>, Value<'a>)| {
        let fits = match (table.declared.get(&*of), &value) {
            (None, Value::List(_) | Value::Object(_)) => false,
            (None, _)
            | (Some(Type::Bool), Value::Bool(_))
            | (Some(Type::Int), Value::Int(_))
            | (Some(Type::Float), Value::Int(_) | Value::Float(_))
            | (Some(Type::Text), Value::Text(_)) => true,
            _ => false,
        };
        Some((name(of, code)?, value)).filter(|_| fits)
    };
    value.fields()?.into_iter().map(attribute).collect()
}

fn parcels(value: &Value<'_>, table: &Table) -> Option<i64> {
    match value {
        Value::Int(count) if (1..=table.limits.parcels).contains(count) => Some(*count),
        _ => None,
    }
}

fn degrees(value: &Value<'_>, most: f64) -> Option<f64> {
    value.number().filter(|degrees| (-most..=most).contains(degrees))
}

fn location<'a>(value: Value<'a>, table: &Table) -> Option<Location<'a>> {
    let mut found = Location::default();
    for (name, value) in value.fields()? {
        match (&*name, value) {
            ("name" | "lat" | "lon" | "datum", Value::Null) => (),
            ("name", value) => found.name = Some(text(value, table.limits.id_chars)?),
            ("lat", value) => found.lat = Some(degrees(&value, 90.0)?),
            ("lon", value) => found.lon = Some(degrees(&value, 180.0)?),
            ("datum", Value::Text(datum)) if table.datums.contains(&*datum) => {
                found.datum = Some(datum);
            }
            ("datum", _) => return None,
            _ => (),
        }
    }
    Some(found)
}

fn destination(value: Value<'_>, id: usize) -> Option<Destination<'_>> {
    let mut found = Destination::default();
    for (name, value) in value.fields()? {
        match (&*name, value) {
            ("town" | "region" | "country" | "lat" | "lon", Value::Null) => (),
            ("town", value) => found.town = Some(text(value, id)?),
            ("region", value) => found.region = Some(text(value, id)?),
            ("country", value) => found.country = Some(text(value, id)?),
            ("lat", value) => found.lat = Some(degrees(&value, 90.0)?),
            ("lon", value) => found.lon = Some(degrees(&value, 180.0)?),
            _ => (),
        }
    }
    Some(found)
}
