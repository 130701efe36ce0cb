//! Anchors: the instants that deadlines count from.
//!
//! `at` is evaluated at every event and must be cheap; `entry` (the number of the one that set the
//! anchor) only when something is due. `parcel` is a parcel's number, None for the order.

use super::stays::stays;
use crate::lifecycle::Lifecycle;
use crate::msgpack::Raw;
use crate::order::parcels::{is_of_its_parcel, is_parcels};
use crate::order::walk::walk;
use crate::order::{Entry, Fields, NO_ENTRY, Order, Parcel, flags, marks};
use crate::statuses::{NO_STATUS, StatusSet};

/// What a deadline counts from.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// What the rules file and evidence call it.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
}

/// Kinds of anchors.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The first entry of one of some statuses; a parcel's own count for that parcel only.
    Milestone(StatusSet),
    /// The later of a milestone of the order and the announcement of a parcel that goes forward.
    Announced(u8),
    /// The first entry with a status behind the one that brought the order to its present one.
    Behind {
        /// Status of the entry.
        status: u8,
        /// Present status of the order.
        present: u8,
    },
    /// The creation of the order.
    Created,
    /// The last sign of life of a parcel.
    LastUpdate,
    /// A promise to the customer: `promised_at`.
    PromisedAt,
    /// A promise of the shop to itself: `ship_by`.
    ShipBy,
    /// The planned time of a milestone.
    Planned(String),
    /// The beginning of a parcel's stay in its present status.
    StatusSince,
}

impl Anchor {
    /// Whether it is something promised.
    pub fn is_promised(&self) -> bool {
        matches!(self.kind, Kind::PromisedAt | Kind::ShipBy)
    }

    /// The instant; 0 if the order has no such thing.
    pub fn at(&self, order: &Order, table: &Lifecycle, parcel: Option<u8>) -> i64 {
        match &self.kind {
            Kind::Milestone(statuses) => milestone_at(order, table, statuses, parcel),
            Kind::Created => created_at(order, table),
            Kind::LastUpdate => last_update_at(order, table, parcel),
            Kind::PromisedAt if !order.has(flags::HAS_ENGINE) => order.promised_at,
            Kind::ShipBy if !order.has(flags::HAS_ENGINE) => order.ship_by,
            Kind::StatusSince => status_since(order, table, parcel),
            _ => match self.entry(order, table, parcel) {
                NO_ENTRY => 0,
                entry if self.is_promised() => self.at_entry(order, table, entry).max(0),
                entry => self.at_entry(order, table, entry),
            },
        }
    }

    /// The entry that set it; `NO_ENTRY` if the order has no such thing.
    pub fn entry(&self, order: &Order, table: &Lifecycle, parcel: Option<u8>) -> i32 {
        let found = match &self.kind {
            Kind::Milestone(statuses) => {
                first_of(order, table, statuses, parcel).map(|entry| entry.number)
            }
            Kind::Announced(status) => announced(order, table, *status, parcel),
            Kind::Behind { status, present } => behind(order, table, *status, *present),
            // The one that arrived first: a late, earlier one creates nothing again.
            Kind::Created => {
                creating(order, table).min_by_key(|entry| entry.arrival_at).map(|each| each.number)
            }
            Kind::LastUpdate => last_update(order, table, parcel),
            Kind::StatusSince => {
                parcel.and_then(|number| stays(order, table, number).last().map(|stay| stay.entry))
            }
            Kind::PromisedAt | Kind::ShipBy | Kind::Planned(_) => self.setting(order, table),
        };
        found.unwrap_or(NO_ENTRY)
    }

    /// The instant that an entry set; its own time where it carries none, as that of an alert from
    /// before the rules changed may do.
    pub fn at_entry(&self, order: &Order, table: &Lifecycle, entry: i32) -> i64 {
        match &self.kind {
            // A late entry may have moved it to before the anchor's entry.
            Kind::Created => match created_at(order, table) {
                0 => order.at(entry),
                at => at,
            },
            Kind::PromisedAt | Kind::ShipBy | Kind::Planned(_) => {
                let said = order.extras_of(entry).and_then(|fields| self.said(fields));
                said.and_then(Raw::int).unwrap_or_else(|| order.at(entry))
            }
            _ => order.at(entry),
        }
    }

