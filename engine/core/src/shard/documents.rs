//! Documents: orders, their parcels and open alerts as others see them (`schemas/order.py`).

use crate::fault::Fault;
use crate::json::Json;
use crate::keys::{alert_id, split_order_key};
use crate::lifecycle::Lifecycle;
use crate::msgpack::{Number, Raw, Value};
use crate::normal_form::{as_number, as_waybill};
use crate::order::fields::{OrderFields, fields_of};
use crate::order::side::{Side, side_of};
use crate::order::{NO_PARCEL, OpenAlert, Order, Parcel, flags};
use crate::rules::{Armed, Desk, OVERDUE, Transition, What};
use crate::statuses::NO_STATUS;

const LANES: [&str; 3] = ["normal", "warning", "overdue"];
const LOCATION: [&str; 4] = ["name", "lat", "lon", "datum"];
/// Bits of a published version that count changes; the generation of the state is in front.
const CHANGES_BITS: u32 = 40;

/// Version of an order after so many changes, in a state of a generation.
pub fn published_version(generation: u64, changes: u64) -> u64 {
    (generation << CHANGES_BITS) + changes
}

/// The severity of a level.
pub fn severity(level: u8) -> &'static str {
    if level == OVERDUE { "overdue" } else { "warning" }
}

/// Append the order as it is published, in JSON, by a state of a generation.
///
/// # Errors
/// An instant that can't be written, or a condition that can't be evaluated at all.
pub fn document(
    json: &mut Json,
    order: &mut Order,
    desk: &Desk,
    generation: u64,
) -> Result<(), Fault> {
    let is_outside_calendar = desk.is_outside_calendar(order)?;
    let armed = desk.armed(order)?;
    let order = &*order;
    let deadlines = deadlines(order, desk, armed)?;
    let table = desk.table();
    let mut fields = fields_of(order, table);
    let level = order.alerts.iter().map(|alert| alert.level).max().unwrap_or_default();
    json.open();
    name_order(json, &order.key);
    json.name("version");
    json.unsigned(published_version(generation, order.version));
    json.name("status");
    json.optional(if order.has(flags::EMBRYO) { None } else { table.code(order.status) });
    json.name("lane");
    json.text(LANES[usize::from(level)]);
    for (name, at) in [
        ("created_at", order.created_at),
        ("updated_at", order.updated_at()),
        ("promised_at", order.promised_at),
        ("ship_by", order.ship_by),
    ] {
        json.name(name);
        json.instant_or_null(at)?;
    }
    json.name("milestones");
    milestones(json, order, table)?;
    json.name("planned");
    planned(json, &mut fields)?;
    json.name("flags");
    json.list(flags_of(order, is_outside_calendar), |json, flag| {
        json.text(flag);
        Ok(())
    })?;
    json.name("shipments");
    json.list(shipments(order), |json, number| shipment(json, order, table, number))?;
    json.name("attributes");
    json.entries(std::mem::take(&mut fields.attributes))?;
    json.name("references");
    references(json, &mut fields)?;
    for name in ["customer_id", "supplier_id", "carrier"] {
        json.name(name);
        json.packed_or_null(fields.get(name))?;
    }
    json.name("parcels_expected");
    match order.course.expected {
        0 => json.null(),
        expected => json.int(expected),
    }
    json.name("destination");
    json.packed_or_null(fields.get("destination"))?;
    json.name("open_alerts");
    // They are held as they were opened, and one that is opened again keeps its time: how often the
    // clock was read in between mustn't show.
    let mut alerts: Vec<_> = order.alerts.iter().collect();
    alerts.sort_by_key(|alert| alert.opened_at);
    json.list(alerts, |json, alert| open_alert(json, order, desk, alert))?;
    json.name("deadlines");
    json.list(deadlines, |json, (deadline, name)| armed_deadline(json, desk, &deadline, name))?;
    json.name("warm_period");
    json.month(order.period);
    json.close();
    Ok(())
}

/// The fields that name an order: its tenant and its id.
pub(super) fn name_order(json: &mut Json, key: &str) {
    let (tenant, order_id) = split_order_key(key);
    json.name("tenant");
    json.text(tenant);
    json.name("order_id");
    json.text(order_id);
}

/// {status: the earliest time of it}.
fn milestones(json: &mut Json, order: &Order, table: &Lifecycle) -> Result<(), Fault> {
    let mut reached = Vec::with_capacity(order.firsts.len());
    for first in &order.firsts {
        let code = table.code(first.status).ok_or(Fault::Status(first.status))?;
        reached.push((code, first.entry));
    }
    reached.sort_unstable();
    json.open();
    for (code, entry) in reached {
        json.key(code);
        json.instant(order.at(entry))?;
    }
    json.close();
    Ok(())
}

