//! Alerts: from what the rules want to what is emitted: opened, escalated, resolved, and actions.
//!
//! An alert is in the order from its opening to its resolution; what was acted on, or missed, stays
//! in the order's `done`, so that it happens once.

use std::sync::Arc;

use super::deadlines::still_applies;
use super::desk::Desk;
use super::row::{Act, NO_ALERT, OVERDUE, WARNING};
use super::{NEVER, parcel_byte, parcel_of_byte};
use crate::fault::Fault;
use crate::instants::DAY_MS;
use crate::order::{
    Done, NO_ENTRY, NO_PARCEL, OpenAlert, Opening, Order, RuleFaultKind, Term, flags,
};
use crate::statuses::NO_STATUS;

/// An order that was never created leaves memory so long after its latest arrival.
const EMBRYO_RETIRES_AFTER_MS: i64 = 30 * DAY_MS;
/// The third opening within this time flaps.
const FLAPPING_MS: i64 = 14 * DAY_MS;
const FLAPPING_OPENINGS: usize = 3;

/// Kinds of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An alert opened.
    Opened,
    /// A warning became overdue.
    Escalated,
    /// An alert resolved.
    Resolved,
    /// An action was requested.
    Action,
    /// A deadline was long past when its anchor arrived.
    Missed,
    /// A rule could not be evaluated.
    Fault(RuleFaultKind),
}

impl What {
    /// Whether it changes the document of the order.
    fn is_versioned(self) -> bool {
        !matches!(self, What::Action | What::Fault(_))
    }
}

/// A transition of an alert, or something else that a rule emits; instants are 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Its kind.
    pub what: What,
    /// Symbol of the rule.
    pub rule: u16,
    /// Level of the alert.
    pub level: u8,
    /// The parcel; None for the order.
    pub parcel: Option<u8>,
    /// The entry that set the rule's anchor.
    pub anchor: i32,
    /// Index of the anchor taken.
    pub deadline: u32,
    /// When it happened.
    pub at: i64,
    /// When it was due.
    pub due_at: i64,
    /// The action that is requested.
    pub act: Option<Arc<Act>>,
    /// Why the rule could not be evaluated; empty where the audit log of the order has such a fault
    /// of this rule already.
    pub reason: String,
    /// The alert flaps.
    pub is_flapping: bool,
    /// Opening of the alert.
    pub opened_at: i64,
    /// Escalation of the alert.
    pub escalated_at: i64,
}

impl Transition {
    /// A transition of a rule, named by its symbol, that has no alert.
    fn without_alert(what: What, rule: u16, at: i64) -> Transition {
        Transition {
            what,
            rule,
            level: NO_ALERT,
            parcel: None,
            anchor: NO_ENTRY,
            deadline: 0,
            at,
            due_at: at,
            act: None,
            reason: String::new(),
            is_flapping: false,
            opened_at: 0,
            escalated_at: 0,
        }
    }

    /// A transition, or an action, of an alert; its rule may have left the rules file meanwhile.
    pub fn of(what: What, alert: &OpenAlert, at: i64) -> Transition {
        Transition {
            level: alert.level,
            parcel: parcel_of_byte(alert.parcel),
            anchor: alert.anchor,
            deadline: alert.deadline,
            due_at: alert.due_at,
            is_flapping: alert.is_flapping,
            opened_at: alert.opened_at,
            escalated_at: alert.escalated_at,
            ..Transition::without_alert(what, alert.rule, at)
        }
    }
}

/// Open alerts: those that flap by rule and parcel, the others with their anchor, too.
#[derive(Debug, Default)]
struct Held {
    flapping: Vec<OpenAlert>,
    others: Vec<OpenAlert>,
}

impl Held {
    fn of(alerts: Vec<OpenAlert>) -> Self {
        let (flapping, others) = alerts.into_iter().partition(|alert| alert.is_flapping);
        Held { flapping, others }
    }

    fn take_flapping(&mut self, rule: u16, parcel: u8) -> Option<OpenAlert> {
        let is_same = |alert: &OpenAlert| alert.rule == rule && alert.parcel == parcel;
        let place = self.flapping.iter().position(is_same)?;
        Some(self.flapping.remove(place))
    }

