//! Explanations: the state of each rule for an order and its parcels, and why it watches nothing.

use super::NEVER;
use super::deadlines::{escalated, paused, subjects};
use super::desk::Desk;
use super::row::{NO_ALERT, OVERDUE, Rule};
use super::working_time::BEYOND_MS;
use crate::fault::Fault;
use crate::order::parcels::numbered;
use crate::order::{Done, NO_PARCEL, OpenAlert, Order, Term, flags};

/// State of a rule for an order or a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its deadline is still to come.
    Armed,
    /// Its alert is open.
    Open,
    /// Its alert is open and flaps.
    Flapping,
    /// It opens no alert, and its action was requested for this anchor.
    Acted,
    /// Its deadline was long past when its anchor arrived.
    Missed,
    /// Its deadline is outside the years of its calendar.
    OutsideCalendar,
    /// The order was never created.
    Embryo,
    /// The order has retired.
    Retired,
    /// The order's status is none of the rule's `statuses`.
    Status,
    /// No parcel of the order is known.
    NoParcel,
    /// The parcel has ended.
    Ended,
    /// The shop's word of the whole order covers the parcel.
    Settled,
    /// The parcel's status is none of those in which the rule applies.
    ShipmentStatus,
    /// The parcel goes the other way.
    Direction,
    /// The order has none of the rule's anchors.
    AnchorMissing,
    /// The milestone of `unless_reached` was reached.
    UnlessReached,
    /// The milestone of `once_reached` was not reached yet.
    OnceMissing,
    /// The parcel was scanned.
    Scanned,
    /// The condition is false.
    ConditionFalse,
    /// The condition could not be evaluated.
    ConditionFault,
}

impl State {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            State::Armed => "armed",
            State::Open => "open",
            State::Flapping => "flapping",
            State::Acted => "acted",
            State::Missed => "missed",
            State::OutsideCalendar => "outside_calendar",
            State::Embryo => "embryo",
            State::Retired => "retired",
            State::Status => "status",
            State::NoParcel => "no_parcel",
            State::Ended => "parcel_ended",
            State::Settled => "parcel_settled",
            State::ShipmentStatus => "shipment_status",
            State::Direction => "direction",
            State::AnchorMissing => "anchor_missing",
            State::UnlessReached => "unless_reached",
            State::OnceMissing => "once_missing",
            State::Scanned => "scanned",
            State::ConditionFalse => "condition_false",
            State::ConditionFault => "condition_fault",
        }
    }
}

/// The state of a rule for an order or a parcel; instants are 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Index of the rule among those in force.
    pub rule: u16,
    /// The parcel; None for the order.
    pub parcel: Option<u8>,
    /// The state.
    pub state: State,
    /// What decided it: a status, an anchor, a milestone, a condition or its fault; or "".
    pub detail: String,
    /// Instant of the anchor.
    pub anchor_at: i64,
    /// When an alert opens (or an action is requested), or when that of the open alert was due.
    pub due_at: i64,
    /// When the alert becomes overdue.
    pub escalates_at: i64,
    /// Opening of the alert.
    pub opened_at: i64,
    /// Until when the present status of the parcel stops the clock, if it moves no more.
    pub paused_until: i64,
}

impl Explained {
    fn new(rule: u16, parcel: Option<u8>, state: State, detail: String) -> Self {
        let (anchor_at, due_at, escalates_at, opened_at, paused_until) = (0, 0, 0, 0, 0);
        Explained {
            rule,
            parcel,
            state,
            detail,
            anchor_at,
            due_at,
            escalates_at,
            opened_at,
            paused_until,
        }
    }
}

impl Desk {
    /// The state of every rule for an order that is settled at `watermark`, by rule and parcel.
    ///
    /// A rule for parcels has one state for each where it looks at the order, else one in all.
    ///
    /// # Errors
    /// A condition could not be evaluated at all.
    pub fn explain(
        &self,
        order: &mut Order,
        watermark: i64,
        is_retired: bool,
    ) -> Result<Vec<Explained>, Fault> {
        let subjects = subjects(order, self.table());
        let mut found = Vec::new();
        for (rule, number) in self.rules().all().iter().zip(0..) {
            if let Some((state, detail)) = self.unseen(order, rule, is_retired) {
                found.push(Explained::new(number, None, state, detail));
                continue;
            }
            if !rule.per_shipment {
                found.push(self.explained(order, number, None, watermark)?);
                continue;
            }
            let shown: Vec<_> = numbered(order).map(|(number, _)| number).collect();
            for parcel in shown {
                found.push(match self.passed_over(order, rule, parcel, &subjects) {
                    Some((state, detail)) => Explained::new(number, Some(parcel), state, detail),
                    None => self.explained(order, number, Some(parcel), watermark)?,
                });
            }
        }
        Ok(found)
    }

