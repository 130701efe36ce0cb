//! The messages about an order: dataflows/core/documents.py `document`, output.py `accepted_event`.

use crate::json::{Json, items};
use crate::msgpack::{Reader, Unusual, Usual};
use crate::order::{CONFLICTING, EMBRYO, IRREGULAR, OUT_OF_SEQUENCE, Order, UNSEEN};
use crate::table::Table;
use crate::terms::{ANY_SHIPMENT, Term};

const SEPARATOR: char = '\x1f';
const DEFAULT_TENANT: &str = "default";
const LANES: [&str; 3] = ["normal", "warning", "overdue"];
const OVERDUE: usize = 2;

fn split(key: &str) -> (&str, &str) {
    key.split_once(SEPARATOR).unwrap_or((DEFAULT_TENANT, key))
}

/// Where a message lies, and what it was.
pub struct Origin<'a> {
    pub topic: &'a str,
    pub partition: i64,
    pub offset: i64,
    pub raw: &'a [u8],
}

/// The fact as orders.events keeps it.
pub fn accepted(
    key: &str,
    order: &Order,
    shipment: &str,
    table: &Table,
    from: &Origin,
) -> Usual<Vec<u8>> {
    let [first, second, hash] = order.added;
    let mut json = Json(Vec::with_capacity(from.raw.len() + 320));
    let (tenant, order_id) = split(key);
    json.name("tenant", '{');
    json.text(tenant);
    json.name("order_id", ',');
    json.text(order_id);
    json.name("arrival_at", ',');
    json.instant((second >> 22) as i64);
    json.name("event_hash", ',');
    json.text(&format!("{hash:016x}"));
    json.name("status", ',');
    json.text(
        &table
            .status((first >> 14 & 0xff) as u8)
            .ok_or(Unusual)?
            .code,
    );
    json.name("at", ',');
    json.instant((first >> 22) as i64);
    json.name("shipment", ',');
    json.text(shipment);
    json.name("topic", ',');
    json.text(from.topic);
    json.name("partition", ',');
    json.int(from.partition);
    json.name("offset", ',');
    json.int(from.offset);
    json.name("event", ',');
    json.0.extend_from_slice(from.raw);
    json.0.push(b'}');
    Ok(json.0)
}

/// The order as orders.changes shows it; `open_alerts` is a list in JSON.
pub fn document(
    key: &str,
    order: &Order,
    table: &Table,
    terms: &[Term],
    open_alerts: &[u8],
) -> Usual<Vec<u8>> {
    let mut json = Json(Vec::with_capacity(2_048));
    let fields = match order.extras {
        Some((_, fields)) => items(&mut Reader::new(fields))?,
        None => Vec::new(),
    };
    let field = |name: &str| {
        fields
            .iter()
            .find(|field| field.0 == name)
            .map(|field| field.1)
    };
    let (tenant, order_id) = split(key);
    json.name("tenant", '{');
    json.text(tenant);
    json.name("order_id", ',');
    json.text(order_id);
    json.name("version", ',');
    json.int(order.version);
    json.name("status", ',');
    json.optional(if order.flags & EMBRYO != 0 {
        None
    } else {
        code(table, order.status)
    });
    json.name("lane", ',');
    let level = order.alerts.iter().map(|alert| alert.level).max();
    json.text(LANES.get(level.unwrap_or(0)).ok_or(Unusual)?);
    for (name, instant) in [
        ("created_at", order.created_at),
        ("updated_at", order.latest >> 8),
        ("promised_at", order.promised_at),
        ("ship_by", order.ship_by),
    ] {
        json.name(name, ',');
        json.instant_or_null(instant);
    }
    json.name("milestones", ',');
    let reached = order
        .firsts
        .iter()
        .map(|&(status, entry)| Ok((code(table, status).ok_or(Unusual)?, order.at(entry)?)));
    json.map(reached.collect::<Usual<Vec<_>>>()?, |json, at| {
        json.instant(at);
        Ok(())
    })?;
    json.name("planned", ',');
    map_of(&mut json, field("planned"), |json, from| {
        json.instant(from.int()?);
        Ok(())
    })?;
    json.name("flags", ',');
    let names = [
        (EMBRYO, "embryo"),
        (IRREGULAR, "irregular"),
        (OUT_OF_SEQUENCE, "out_of_sequence"),
        (CONFLICTING, "conflicting_duplicate"),
    ];
    json.list(
        names.iter().filter(|name| order.flags & name.0 != 0),
        |json, name| {
            json.text(name.1);
            Ok(())
        },
    )?;
    json.name("shipments", ',');
    json.list(shown(order), |json, number| {
        shipment(json, order, table, number)
    })?;
    json.name("attributes", ',');
    map_of(&mut json, field("attributes"), Json::packed)?;
    json.name("references", ',');
    map_of(&mut json, field("references"), Json::packed)?;
    for name in ["customer_id", "supplier_id", "carrier"] {
        json.name(name, ',');
        match field(name) {
            Some(value) => json.packed(&mut Reader::new(value))?,
            None => json.raw("null"),
        }
    }
    json.name("open_alerts", ',');
    json.0.extend_from_slice(open_alerts);
    json.name("deadlines", ',');
    deadlines(&mut json, order, terms)?;
    json.name("warm_period", ',');
    json.period(order.period);
    json.0.push(b'}');
    Ok(json.0)
}

