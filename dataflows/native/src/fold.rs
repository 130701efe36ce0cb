//! Adding a fact that comes in sequence: dataflows/core/facts.py `add` and fold.py `step`.

use crate::msgpack::{Reader, Unusual, Usual, Value};
use crate::order::{
    EMBRYO, HAS_FIELDS, IRREGULAR, MAX_ENTRIES, MAX_SHIPMENTS, NO_STATUS, OUT_OF_SEQUENCE, Order,
    Side, UNSEEN,
};
use crate::table::{Move, Table, Ways};

/// A fact, as far as it goes into the order.
pub struct Fact<'a> {
    pub at: i64,
    pub arrival_at: i64,
    pub status: u8,
    pub shipment: &'a str,
    pub source: u64,
    pub hash: u64,
    pub fields: Option<&'a [u8]>,
    pub side: Option<NewSide<'a>>,
}

/// What a fact says of its parcel; the location as it is packed.
pub struct NewSide<'a> {
    pub carrier: Option<&'a str>,
    pub location: Option<&'a [u8]>,
}

const DAY_MS: i64 = 86_400_000;

/// Add the fact to the order and fold it.
pub fn add<'a>(order: &mut Order<'a>, fact: &Fact<'a>, table: &Table) -> Usual<()> {
    let is_in_sequence = fact.at << 8 | i64::from(fact.status) > order.latest;
    if !is_in_sequence || order.entries >= MAX_ENTRIES || order.holds(fact.hash) {
        return Err(Unusual);
    }
    let announced = match fact.fields {
        Some(fields) => announced(fields)?,
        None => Vec::new(),
    };
    if order.parcels.len() + 1 + announced.len() > MAX_SHIPMENTS {
        return Err(Unusual);
    }
    if order.history.is_empty() {
        order.period = period_of(fact.arrival_at);
    }
    let number = order.number(fact.shipment);
    let entry = order.entries as i64;
    let marks = if fact.fields.is_some() { HAS_FIELDS } else { 0 };
    order.added = [
        (fact.at as u64) << 22 | u64::from(fact.status) << 14 | (number as u64) << 6 | marks,
        (fact.arrival_at as u64) << 22 | fact.source << 6,
        fact.hash,
    ];
    if let Some(fields) = fact.fields {
        if order.extras.is_some() {
            return Err(Unusual); // what two entries say is united
        }
        order.extras = Some((entry, fields));
        take_fields(order, fields)?;
    }
    if let Some(side) = &fact.side {
        keep_side(order, side, number, fact, entry)?;
    }
    order.version += 1;
    order.latest = fact.at << 8 | i64::from(fact.status);
    order.latest_entry = entry;
    for name in announced {
        let number = order.number(name);
        order.parcels[number].see();
    }
    step(order, table, fact, number, entry)
}

/// The waybills under `references`.
fn announced(fields: &[u8]) -> Usual<Vec<&str>> {
    let mut found = Vec::new();
    let mut from = Reader::new(fields);
    for _ in 0..from.map()? {
        if from.str()? != "references" {
            from.raw()?;
            continue;
        }
        for _ in 0..from.map()? {
            let is_waybill = from.str()? == "waybill";
            for _ in 0..from.array()? {
                let name = from.str()?;
                if is_waybill {
                    found.push(name);
                }
            }
        }
    }
    Ok(found)
}

fn take_fields(order: &mut Order, fields: &[u8]) -> Usual<()> {
    let mut from = Reader::new(fields);
    for _ in 0..from.map()? {
        match from.str()? {
            "promised_at" => order.promised_at = from.int()?,
            "ship_by" => order.ship_by = from.int()?,
            _ => {
                from.raw()?;
            }
        }
    }
    Ok(())
}

fn keep_side<'a>(
    order: &mut Order<'a>,
    said: &NewSide<'a>,
    number: usize,
    fact: &Fact,
    entry: i64,
) -> Usual<()> {
    let mut side = order.side(number);
    if let Some(carrier) = said.carrier
        && is_later(order, fact, side.carrier.map(|held| held.0))?
    {
        side.carrier = Some((entry, carrier));
    }
    if let Some(location) = said.location
        && is_later(order, fact, side.location.map(|held| held.0))?
    {
        side.location = Some((entry, location));
    }
    if order.sides.len() <= number {
        order.sides.resize_with(number + 1, || None);
    }
    order.sides[number] = Some(Side { ..side });
    Ok(())
}