    fn take_other(&mut self, rule: u16, parcel: u8, anchor: i32) -> Option<OpenAlert> {
        let is_same = |alert: &OpenAlert| {
            alert.rule == rule && alert.parcel == parcel && alert.anchor == anchor
        };
        let place = self.others.iter().position(is_same)?;
        Some(self.others.remove(place))
    }
}

/// An order under evaluation, and what is emitted of it.
struct Settling<'a> {
    desk: &'a Desk,
    order: &'a mut Order,
    limit: i64,
    floor: i64,
    said: Vec<Transition>,
}

impl Desk {
    /// Emit everything that is due by `limit`: (what is emitted, when to evaluate again).
    ///
    /// `floor` is the arrival since which the order has been as it is. The order has retired where
    /// the second value is None; `NEVER` where nothing is due any more.
    ///
    /// # Errors
    /// The order can't be evaluated.
    pub fn settle(
        &self,
        order: &mut Order,
        limit: i64,
        floor: i64,
    ) -> Result<(Vec<Transition>, Option<i64>), Fault> {
        let retires_at = self.retires_at(order).max(floor);
        let (mut said, next_at) = self.decide(order, limit.min(retires_at), floor)?;
        if retires_at > limit {
            return Ok((said, Some(next_at.min(retires_at))));
        }
        if order.alerts.is_empty() {
            return Ok((said, None));
        }
        let (more, next_at) = self.decide(order, limit, floor)?;
        said.extend(more);
        Ok((said, Some(next_at)))
    }

    /// When the order leaves memory if nothing more arrives of it.
    pub fn retires_at(&self, order: &Order) -> i64 {
        if order.has(flags::HISTORY_FULL | flags::ORDER_FULL) {
            return NEVER; // it may lack what would keep it open
        }
        let table = self.table();
        let latest = order.entries().rev().find(|entry| !table[entry.status].is_note);
        let latest_at = latest.map_or(order.latest_arrival_at(), |entry| entry.arrival_at);
        if order.has(flags::EMBRYO) {
            return latest_at + EMBRYO_RETIRES_AFTER_MS;
        }
        match order.status {
            NO_STATUS => NEVER,
            status => match table[status].retire_after_ms {
                0 => NEVER,
                after_ms => latest_at + after_ms,
            },
        }
    }

    /// Open, escalate and resolve by what is due at `limit`.
    fn decide(
        &self,
        order: &mut Order,
        limit: i64,
        floor: i64,
    ) -> Result<(Vec<Transition>, i64), Fault> {
        let found = self.wanted(order, limit, floor)?;
        let mut settling = Settling { desk: self, order, limit, floor, said: Vec::new() };
        settling.emit_faults();
        if found.wants.is_empty() && settling.order.alerts.is_empty() {
            return Ok((settling.said, found.next_at));
        }
        let ends_at = settling.settle(found.wants);
        Ok((settling.said, found.next_at.min(ends_at)))
    }

    /// Whether the deadline of the present anchor of a term's rule was missed.
    pub fn is_missed(&self, order: &Order, term: &Term) -> bool {
        let rule = self.symbol_of(term.rule) | Done::MISSED_BIT;
        let parcel = parcel_byte(term.parcel);
        if !order.done.iter().any(|done| done.rule == rule && done.parcel == parcel) {
            return false;
        }
        let deadline = &self.rule(term.rule).deadlines[term.deadline as usize];
        let anchor = deadline.anchor.entry(order, self.table(), term.parcel);
        order.done.contains(&Done { rule, parcel, anchor })
    }
}