fn code(table: &Table, status: u8) -> Option<&str> {
    table.status(status).map(|row| row.code.as_str())
}

/// A packed map with its values written by `write`; {} for none.
fn map_of(
    json: &mut Json,
    packed: Option<&[u8]>,
    mut write: impl FnMut(&mut Json, &mut Reader) -> Usual<()>,
) -> Usual<()> {
    let found = packed.map_or(Ok(Vec::new()), |packed| items(&mut Reader::new(packed)))?;
    json.map(found, |json, value| write(json, &mut Reader::new(value)))
}

/// The numbers of the parcels to show, by name; the unnamed one only if something is known of it.
fn shown(order: &Order) -> Vec<usize> {
    let has_readings = |number: usize| order.side(number).readings.is_some();
    let mut seen: Vec<usize> = (0..order.parcels.len())
        .filter(|&number| order.parcels[number].status != UNSEEN || has_readings(number))
        .collect();
    seen.sort_by_key(|&number| order.parcels[number].name);
    let is_alone = !seen
        .iter()
        .any(|&number| !order.parcels[number].name.is_empty());
    seen.retain(|&number| {
        let (parcel, side) = (&order.parcels[number], order.side(number));
        !parcel.name.is_empty()
            || parcel.status < UNSEEN
            || side.location.is_some()
            || side.readings.is_some()
            || (is_alone && parcel.updated_at != 0)
    });
    seen
}

fn shipment(json: &mut Json, order: &Order, table: &Table, number: usize) -> Usual<()> {
    let (parcel, side) = (&order.parcels[number], order.side(number));
    json.name("shipment", '{');
    json.text(parcel.name);
    if let Some(code) = code(table, parcel.status) {
        json.name("status", ',');
        json.text(code);
    }
    if parcel.updated_at != 0 {
        json.name("updated_at", ',');
        json.instant(parcel.updated_at);
    }
    if let Some((_, carrier)) = side.carrier {
        json.name("carrier", ',');
        json.text(carrier);
    }
    if let Some((_, packed)) = side.location {
        json.name("location", ',');
        location(json, packed)?;
    }
    if let Some(packed) = side.readings {
        json.name("readings", ',');
        map_of(json, Some(packed), reading)?;
    }
    json.0.push(b'}');
    Ok(())
}

fn location(json: &mut Json, packed: &[u8]) -> Usual<()> {
    let mut from = Reader::new(packed);
    let mut before = '{';
    from.array()?;
    for name in ["name", "lat", "lon", "datum"] {
        let value = from.raw()?;
        if value != [0xc0] {
            json.name(name, before);
            json.packed(&mut Reader::new(value))?;
            before = ',';
        }
    }
    json.raw(if before == '{' { "{}" } else { "}" });
    Ok(())
}

/// [min, max, last, entry] as {last, max, min}.
fn reading(json: &mut Json, from: &mut Reader) -> Usual<()> {
    from.array()?;
    let (lowest, highest, last) = (from.raw()?, from.raw()?, from.raw()?);
    for (name, before, value) in [
        ("last", '{', last),
        ("max", ',', highest),
        ("min", ',', lowest),
    ] {
        json.name(name, before);
        json.packed(&mut Reader::new(value))?;
    }
    json.0.push(b'}');
    Ok(())
}

/// The level of the open alert of a rule on an order or a parcel; 0 if there is none.
fn level_of(order: &Order, term: &Term) -> usize {
    let parcel = term.parcel.map_or(ANY_SHIPMENT, |number| number as i64);
    let is_of = |rule, of| rule == term.rule.row.number && of == parcel;
    let mut opened = order.alerts.iter().rev();
    opened
        .find(|alert| is_of(alert.rule, alert.parcel))
        .map_or(0, |alert| alert.level)
}

/// The alerts that are still to come, soonest first.
fn deadlines(json: &mut Json, order: &Order, terms: &[Term]) -> Usual<()> {
    let mut armed: Vec<(i64, &str, &str, &str)> = Vec::new();
    for term in terms.iter().filter(|term| term.rule.row.warns_by_time) {
        let row = &term.rule.row;
        let name = term.parcel.map_or("", |number| order.parcels[number].name);
        let level = level_of(order, term);
        if level == 0 {
            armed.push((term.due_at, &row.id, name, &row.severity));
        }
        if let Some(after_ms) = row.escalate_after_ms.filter(|_| level < OVERDUE) {
            armed.push((term.due_at + after_ms, &row.id, name, "overdue"));
        }
    }
    armed.sort();
    json.list(armed, |json, (due_at, rule, name, severity)| {
        json.name("rule", '{');
        json.text(rule);
        json.name("due_at", ',');
        json.instant(due_at);
        json.name("severity", ',');
        json.text(severity);
        if !name.is_empty() {
            json.name("shipment", ',');
            json.text(name);
        }
        json.0.push(b'}');
        Ok(())
    })
}