/// Whether a fact comes after an entry, by time and hash.
fn is_later(order: &Order, fact: &Fact, entry: Option<i64>) -> Usual<bool> {
    let Some(entry) = entry else { return Ok(true) };
    Ok((fact.at, fact.hash) >= (order.at(entry)?, order.word(entry, 2)?))
}

fn step<'a>(
    order: &mut Order<'a>,
    table: &Table,
    fact: &Fact<'a>,
    number: usize,
    entry: i64,
) -> Usual<()> {
    let status = fact.status;
    let row = table.status(status).ok_or(Unusual)?;
    order.parcels[number].see();
    let is_named = !order.parcels[number].name.is_empty();
    // A parcel's DELIVERED is not the order's; that one is derived from the last parcel.
    if !(row.of_both && is_named) {
        order.reach(status, entry);
    }
    if row.logistics {
        // An order's own status speaks for its only, unnamed parcel.
        let spoken_for = if row.of_shipment {
            number
        } else {
            order.number("")
        };
        let parcel = &mut order.parcels[spoken_for];
        parcel.see();
        parcel.updated_at = fact.at;
    }
    if row.of_shipment && (is_named || !row.of_order) {
        move_shipment(order, table, status, number, entry)?;
    } else {
        (order.status, order.flags) = moved(order.status, order.flags, status, &table.order_ways);
    }
    if row.creates && order.flags & EMBRYO != 0 {
        order.created_at = fact.at;
        order.created_entry = entry;
        order.flags &= !EMBRYO;
    }
    Ok(())
}

fn moved(present: u8, flags: i64, status: u8, ways: &Ways) -> (u8, i64) {
    let from = usize::from(present);
    if present == NO_STATUS || ways.regular[from].has(status) {
        return (status, flags);
    }
    if ways.every[from].has(status) {
        return (status, flags | IRREGULAR);
    }
    (
        present,
        if status == present {
            flags
        } else {
            flags | OUT_OF_SEQUENCE
        },
    )
}

fn move_shipment(
    order: &mut Order,
    table: &Table,
    status: u8,
    number: usize,
    entry: i64,
) -> Usual<()> {
    if table.status(status).is_some_and(|row| row.moves_nothing) {
        return Ok(());
    }
    let before = order.parcels[number].status;
    let (after, flags) = moved(before, order.flags, status, &table.shipment_ways);
    order.parcels[number].status = after;
    order.flags = flags;
    let Some(way) = table.status(after).ok_or(Unusual)?.moves_order else {
        return Ok(());
    };
    if after == before {
        return Ok(());
    }
    let (mut target, all_of_them, until_all) = way;
    if all_of_them && !all_reached(order, table, way) {
        target = until_all;
    }
    if target != NO_STATUS {
        derive(order, table, target, entry);
    }
    Ok(())
}

/// Whether all parcels have done their part: the named ones, the unnamed only without any of these.
fn all_reached(order: &Order, table: &Table, way: Move) -> bool {
    let seen = || {
        order
            .parcels
            .iter()
            .filter(|parcel| parcel.status != UNSEEN)
    };
    let has_named = seen().any(|parcel| !parcel.name.is_empty());
    seen()
        .filter(|parcel| !has_named || !parcel.name.is_empty())
        .all(|parcel| {
            parcel.status < UNSEEN
                && table.status(parcel.status).and_then(|row| row.moves_order) == Some(way)
        })
}

/// Move the order because a parcel moved; being there or beyond already is nothing special.
fn derive(order: &mut Order, table: &Table, target: u8, entry: i64) {
    let present = order.status;
    let is_beyond =
        present != NO_STATUS && table.order_ways.every[usize::from(target)].has(present);
    if present == target || is_beyond {
        return;
    }
    (order.status, order.flags) = moved(present, order.flags, target, &table.order_ways);
    if order.status == target {
        order.derived.push((target, entry));
        order.reach(target, entry);
    }
}

/// (year, month, day) of a number of days since 1970-01-01: civil from days, Howard Hinnant
/// (https://howardhinnant.github.io/date_algorithms.html).
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Year * 12 + month - 1 of an instant, UTC: the warm period of an order.
fn period_of(instant: i64) -> i64 {
    let (year, month, _) = civil(instant.div_euclid(DAY_MS));
    year * 12 + month - 1
}

/// The attributes and plans of an order say more than the usual step can judge.
pub fn has_field(fields: &[u8], wanted: &str) -> Usual<bool> {
    let mut from = Reader::new(fields);
    let mut found = false;
    for _ in 0..from.map()? {
        found |= matches!(from.value()?, Value::Text(name) if name == wanted);
        from.raw()?;
    }
    Ok(found)
}