/// {status: when it is planned}.
fn planned(json: &mut Json, fields: &mut OrderFields<'_>) -> Result<(), Fault> {
    fields.planned.sort_unstable_by_key(|(name, _)| *name);
    json.open();
    for (name, at) in &fields.planned {
        json.key(name);
        json.instant(at.int().ok_or(Fault::Kind("planned"))?)?;
    }
    json.close();
    Ok(())
}

/// {kind: foreign numbers}.
fn references(json: &mut Json, fields: &mut OrderFields<'_>) -> Result<(), Fault> {
    fields.references.sort_unstable_by_key(|(kind, _)| *kind);
    json.open();
    for (kind, numbers) in &fields.references {
        json.key(kind);
        json.list(numbers, |json, number| {
            json.text(number);
            Ok(())
        })?;
    }
    json.close();
    Ok(())
}

/// The flags of an order, `flapping` while an alert of it flaps.
///
/// `outside_calendar` while a deadline of it is outside the years of its rule's calendar.
fn flags_of(order: &Order, is_outside_calendar: bool) -> Vec<&'static str> {
    let named = flags::NAMES.iter().filter(|(flag, _)| order.has(*flag));
    let mut found: Vec<_> = named.map(|(_, name)| *name).collect();
    if order.alerts.iter().any(|alert| alert.is_flapping) {
        found.push("flapping");
    }
    if is_outside_calendar {
        found.push("outside_calendar");
    }
    found
}

/// The parcels to show, sorted by name; the unnamed one only if something is known of it.
fn shipments(order: &Order) -> Vec<u8> {
    let is_sensed = |number| {
        let mut sides = order.side.iter().zip(&order.parcel_of);
        sides.any(|(side, parcel)| {
            *parcel == number && side.as_ref().is_some_and(Side::has_readings)
        })
    };
    let mut seen: Vec<(&str, u8)> = order
        .parcels
        .iter()
        .zip(0_u8..)
        .filter(|(parcel, number)| parcel.is_known() || is_sensed(*number))
        .map(|(parcel, number)| (parcel.name.as_str(), number))
        .collect();
    seen.sort_unstable();
    let is_alone = !seen.iter().any(|(name, _)| !name.is_empty());
    let is_shown =
        |(name, number): &(&str, u8)| !name.is_empty() || is_known(order, *number, is_alone);
    seen.into_iter().filter(is_shown).map(|(_, number)| number).collect()
}

/// Return true if something is known of an unnamed parcel: more than an update, if it isn't alone.
fn is_known(order: &Order, number: u8, is_alone: bool) -> bool {
    let parcel = &order.parcels[usize::from(number)];
    let side = side_of(order, number);
    parcel.status != NO_STATUS
        || side.is_some_and(|side| side.location.is_some() || side.has_readings())
        || is_alone && parcel.updated_at != 0
}

/// One parcel.
fn shipment(json: &mut Json, order: &Order, table: &Lifecycle, number: u8) -> Result<(), Fault> {
    let parcel = &order.parcels[usize::from(number)];
    json.open();
    json.name("shipment");
    json.text(parcel.shown());
    if let Some(code) = table.code(parcel.status) {
        json.name("status");
        json.text(code);
    }
    if parcel.goes_back() {
        json.name("direction");
        json.text("return");
    }
    for (name, at) in [("ended_at", parcel.ended_at), ("updated_at", parcel.updated_at)] {
        if at != 0 {
            json.name(name);
            json.instant(at)?;
        }
    }
    if let Some(side) = side_of(order, number) {
        side_fields(json, &side)?;
    }
    json.close();
    Ok(())
}

/// Carrier, location and readings of a parcel, as far as they are known.
fn side_fields(json: &mut Json, side: &Side) -> Result<(), Fault> {
    if let Some((_, carrier)) = &side.carrier {
        json.name("carrier");
        json.text(carrier);
    }
    if let Some((_, location)) = &side.location {
        json.name("location");
        json.open();
        for (name, part) in LOCATION.into_iter().zip(Raw::known(location).list().iter()) {
            if !matches!(part.value(), Value::Nil) {
                json.name(name);
                json.packed(part)?;
            }
        }
        json.close();
    }
    if side.has_readings() {
        let mut readings: Vec<_> = side.readings.iter().collect();
        readings.sort_unstable_by_key(|(name, _)| name);
        json.name("readings");
        json.open();
        for (name, reading) in readings {
            json.key(name);
            json.open();
            for (name, number) in
                [("last", reading.last), ("max", reading.max), ("min", reading.min)]
            {
                json.name(name);
                number_of(json, number);
            }
            json.close();
        }
        json.close();
    }
    Ok(())
}

fn number_of(json: &mut Json, number: Number) {
    match number {
        Number::Float(float) => json.float(float),
        Number::Int(whole) => json.raw(whole.to_string().as_bytes()),
    }
}

