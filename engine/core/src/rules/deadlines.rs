//! Deadlines: what the rules count from, which alerts they want, and when the next one is due.

use super::NEVER;
use super::anchors::{Anchor, own_update};
use super::desk::Desk;
use super::explained::State;
use super::row::{Deadline, Rule};
use super::stays::stays;
use super::working_time::BEYOND_MS;
use crate::fault::Fault;
use crate::lifecycle::Lifecycle;
use crate::order::parcels::numbered;
use crate::order::{NO_ENTRY, Order, Parcel, RuleFault, RuleFaultKind, Term, flags, parcel_marks};
use crate::statuses::NO_STATUS;

/// What is due by an instant.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Alerts (or actions) that are due. The due time of a condition is the arrival since which the
    /// order has been as it is.
    pub wants: Vec<Term>,
    /// When the next thing is due after the instant; `NEVER` if nothing is.
    pub next_at: i64,
}

impl Desk {
    /// What is due by `limit`.
    ///
    /// `floor` is the arrival since which the order has been as it is; conditions are due then.
    /// Their escalation counts from the opening of the alert.
    ///
    /// # Errors
    /// A condition could not be evaluated at all.
    pub(super) fn wanted(
        &self,
        order: &mut Order,
        limit: i64,
        floor: i64,
    ) -> Result<Wanted, Fault> {
        self.compute_terms(order)?;
        let terms = order.terms.take().unwrap_or_default();
        let mut found = Wanted { wants: Vec::new(), next_at: NEVER };
        for term in &terms {
            let rule = self.rule(term.rule);
            let mut want = *term;
            if rule.on_condition {
                want.due_at = floor;
            }
            if want.due_at > limit {
                found.next_at = found.next_at.min(want.due_at);
                continue;
            }
            if rule.on_condition && rule.escalation.is_some() {
                let alert = self.alert_of(order, term.rule, term.parcel);
                let since = alert.map(|alert| alert.opened_at).filter(|at| *at != 0);
                let mut began = *term;
                began.escalated_at = escalated(rule, since.unwrap_or(floor), 0);
                within_years(order, rule, &mut began);
                want.escalated_at = began.escalated_at;
            }
            found.wants.push(want);
            if limit < want.escalated_at {
                found.next_at = found.next_at.min(want.escalated_at);
            }
        }
        order.terms = Some(terms);
        Ok(found)
    }

    /// Compute the terms of all rules that look at the order; it keeps them until its next entry.
    ///
    /// # Errors
    /// A condition could not be evaluated at all.
    pub fn compute_terms(&self, order: &mut Order) -> Result<(), Fault> {
        if order.terms.is_some() {
            return Ok(());
        }
        order.faults.clear();
        let mut found = Vec::new();
        if !order.has(flags::EMBRYO) {
            self.look_up(order, &mut found)?;
        }
        order.terms = Some(found);
        Ok(())
    }

    fn look_up(&self, order: &mut Order, found: &mut Vec<Term>) -> Result<(), Fault> {
        for &rule in self.rules().of_order(order.status) {
            found.extend(self.term_of(order, rule, None)?.ok());
        }
        let rules = self.rules().of_shipment(order.status);
        if rules.is_empty() {
            return Ok(());
        }
        for number in subjects(order, self.table()) {
            let parcel = &order.parcels[usize::from(number)];
            let (status, goes_back) = (parcel.status, parcel.goes_back());
            for &rule in rules {
                let row = self.rule(rule);
                if row.shipment_statuses.contains(status) && row.looks_at(goes_back) {
                    found.extend(self.term_of(order, rule, Some(number))?.ok());
                }
            }
        }
        Ok(())
    }

    /// When a rule is due for the order or the parcel; why not, if it wants nothing of it.
    ///
    /// # Errors
    /// A condition could not be evaluated at all.
    pub(super) fn term_of(
        &self,
        order: &mut Order,
        number: u16,
        parcel: Option<u8>,
    ) -> Result<Result<Term, State>, Fault> {
        let (rule, table) = (self.rule(number), self.table());
        let anchors = rule.deadlines.iter().map(|each| each.anchor.at(order, table, parcel));
        let Some((index, anchor_at)) = anchors.enumerate().find(|(_, at)| *at != 0) else {
            return Ok(Err(State::AnchorMissing));
        };
        if let Some(why) = void(order, rule, table, parcel) {
            return Ok(Err(why));
        }
        if let Some(why) = self.unmet(order, number, parcel)? {
            return Ok(Err(why));
        }
        let (due_at, escalated_at) = if rule.on_condition {
            (0, if rule.escalation.is_some() { 0 } else { NEVER })
        } else {
            let (paused, _) = paused(order, rule, table, parcel, anchor_at);
            let due_at = due(order, table, &rule.deadlines[index], parcel, anchor_at);
            (due_at + paused, escalated(rule, anchor_at, paused))
        };
        let deadline = index as u32;
        let mut term = Term { rule: number, parcel, deadline, anchor_at, due_at, escalated_at };
        within_years(order, rule, &mut term);
        Ok(Ok(term))
    }

    /// Why the condition of a rule isn't true of the order and the parcel; None if it is.
    ///
    /// It isn't where it can't be evaluated; the order keeps the fault until it is settled.
    fn unmet(
        &self,
        order: &mut Order,
        number: u16,
        parcel: Option<u8>,
    ) -> Result<Option<State>, Fault> {
        let Some(condition) = &self.rule(number).when else {
            return Ok(None);
        };
        let found = self.conditions().verdict(number, condition, order, self.table(), parcel)?;
        if !found.fault.is_empty() {
            let kind = RuleFaultKind::Condition;
            order.faults.push(RuleFault { rule: number, kind, reason: found.fault });
            return Ok(Some(State::ConditionFault));
        }
        Ok((!found.is_true).then_some(State::ConditionFalse))
    }
}