impl Settling<'_> {
    /// Emit what could not be evaluated of the order as it is since `floor`.
    ///
    /// A rule's first of a kind goes to the audit log. Which that is depends on the events alone:
    /// rules are evaluated after each arrival, and `done` is part of the order.
    fn emit_faults(&mut self) {
        let mut faults = std::mem::take(&mut self.order.faults);
        // By the names of rules and kinds: calendar, condition.
        faults.sort_by(|one, two| {
            let id = |rule| &self.desk.rule(rule).id;
            let by_rule = id(one.rule).cmp(id(two.rule));
            by_rule.then(two.kind.cmp(&one.kind)).then_with(|| one.reason.cmp(&two.reason))
        });
        for fault in faults {
            let rule = self.desk.symbol_of(fault.rule);
            let kind = fault.kind as u8;
            let is_first =
                self.note(Done { rule: rule | Done::FAULT_BITS, parcel: kind, anchor: 0 });
            let what = What::Fault(fault.kind);
            self.said.push(Transition {
                reason: if is_first { fault.reason } else { String::new() },
                ..Transition::without_alert(what, rule, self.floor)
            });
        }
    }

    /// Note what is done once; whether it is the first time.
    fn note(&mut self, done: Done) -> bool {
        let is_first = !self.order.done.contains(&done);
        if is_first {
            self.order.done.push(done);
        }
        is_first
    }

    /// Open, escalate and resolve; when a flapping alert ends.
    fn settle(&mut self, mut wants: Vec<Term>) -> i64 {
        let mut held = Held::of(std::mem::take(&mut self.order.alerts));
        let mut still = Vec::new();
        // Of several parcels with one anchor the first that is due requests the action.
        wants.sort_by_key(|want| want.due_at);
        for want in &wants {
            still.extend(self.wanted(want, &mut held));
        }
        let mut next_at = NEVER;
        for alert in held.flapping {
            if let Some(alert) = self.calmed(alert) {
                next_at = next_at.min(alert.last_wanted_at + FLAPPING_MS);
                still.push(alert);
            }
        }
        for alert in &held.others {
            self.said.push(Transition::of(What::Resolved, alert, self.floor));
        }
        self.order.alerts = still;
        self.said.sort_by_key(|transition| transition.at);
        let changes = self.said.iter().filter(|said| said.what.is_versioned()).count();
        self.order.version += changes as u64;
        next_at
    }

    /// Keep or open the alert that a rule wants; the alert to store.
    fn wanted(&mut self, want: &Term, held: &mut Held) -> Option<OpenAlert> {
        let (desk, floor) = (self.desk, self.floor);
        let (rule, parcel) = (desk.symbol_of(want.rule), parcel_byte(want.parcel));
        if let Some(flapping) = held.take_flapping(rule, parcel) {
            let ended_at = flapping.last_wanted_at + FLAPPING_MS;
            if flapping.last_wanted_at == 0 || want.due_at.max(floor) <= ended_at {
                return self.kept(want, flapping.anchor, Some(flapping));
            }
            self.said.push(Transition::of(What::Resolved, &flapping, ended_at));
        }
        let deadline = &desk.rule(want.rule).deadlines[want.deadline as usize];
        let anchor = deadline.anchor.entry(self.order, desk.table(), want.parcel);
        let alert = held.take_other(rule, parcel, anchor);
        self.kept(want, anchor, alert)
    }

    /// Keep a flapping alert that is not wanted now, or resolve it.
    fn calmed(&mut self, mut alert: OpenAlert) -> Option<OpenAlert> {
        let (desk, floor) = (self.desk, self.floor);
        let applies = desk.rule_of(alert.rule).is_some_and(|rule| {
            still_applies(self.order, rule, desk.table(), parcel_of_byte(alert.parcel))
        });
        if !applies {
            self.said.push(Transition::of(What::Resolved, &alert, floor));
            return None;
        }
        if alert.last_wanted_at == 0 {
            alert.last_wanted_at = floor;
        }
        let ends_at = alert.last_wanted_at + FLAPPING_MS;
        if ends_at <= self.limit {
            self.said.push(Transition::of(What::Resolved, &alert, ends_at));
            return None;
        }
        Some(alert)
    }

    /// Open the alert if it isn't, escalate it if that is due; the alert to store.
    fn kept(&mut self, want: &Term, anchor: i32, alert: Option<OpenAlert>) -> Option<OpenAlert> {
        let rule = self.desk.rule(want.rule);
        let number = self.desk.symbol_of(want.rule);
        let mut alert = match alert {
            Some(alert) => alert,
            None if self.is_stale(want, anchor) => {
                self.miss(want, anchor);
                return None;
            }
            None => self.opened(want, anchor),
        };
        alert.deadline = want.deadline;
        alert.last_wanted_at = 0;
        if alert.level == WARNING && want.escalated_at <= self.limit {
            let at = want.escalated_at.max(self.floor);
            alert.level = OVERDUE;
            alert.due_at = want.escalated_at;
            alert.escalated_at = at;
            self.said.push(Transition::of(What::Escalated, &alert, at));
            if !alert.is_flapping {
                let act = rule.escalated_action.as_ref();
                self.act(number | Done::ESCALATED_BIT, act, at, &alert);
            }
        }
        (rule.level != NO_ALERT).then_some(alert)
    }

    /// Open an alert, or only act where the rule has no severity.
    fn opened(&mut self, want: &Term, anchor: i32) -> OpenAlert {
        let rule = self.desk.rule(want.rule);
        let (number, parcel) = (self.desk.symbol_of(want.rule), parcel_byte(want.parcel));
        let at = want.due_at.max(self.floor);
        let is_flapping = rule.level != NO_ALERT && self.is_third(number, parcel, at);
        let alert = OpenAlert {
            rule: number,
            level: rule.level,
            deadline: want.deadline,
            is_flapping,
            parcel,
            anchor,
            opened_at: at,
            due_at: want.due_at,
            escalated_at: 0,
            last_wanted_at: 0,
        };
        if rule.level != NO_ALERT {
            self.said.push(Transition::of(What::Opened, &alert, at));
        }
        if !is_flapping {
            self.act(number, rule.action.as_ref(), at, &alert);
        }
        alert
    }

    /// Whether two others of a rule and parcel opened less than 14 days before; notes this.
    fn is_third(&mut self, rule: u16, parcel: u8, at: i64) -> bool {
        let is_same = |opening: &&Opening| opening.rule == rule && opening.parcel == parcel;
        let openings = &self.order.openings;
        let mut now: Vec<Opening> =
            openings.iter().filter(|each| !is_same(each)).copied().collect();
        let recent: Vec<Opening> = openings
            .iter()
            .filter(|each| is_same(each) && at - each.at < FLAPPING_MS)
            .copied()
            .collect();
        now.extend(&recent[recent.len().saturating_sub(FLAPPING_OPENINGS - 1)..]);
        now.push(Opening { rule, parcel, at });
        self.order.openings = now;
        recent.len() >= FLAPPING_OPENINGS - 1
    }

    /// Whether the deadline was long past already when its anchor arrived.
    fn is_stale(&self, want: &Term, anchor: i32) -> bool {
        let stale_after_ms = self.desk.rule(want.rule).stale_after_ms;
        stale_after_ms.is_some_and(|ms| want.due_at < self.order.arrival_at(anchor) - ms)
    }

    /// Record a deadline as missed, once for an anchor.
    fn miss(&mut self, want: &Term, anchor: i32) {
        let number = self.desk.symbol_of(want.rule);
        let rule = number | Done::MISSED_BIT;
        if !self.note(Done { rule, parcel: parcel_byte(want.parcel), anchor }) {
            return;
        }
        self.order.flags |= flags::MISSED;
        self.said.push(Transition {
            parcel: want.parcel,
            anchor,
            deadline: want.deadline,
            due_at: want.due_at,
            ..Transition::without_alert(What::Missed, number, self.floor)
        });
    }

    /// Request an action, once for an anchor, with the evidence of `alert`.
    fn act(&mut self, name: u16, act: Option<&Arc<Act>>, at: i64, alert: &OpenAlert) {
        let Some(act) = act else { return };
        if self.note(Done { rule: name, parcel: NO_PARCEL, anchor: alert.anchor }) {
            let said = Transition::of(What::Action, alert, at);
            self.said.push(Transition { act: Some(act.clone()), ..said });
        }
    }
}