    /// What fields say of a promise or a plan.
    fn said<'a>(&self, fields: &'a Fields) -> Option<Raw<'a>> {
        match &self.kind {
            Kind::PromisedAt => fields.get("promised_at"),
            Kind::ShipBy => fields.get("ship_by"),
            Kind::Planned(milestone) => fields.get("planned")?.map().get(milestone),
            _ => None,
        }
    }

    /// The entry that set a promise or a plan to its present value.
    ///
    /// Of the entries in the walk, the engine's own left out, that carry it: the first one since
    /// which all have the same value. Many senders repeat all they have in every event.
    fn setting(&self, order: &Order, table: &Lifecycle) -> Option<i32> {
        let carries = |fields: &Fields| self.said(fields).is_some();
        if !order.extras.iter().any(|extras| carries(&extras.fields)) {
            return None;
        }
        let mut setter: Option<(i32, Raw)> = None;
        for entry in walk(order, table).iter().rev() {
            if entry.has(marks::FROM_ENGINE) {
                continue;
            }
            let said = order.extras_of(entry.number).and_then(|fields| self.said(fields));
            let Some(value) = said else { continue };
            if setter.is_some_and(|(_, present)| !present.is_equal(value)) {
                break;
            }
            setter = Some((entry.number, value));
        }
        setter.map(|(entry, _)| entry)
    }
}

// ---------------------------------------------------------------- milestones
/// Time of the first; where the engine or other parcels have none, the order's first.
fn milestone_at(order: &Order, table: &Lifecycle, statuses: &StatusSet, parcel: Option<u8>) -> i64 {
    let reached = order.firsts.iter().filter(|first| statuses.contains(first.status));
    let first_at = reached.map(|first| order.at(first.entry)).min();
    let has_both = || statuses.iter().any(|status| table[status].of_both);
    let Some(first_at) = first_at else {
        return if parcel.is_some() && has_both() {
            found_at(order, table, statuses, parcel)
        } else {
            0
        };
    };
    let is_usual = match parcel {
        None => true,
        Some(_) => order.parcels.len() == 1 && !has_both(),
    };
    if is_usual && !order.has(flags::HAS_ENGINE) {
        return first_at;
    }
    found_at(order, table, statuses, parcel)
}

fn found_at(order: &Order, table: &Lifecycle, statuses: &StatusSet, parcel: Option<u8>) -> i64 {
    first_of(order, table, statuses, parcel).map_or(0, |entry| entry.at)
}

/// The first entry of the walk that counts or moved the order.
fn first_of<'a>(
    order: &'a Order,
    table: &Lifecycle,
    statuses: &StatusSet,
    parcel: Option<u8>,
) -> Option<&'a Entry> {
    let moved_it = |entry: &Entry| {
        order
            .derived
            .iter()
            .any(|each| each.entry == entry.number && statuses.contains(each.status))
    };
    walk(order, table).iter().find(|entry| {
        let counts = || statuses.contains(entry.status) && counts_for(order, table, entry, parcel);
        !entry.has(marks::FROM_ENGINE) && (counts() || moved_it(entry))
    })
}

/// Whether an entry with one of the statuses counts for a parcel, or the order.
fn counts_for(order: &Order, table: &Lifecycle, entry: &Entry, parcel: Option<u8>) -> bool {
    if !is_of_its_parcel(order, table, entry) {
        return true;
    }
    match parcel {
        Some(number) => order.parcel_of[usize::from(entry.name)] == number,
        // A parcel's DELIVERED is not the order's: that one is derived from the last parcel.
        None => !table[entry.status].of_both,
    }
}

// ---------------------------------------------------------------- announced, behind
/// The later one in the walk.
fn announced(order: &Order, table: &Lifecycle, status: u8, parcel: Option<u8>) -> Option<i32> {
    let parcel = &order.parcels[usize::from(parcel?)];
    let is_announced = parcel.announced != NO_ENTRY && !parcel.goes_back();
    if !is_announced || table.settles.contains(order.status) || is_only_announced(table, parcel) {
        return None;
    }
    let statuses: StatusSet = [status].into_iter().collect();
    let shipped = first_of(order, table, &statuses, None)?.number;
    let walked = walk(order, table);
    let is_ours = |each: &Entry| each.number == parcel.announced && each.has(marks::FROM_ENGINE);
    if walked.iter().any(is_ours) {
        return None;
    }
    let is_meant = |each: &&Entry| each.number == shipped || each.number == parcel.announced;
    walked.iter().rev().find(is_meant).map(|entry| entry.number)
}

