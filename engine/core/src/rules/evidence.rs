//! Evidence: why an alert opened, escalated or resolved, and which deadlines are still to come.

use super::NEVER;
use super::alerts::Transition;
use super::deadlines::lacks_instant;
use super::desk::Desk;
use super::row::{Deadline, NO_ALERT, OVERDUE};
use crate::fault::Fault;
use crate::order::{Order, flags};

/// Evidence for a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Because<'a> {
    /// What the deadline counted from.
    pub anchor: &'a str,
    /// Hash of the event that set it; 0 for none.
    pub anchor_event: u64,
    /// Its instant.
    pub anchor_at: i64,
    /// The limit that was passed, as it reads.
    pub limit: &'a str,
    /// When it was passed.
    pub due_at: i64,
    /// Status of the latest event.
    pub last_event: &'a str,
    /// Its time.
    pub last_event_at: i64,
}

/// A deadline that is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Index of the rule among those in force.
    pub rule: u16,
    /// When it is due.
    pub due_at: i64,
    /// Level of the alert that opens, or of its escalation.
    pub level: u8,
    /// The parcel; None for the order.
    pub parcel: Option<u8>,
}

impl Desk {
    /// The evidence for a transition.
    pub fn because<'a>(&'a self, order: &Order, said: &Transition) -> Because<'a> {
        let table = self.table();
        let deadline = self.deadline_of(said);
        let on_condition = self.rule_of(said.rule).is_some_and(|rule| rule.on_condition);
        let anchor = deadline.map(|deadline| &deadline.anchor);
        let at = match anchor {
            // The escalation of a condition counts from the opening.
            _ if on_condition && said.escalated_at != 0 => said.opened_at,
            Some(anchor) => anchor.at_entry(order, table, said.anchor).max(0),
            None => said.due_at,
        };
        let name = anchor.map_or("rule removed", |anchor| &anchor.name);
        Because {
            anchor: if on_condition { "condition" } else { name },
            anchor_event: order.hash_of(said.anchor),
            anchor_at: at,
            limit: self.limit_of(said),
            due_at: said.due_at,
            last_event: table.code(order.latest as u8).unwrap_or_default(),
            last_event_at: order.updated_at(),
        }
    }

    /// The deadline of a transition; None where the rules in force have no such one any more.
    fn deadline_of(&self, said: &Transition) -> Option<&Deadline> {
        self.rule_of(said.rule)?.deadlines.get(said.deadline as usize)
    }

    /// The limit that was passed: the rule's, or once escalated that of the escalation.
    fn limit_of(&self, said: &Transition) -> &str {
        let rule = self.rule_of(said.rule);
        let escalation = rule.and_then(|rule| rule.escalation.as_ref());
        if let Some(limit) = escalation.filter(|_| said.escalated_at != 0) {
            return &limit.text;
        }
        let when = rule.filter(|rule| rule.on_condition).and_then(|rule| rule.when.as_ref());
        if let Some(condition) = when {
            return &condition.text;
        }
        self.deadline_of(said).map_or("", |deadline| &deadline.after.text)
    }

    /// The alerts that are still to come, in the order of the rules.
    ///
    /// # Errors
    /// The order can't be evaluated.
    pub fn armed(&self, order: &mut Order) -> Result<Vec<Armed>, Fault> {
        self.compute_terms(order)?;
        let mut armed = Vec::new();
        for term in order.terms.iter().flatten() {
            let rule = self.rule(term.rule);
            if !rule.warns_by_time() || order.has(flags::MISSED) && self.is_missed(order, term) {
                continue;
            }
            let alert = self.alert_of(order, term.rule, term.parcel);
            let level = alert.map_or(NO_ALERT, |alert| alert.level);
            let mut add = |due_at, level| {
                armed.push(Armed { rule: term.rule, due_at, level, parcel: term.parcel });
            };
            if level == NO_ALERT && term.due_at != NEVER {
                add(term.due_at, rule.level);
            }
            if level < OVERDUE && term.escalated_at != NEVER {
                add(term.escalated_at, OVERDUE);
            }
        }
        Ok(armed)
    }

    /// Whether a deadline of the order is outside the years of its rule's calendar.
    ///
    /// # Errors
    /// The order can't be evaluated.
    pub fn is_outside_calendar(&self, order: &mut Order) -> Result<bool, Fault> {
        if !self.rules().has_calendars() {
            return Ok(false);
        }
        self.compute_terms(order)?;
        Ok(order.terms.iter().flatten().any(|term| lacks_instant(self.rule(term.rule), term)))
    }
}