/// The alerts that are still to come, soonest first, each with the name of its parcel.
fn deadlines<'a>(
    order: &'a Order,
    desk: &Desk,
    armed: Vec<Armed>,
) -> Result<Vec<(Armed, Option<&'a str>)>, Fault> {
    let named = armed.into_iter().map(|each| Ok((each, name_of(order, each.parcel)?)));
    let mut found = named.collect::<Result<Vec<_>, Fault>>()?;
    let rule = |deadline: &Armed| &*desk.rule(deadline.rule).id;
    found.sort_by(|(one, one_name), (two, two_name)| {
        (one.due_at, rule(one), one_name).cmp(&(two.due_at, rule(two), two_name))
    });
    Ok(found)
}

fn armed_deadline(
    json: &mut Json,
    desk: &Desk,
    deadline: &Armed,
    shipment: Option<&str>,
) -> Result<(), Fault> {
    json.open();
    json.name("rule");
    json.text(&desk.rule(deadline.rule).id);
    json.name("due_at");
    json.instant(deadline.due_at)?;
    json.name("severity");
    json.text(severity(deadline.level));
    if let Some(shipment) = shipment {
        json.name("shipment");
        json.text(shipment);
    }
    json.close();
    Ok(())
}

/// An open alert as the document shows it.
fn open_alert(json: &mut Json, order: &Order, desk: &Desk, alert: &OpenAlert) -> Result<(), Fault> {
    let said = Transition::of(What::Opened, alert, alert.opened_at);
    json.open();
    json.name("alert_id");
    json.text(&alert_id_of(order, desk, &said)?);
    json.name("rule");
    json.text(desk.id_of(said.rule));
    json.name("severity");
    json.text(severity(alert.level));
    json.name("opened_at");
    json.instant(alert.opened_at)?;
    json.name("because");
    because(json, order, desk, &said)?;
    json.name("escalated_at");
    json.instant_or_null(alert.escalated_at)?;
    json.name("flapping");
    json.bool(alert.is_flapping);
    json.close();
    Ok(())
}

/// Id of the alert of a transition.
///
/// # Errors
/// The order has no such parcel.
pub fn alert_id_of(order: &Order, desk: &Desk, said: &Transition) -> Result<String, Fault> {
    let (rule, subject) = (desk.id_of(said.rule), key_of(order, said.parcel)?);
    Ok(alert_id(&order.key, rule, order.hash_of(said.anchor), subject))
}

/// The evidence of an alert or action.
///
/// # Errors
/// An instant can't be written, or the order has no such parcel.
pub fn because(
    json: &mut Json,
    order: &Order,
    desk: &Desk,
    said: &Transition,
) -> Result<(), Fault> {
    let because = desk.because(order, said);
    json.open();
    json.name("anchor");
    json.text(because.anchor);
    json.name("anchor_event");
    json.hash(because.anchor_event);
    json.name("anchor_at");
    json.instant(because.anchor_at)?;
    json.name("limit");
    json.text(because.limit);
    json.name("due_at");
    json.instant(because.due_at)?;
    json.name("last_event");
    json.text(because.last_event);
    json.name("last_event_at");
    json.instant(because.last_event_at)?;
    if let Some(name) = name_of(order, said.parcel)? {
        json.name("shipment");
        json.text(name);
    }
    json.close();
    Ok(())
}

fn parcel_of(order: &Order, number: u8) -> Result<&Parcel, Fault> {
    let missing = Fault::Damaged { at: usize::from(number), length: order.parcels.len() };
    order.parcels.get(usize::from(number)).ok_or(missing)
}

/// The name of a parcel; None for the order itself and for its unnamed parcel.
///
/// # Errors
/// The order has no such parcel.
pub(super) fn name_of(order: &Order, number: Option<u8>) -> Result<Option<&str>, Fault> {
    let Some(number) = number.filter(|number| *number != NO_PARCEL) else { return Ok(None) };
    let parcel = parcel_of(order, number)?;
    let name = if parcel.is_known() { parcel.shown() } else { written(order, &parcel.name) };
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// How the first entry with it wrote the name of a parcel that is another one by now.
fn written<'a>(order: &'a Order, name: &'a str) -> &'a str {
    let spellings = order.names.iter().map(|(shipment, waybill)| {
        if waybill.is_empty() { shipment.as_str() } else { waybill.as_str() }
    });
    let is_same = |each: &&str| as_number(each) == name || as_waybill(each) == name;
    spellings.into_iter().find(is_same).unwrap_or(name)
}

/// The name of a parcel in its normal form; "" for the order and for its unnamed parcel.
fn key_of(order: &Order, number: Option<u8>) -> Result<&str, Fault> {
    match number.filter(|number| *number != NO_PARCEL) {
        Some(number) => Ok(&parcel_of(order, number)?.name),
        None => Ok(""),
    }
}