    /// Why a rule doesn't look at the order at all.
    fn unseen(&self, order: &Order, rule: &Rule, is_retired: bool) -> Option<(State, String)> {
        let status = || self.table().code(order.status).unwrap_or_default().to_owned();
        if order.has(flags::EMBRYO) {
            return Some((State::Embryo, String::new()));
        }
        if is_retired {
            return Some((State::Retired, String::new()));
        }
        if !rule.statuses.contains(order.status) {
            return Some((State::Status, status()));
        }
        let lacks_parcel = rule.per_shipment && numbered(order).next().is_none();
        lacks_parcel.then(|| (State::NoParcel, String::new()))
    }

    /// Why a rule doesn't look at a parcel.
    fn passed_over(
        &self,
        order: &Order,
        rule: &Rule,
        number: u8,
        subjects: &[u8],
    ) -> Option<(State, String)> {
        let parcel = &order.parcels[usize::from(number)];
        if !subjects.contains(&number) {
            let state = if parcel.counts() { State::Settled } else { State::Ended };
            return Some((state, String::new()));
        }
        if !rule.shipment_statuses.contains(parcel.status) {
            let status = self.table().code(parcel.status).unwrap_or_default();
            return Some((State::ShipmentStatus, status.to_owned()));
        }
        let direction = if parcel.goes_back() { "return" } else { "forward" };
        (!rule.looks_at(parcel.goes_back())).then(|| (State::Direction, direction.to_owned()))
    }

    /// The state of a rule that looks at the order or the parcel.
    fn explained(
        &self,
        order: &mut Order,
        number: u16,
        parcel: Option<u8>,
        watermark: i64,
    ) -> Result<Explained, Fault> {
        let rule = self.rule(number);
        let alert = self.alert_of(order, number, parcel).cloned();
        let term = self.term_of(order, number, parcel)?;
        let mut found = match &term {
            Ok(term) => self.watched(order, term, alert.as_ref(), watermark),
            Err(why) => Explained::new(number, parcel, *why, detail_of(order, rule, *why)),
        };
        if let Some(alert) = alert {
            found.state = if alert.is_flapping { State::Flapping } else { State::Open };
            found.due_at = alert.due_at;
            found.opened_at = alert.opened_at;
        }
        Ok(found)
    }

    /// The state of a rule that has a deadline.
    fn watched(
        &self,
        order: &Order,
        term: &Term,
        alert: Option<&OpenAlert>,
        watermark: i64,
    ) -> Explained {
        let rule = self.rule(term.rule);
        let deadline = &rule.deadlines[term.deadline as usize];
        let is_missed = order.has(flags::MISSED) && self.is_missed(order, term);
        let state = if is_missed {
            State::Missed
        } else if term.due_at == NEVER {
            State::OutsideCalendar
        } else if self.has_acted(order, term) {
            State::Acted
        } else {
            State::Armed
        };
        let detail = match &rule.when {
            Some(condition) if rule.on_condition => condition.text.clone(),
            _ => deadline.anchor.name.clone(),
        };
        let mut found = Explained::new(term.rule, term.parcel, state, detail);
        found.anchor_at = if rule.on_condition { 0 } else { term.anchor_at };
        if !matches!(state, State::OutsideCalendar) {
            found.due_at = term.due_at;
        }
        if !is_missed && alert.is_none_or(|alert| alert.level < OVERDUE) {
            let at = match alert {
                Some(alert) if rule.on_condition => escalated(rule, alert.opened_at, 0),
                None if rule.on_condition => NEVER,
                _ => term.escalated_at,
            };
            found.escalates_at = if at < BEYOND_MS { at } else { 0 };
        }
        let (_, until) = paused(order, rule, self.table(), term.parcel, term.anchor_at);
        found.paused_until = if until > watermark { until } else { 0 };
        found
    }

    /// Whether a rule without severity has requested its action for the present anchor.
    fn has_acted(&self, order: &Order, term: &Term) -> bool {
        let rule = self.rule(term.rule);
        let deadline = &rule.deadlines[term.deadline as usize];
        let anchor = deadline.anchor.entry(order, self.table(), term.parcel);
        let done = Done { rule: self.symbol_of(term.rule), parcel: NO_PARCEL, anchor };
        rule.level == NO_ALERT && order.done.contains(&done)
    }
}

/// What decided that a rule wants nothing.
fn detail_of(order: &Order, rule: &Rule, why: State) -> String {
    match why {
        State::AnchorMissing => {
            let names: Vec<_> =
                rule.deadlines.iter().map(|deadline| deadline.anchor.name.as_str()).collect();
            Some(names.join(" | "))
        }
        State::UnlessReached => rule.unless.as_ref().map(|anchor| anchor.name.clone()),
        State::OnceMissing => rule.once.as_ref().map(|anchor| anchor.name.clone()),
        State::ConditionFalse => rule.when.as_ref().map(|condition| condition.text.clone()),
        State::ConditionFault => order.faults.last().map(|fault| fault.reason.clone()),
        _ => None,
    }
    .unwrap_or_default()
}
