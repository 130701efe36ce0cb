//! What the rules count from, and when they are next due: dataflows/core/deadlines.py.

use crate::fold::has_field;
use crate::msgpack::{Unusual, Usual};
use crate::order::{EMBRYO, Order, REFUSED, UNSEEN};
use crate::table::{AnchorKind, Rule, Table};

pub const NEVER: i64 = 1 << 62;
const EMBRYO_RETIRES_AFTER_MS: i64 = 30 * 86_400_000;
pub const ANY_SHIPMENT: i64 = 255; // as a byte
const MISSED_BIT: i64 = 0x8000;

/// A rule that looks at the order (or a parcel of it) and when it is due.
pub struct Term<'t> {
    pub rule: &'t Rule,
    pub parcel: Option<usize>,
    pub due_at: i64,
}

/// The terms of all rules, in the order in which they are judged.
pub fn terms<'t>(order: &Order, table: &'t Table, arrival_at: i64) -> Usual<Vec<Term<'t>>> {
    let mut found = Vec::new();
    if order.flags & EMBRYO != 0 {
        return Ok(found);
    }
    let status = usize::from(order.status);
    for &index in table.of_order.get(status).ok_or(Unusual)? {
        found.extend(term(order, &table.rules[index], None, arrival_at)?);
    }
    let has_named = order
        .parcels
        .iter()
        .any(|p| p.status != UNSEEN && !p.name.is_empty());
    for (number, parcel) in order.parcels.iter().enumerate() {
        if parcel.status == UNSEEN || (has_named && parcel.name.is_empty()) {
            continue;
        }
        for &index in &table.of_shipment[status][usize::from(parcel.status)] {
            found.extend(term(order, &table.rules[index], Some(number), arrival_at)?);
        }
    }
    Ok(found)
}

fn term<'t>(
    order: &Order,
    rule: &'t Rule,
    parcel: Option<usize>,
    arrival_at: i64,
) -> Usual<Option<Term<'t>>> {
    let mut counted = None;
    for anchor in &rule.anchors {
        let at = anchor_at(order, &anchor.kind, parcel)?;
        if at != 0 {
            counted = Some(at + anchor.offset_ms);
            break;
        }
    }
    let Some(due_at) = counted else {
        return Ok(None);
    };
    if let Some(statuses) = &rule.unless {
        if milestone(order, statuses, false, None)? != 0 {
            return Ok(None);
        }
    }
    if rule.row.has_condition && !holds(order, rule, parcel)? {
        return Ok(None);
    }
    let may_pause = parcel.is_some() && !rule.pausing.is_empty();
    let has_paused = || {
        rule.pausing
            .iter()
            .any(|&status| order.first(status).is_some())
    };
    if may_pause && (rule.row.pauses_in_both || has_paused()) {
        return Err(Unusual);
    }
    let due_at = if rule.row.on_condition {
        arrival_at
    } else {
        due_at
    };
    Ok(Some(Term {
        rule,
        parcel,
        due_at,
    }))
}

fn anchor_at(order: &Order, kind: &AnchorKind, parcel: Option<usize>) -> Usual<i64> {
    match kind {
        AnchorKind::Created => Ok(order.created_at),
        AnchorKind::PromisedAt => Ok(order.promised_at),
        AnchorKind::ShipBy => Ok(order.ship_by),
        AnchorKind::LastUpdate => Ok(match parcel {
            Some(number) => order.parcels[number].updated_at,
            None => order
                .parcels
                .iter()
                .map(|parcel| parcel.updated_at)
                .max()
                .unwrap_or(0),
        }),
        AnchorKind::Milestone { statuses, has_both } => {
            milestone(order, statuses, *has_both, parcel)
        }
        AnchorKind::Planned => match order.extras {
            Some((_, fields)) if has_field(fields, "planned")? => Err(Unusual),
            _ => Ok(0),
        },
        AnchorKind::Other => Err(Unusual),
    }
}