/// The first in the walk behind the one that brought the order to its present status.
fn behind(order: &Order, table: &Lifecycle, status: u8, present: u8) -> Option<i32> {
    let is_met = order.first(status).is_some() || table[status].of_both;
    if order.status != present || !is_met {
        return None;
    }
    let brought = order.course.status_entry;
    let mut later = walk(order, table).iter().skip_while(|entry| entry.number != brought).skip(1);
    let found = later.find(|each| each.status == status && !each.has(marks::FROM_ENGINE));
    found.map(|entry| entry.number)
}

// ---------------------------------------------------------------- created
/// The creating entries of the walk that didn't come from the engine itself.
fn creating<'a>(order: &'a Order, table: &'a Lifecycle) -> impl Iterator<Item = &'a Entry> {
    let creates = |entry: &&Entry| table[entry.status].creates && !entry.has(marks::FROM_ENGINE);
    walk(order, table).iter().filter(creates)
}

fn created_at(order: &Order, table: &Lifecycle) -> i64 {
    if order.has(flags::HAS_ENGINE) {
        return creating(order, table).next().map_or(0, |entry| entry.at);
    }
    order.created_at
}

// ---------------------------------------------------------------- signs of life
/// `updated_at` of the parcel, or the latest of all.
fn last_update_at(order: &Order, table: &Lifecycle, parcel: Option<u8>) -> i64 {
    match parcel {
        None => order.parcels.iter().map(|parcel| parcel.updated_at).max().unwrap_or(0),
        Some(number) if is_label(order, table, number) => {
            own_update(order, table, number).map_or(0, |entry| entry.at)
        }
        Some(number) => order.parcels[usize::from(number)].updated_at,
    }
}

/// The last entry of the walk that was one.
fn last_update(order: &Order, table: &Lifecycle, parcel: Option<u8>) -> Option<i32> {
    if let Some(number) = parcel.filter(|number| is_label(order, table, *number)) {
        return own_update(order, table, number).map(|entry| entry.number);
    }
    let at = last_update_at(order, table, parcel);
    let is_last = |entry: &&Entry| {
        entry.at == at
            && table[entry.status].logistics
            && !entry.has(marks::FROM_ENGINE)
            && parcel.is_none_or(|number| belongs(order, table, entry, number))
    };
    walk(order, table).iter().rev().find(is_last).map(|entry| entry.number)
}

/// Whether it is the unnamed parcel, and nothing but its label is known.
fn is_label(order: &Order, table: &Lifecycle, parcel: u8) -> bool {
    let parcel = &order.parcels[usize::from(parcel)];
    parcel.name.is_empty() && is_only_announced(table, parcel)
}

/// Whether a parcel is in a status that is no sign of life: of a label.
fn is_only_announced(table: &Lifecycle, parcel: &Parcel) -> bool {
    parcel.status != NO_STATUS && !table[parcel.status].logistics
}

/// The last sign of life of the parcel itself, without what the order's own statuses say.
pub fn own_update<'a>(order: &'a Order, table: &Lifecycle, parcel: u8) -> Option<&'a Entry> {
    walk(order, table).iter().rev().find(|entry| {
        table[entry.status].logistics
            && !entry.has(marks::FROM_ENGINE)
            && order.parcel_of[usize::from(entry.name)] == parcel
            && is_of_its_parcel(order, table, entry)
    })
}

/// Whether an entry speaks for the parcel; the order's own speak for the unnamed one.
fn belongs(order: &Order, table: &Lifecycle, entry: &Entry, parcel: u8) -> bool {
    let number = order.parcel_of[usize::from(entry.name)];
    if is_parcels(table, entry.status, &order.parcels[usize::from(number)]) {
        return number == parcel;
    }
    order.parcels[usize::from(parcel)].name.is_empty()
}

// ---------------------------------------------------------------- stays
/// When the parcel came into its status; the engine's own moves don't count.
fn status_since(order: &Order, table: &Lifecycle, parcel: Option<u8>) -> i64 {
    let Some(number) = parcel else { return 0 };
    let found = stays(order, table, number);
    found.last().filter(|stay| stay.marks & marks::FROM_ENGINE == 0).map_or(0, |stay| stay.began_at)
}