/// The parcels, by number, that rules look at: the named ones, else the unnamed; none ended.
///
/// None that the shop's word of the whole order covers, nor the unnamed one that no carrier spoke
/// of, once its order was delivered.
pub fn subjects(order: &Order, table: &Lifecycle) -> Vec<u8> {
    let is_settled = order.firsts.iter().any(|first| table.settles.contains(first.status));
    let is_subject = |parcel: &Parcel| {
        let is_meant = !parcel.name.is_empty() || !is_settled || parcel.status != NO_STATUS;
        is_meant && parcel.counts() && !parcel.has(parcel_marks::SETTLED)
    };
    numbered(order).filter(|(_, parcel)| is_subject(parcel)).map(|(number, _)| number).collect()
}

/// Whether the rule's statuses and direction hold of the order, or of a parcel.
pub(super) fn still_applies(
    order: &Order,
    rule: &Rule,
    table: &Lifecycle,
    parcel: Option<u8>,
) -> bool {
    if order.has(flags::EMBRYO) || !rule.statuses.contains(order.status) {
        return false;
    }
    if !rule.per_shipment {
        return true;
    }
    let Some(number) = parcel.filter(|number| subjects(order, table).contains(number)) else {
        return false;
    };
    let parcel = &order.parcels[usize::from(number)];
    rule.shipment_statuses.contains(parcel.status) && rule.looks_at(parcel.goes_back())
}

/// Why a milestone of the order makes the rule void, or the lack of one; or a scan.
fn void(order: &Order, rule: &Rule, table: &Lifecycle, parcel: Option<u8>) -> Option<State> {
    let reached = |anchor: &Anchor| anchor.at(order, table, None) != 0;
    let is_scanned = |number| own_update(order, table, number).is_some();
    if rule.unless.as_ref().is_some_and(reached) {
        return Some(State::UnlessReached);
    }
    if rule.unscanned && parcel.is_some_and(is_scanned) {
        return Some(State::Scanned);
    }
    rule.once.as_ref().is_some_and(|anchor| !reached(anchor)).then_some(State::OnceMissing)
}

/// Put `NEVER` for what lies outside the years of the rule's calendars.
///
/// The order keeps it in `faults` until it is settled, once for the rule.
fn within_years(order: &mut Order, rule: &Rule, term: &mut Term) {
    let is_due_outside = term.due_at >= BEYOND_MS;
    if !(is_due_outside || (BEYOND_MS..NEVER).contains(&term.escalated_at)) {
        return;
    }
    let kind = RuleFaultKind::OutsideYears;
    let fault = RuleFault { rule: term.rule, kind, reason: rule.outside_years() };
    if !order.faults.contains(&fault) {
        order.faults.push(fault);
    }
    if is_due_outside {
        term.due_at = NEVER;
    }
    term.escalated_at = NEVER;
}

/// When the deadline is due, pauses left out.
///
/// The warning ahead of a promise takes at most half of the time promised.
fn due(
    order: &Order,
    table: &Lifecycle,
    deadline: &Deadline,
    parcel: Option<u8>,
    anchor_at: i64,
) -> i64 {
    let due_at = deadline.after.due_at(anchor_at);
    if !deadline.is_ahead_of_promise() {
        return due_at;
    }
    match deadline.anchor.entry(order, table, parcel) {
        NO_ENTRY => due_at,
        entry => due_at.max(anchor_at - (anchor_at - order.at(entry)).max(0) / 2),
    }
}

/// When the alert becomes overdue; `NEVER` without an escalation.
pub(super) fn escalated(rule: &Rule, anchor_at: i64, paused: i64) -> i64 {
    rule.escalation.as_ref().map_or(NEVER, |limit| limit.due_at(anchor_at) + paused)
}

/// Event time since the anchor which the parcel spent in statuses that stop the rule's clock, and
/// until when the present one does; 0 where it doesn't.
pub(super) fn paused(
    order: &Order,
    rule: &Rule,
    table: &Lifecycle,
    parcel: Option<u8>,
    anchor_at: i64,
) -> (i64, i64) {
    let Some(number) = parcel.filter(|_| !rule.pausing.is_empty()) else {
        return (0, 0);
    };
    let limit_of = |status| {
        rule.pausing.iter().find(|(pausing, _)| *pausing == status).map(|(_, limit_ms)| *limit_ms)
    };
    let is_in_both = rule.pausing.iter().any(|(status, _)| table[*status].of_both);
    if !is_in_both && !order.firsts.iter().any(|first| limit_of(first.status).is_some()) {
        return (0, 0);
    }
    let (mut paused_ms, mut until) = (0, 0);
    for stay in stays(order, table, number) {
        let Some(limit_ms) = limit_of(stay.status) else { continue };
        let latest = stay.began_at + limit_ms;
        let ended_at = stay.ended_at.unwrap_or(latest).min(latest);
        let ms = (ended_at - stay.began_at.max(anchor_at)).max(0);
        paused_ms += ms;
        until = if stay.ended_at.is_none() && ms > 0 { latest } else { 0 };
    }
    (paused_ms, until)
}

/// Whether a deadline of a term is outside the years of its calendar.
pub fn lacks_instant(rule: &Rule, term: &Term) -> bool {
    term.due_at == NEVER || rule.escalation.is_some() && term.escalated_at == NEVER
}