/// The earliest time of some statuses; 0 for none. Of a parcel only if it was the first.
fn milestone(order: &Order, statuses: &[u8], has_both: bool, parcel: Option<usize>) -> Usual<i64> {
    if parcel.is_some() && has_both {
        return Err(Unusual);
    }
    let mut earliest = 0;
    for &status in statuses {
        let Some(entry) = order.first(status) else {
            continue;
        };
        let word = order.word(entry, 0)?;
        if parcel.is_some_and(|number| (word >> 6 & 0xff) as usize != number) {
            return Err(Unusual);
        }
        let at = (word >> 22) as i64;
        if earliest == 0 || at < earliest {
            earliest = at;
        }
    }
    Ok(earliest)
}

/// Whether a condition is true, where it has nothing to read.
fn holds(order: &Order, rule: &Rule, parcel: Option<usize>) -> Usual<bool> {
    let has_readings = parcel.is_some_and(|number| order.side(number).readings.is_some());
    let has_attributes = match order.extras {
        Some((_, fields)) => has_field(fields, "attributes")?,
        None => false,
    };
    if has_readings || has_attributes || rule.row.reads_fields {
        return Err(Unusual);
    }
    Ok(rule.row.holds_of_nothing)
}

/// An action that is due now: the rule's number, the entry that it counts from, due time.
pub type Due = (i64, i64, i64);

/// (when something more is due, the actions to request by `limit`), where nothing else is to say.
pub fn judged(
    order: &mut Order,
    table: &Table,
    terms: &[Term],
    limit: i64,
) -> Usual<(i64, Vec<Due>)> {
    let mut next = NEVER;
    let mut requested = Vec::new();
    for term in terms {
        if term.due_at > limit {
            next = next.min(term.due_at);
        } else if term.rule.row.level != 0 {
            return Err(Unusual); // an alert
        } else {
            requested.extend(request(order, table, term)?);
        }
    }
    Ok((next, requested))
}

/// When an order last heard of at `arrival_at` leaves memory.
pub fn retires_at(order: &Order, table: &Table, arrival_at: i64) -> Usual<i64> {
    let after_ms = if order.flags & EMBRYO != 0 {
        EMBRYO_RETIRES_AFTER_MS
    } else {
        table.status(order.status).ok_or(Unusual)?.retire_after_ms
    };
    Ok(if after_ms == 0 {
        NEVER
    } else {
        arrival_at + after_ms
    })
}

/// The action of a rule that counts from the order's creation; None if it was requested, or missed,
/// before.
fn request(order: &mut Order, table: &Table, term: &Term) -> Usual<Option<Due>> {
    let is_of_creation =
        matches!(term.rule.anchors[..], [ref only] if matches!(only.kind, AnchorKind::Created));
    if !is_of_creation || term.parcel.is_some() {
        return Err(Unusual);
    }
    let entry = creating(order, table)?;
    let row = &term.rule.row;
    let arrived_at = (order.word(entry, 1)? >> 22) as i64;
    let is_stale = row
        .stale_after_ms
        .is_some_and(|after_ms| term.due_at < arrived_at - after_ms);
    let number = row.number | if is_stale { MISSED_BIT } else { 0 };
    let done = (number, ANY_SHIPMENT, entry);
    if order.done.contains(&done) {
        return Ok(None);
    }
    if is_stale {
        return Err(Unusual); // it is to be recorded as missed
    }
    order.done.push(done);
    Ok(Some((row.number, entry, term.due_at)))
}

/// The creating entry that arrived first; of several in one ms the walk decides.
fn creating(order: &Order, table: &Table) -> Usual<i64> {
    let mut found = None;
    let mut arrived_at = 0;
    for entry in 0..=order.entries as i64 {
        let word = order.word(entry, 0)?;
        let arrival_at = (order.word(entry, 1)? >> 22) as i64;
        if found.is_some() && arrival_at != arrived_at {
            break;
        }
        let row = table.status((word >> 14 & 0xff) as u8).ok_or(Unusual)?;
        if row.creates && word & REFUSED == 0 {
            if found.is_some() {
                return Err(Unusual);
            }
            (found, arrived_at) = (Some(entry), arrival_at);
        }
    }
    found.ok_or(Unusual)
}
