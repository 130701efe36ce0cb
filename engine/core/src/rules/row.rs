//! Rules as they are compiled: Python parses and checks the file (`dataflows/core/rules.py`).

use std::collections::HashMap;
use std::sync::Arc;

use super::anchors::Anchor;
use super::conditions::Condition;
use super::working_time::WorkingTime;
use crate::statuses::{NO_STATUS, StatusSet};

/// The level of a rule that opens no alert.
pub const NO_ALERT: u8 = 0;
/// The level of a warning.
pub const WARNING: u8 = 1;
/// The level of an alert that is overdue.
pub const OVERDUE: u8 = 2;

/// A compiled action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What the action worker is asked for.
    pub kind: String,
    /// It is void so long after the request.
    pub expires_ms: i64,
}

/// How long after an instant: a span of time (negative: before it), or working time.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The limit as people read it.
    pub text: String,
    /// How long.
    pub length: Length,
}

/// The length of a limit.
#[derive(Clone, Debug)]
pub enum Length {
    /// In ms.
    Span(i64),
    /// Working time in ms, by a calendar.
    Working {
        /// The calendar.
        calendar: Arc<WorkingTime>,
        /// How much of its time.
        working_ms: i64,
        /// Of its hours, not its days.
        in_hours: bool,
    },
}

impl Limit {
    /// The instant so long after `at`.
    pub fn due_at(&self, at: i64) -> i64 {
        match &self.length {
            Length::Span(offset_ms) => at + offset_ms,
            Length::Working { calendar, working_ms, in_hours } => {
                calendar.later(at, *working_ms, *in_hours)
            }
        }
    }

    /// The calendar by which it counts working time.
    pub fn calendar(&self) -> Option<&WorkingTime> {
        match &self.length {
            Length::Span(_) => None,
            Length::Working { calendar, .. } => Some(calendar),
        }
    }
}

/// An anchor with its limit.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// What the limit counts from.
    pub anchor: Anchor,
    /// How long after it.
    pub after: Limit,
}

impl Deadline {
    /// Whether it warns before something promised.
    pub fn is_ahead_of_promise(&self) -> bool {
        self.anchor.is_promised() && matches!(self.after.length, Length::Span(..0))
    }
}

/// A compiled rule.
#[derive(Debug, Default)]
pub struct Rule {
    /// Its id.
    pub id: Arc<str>,
    /// It applies to each parcel, not to the order.
    pub per_shipment: bool,
    /// The statuses of the order in which it applies.
    pub statuses: StatusSet,
    /// The statuses of the parcel in which it applies; `NO_STATUS` where any will do.
    pub shipment_statuses: StatusSet,
    /// Its anchors with their limits; the first that the order has is taken.
    pub deadlines: Vec<Deadline>,
    /// It looks at parcels that go forward.
    pub forward: bool,
    /// It looks at parcels on their way back.
    pub back: bool,
    /// A milestone that makes it void.
    pub unless: Option<Anchor>,
    /// A milestone without which it is void.
    pub once: Option<Anchor>,
    /// A scan of the parcel makes it void.
    pub unscanned: bool,
    /// Its condition.
    pub when: Option<Condition>,
    /// It is due when its condition becomes true.
    pub on_condition: bool,
    /// `NO_ALERT`, `WARNING` or `OVERDUE`.
    pub level: u8,
    /// When its warning becomes overdue.
    pub escalation: Option<Limit>,
    /// What the alert requests.
    pub action: Option<Arc<Act>>,
    /// What the escalation requests.
    pub escalated_action: Option<Arc<Act>>,
    /// The statuses of a parcel that stop its clock, each for at most so many ms.
    pub pausing: Vec<(u8, i64)>,
    /// A deadline that was past for so many ms when its anchor arrived is missed.
    pub stale_after_ms: Option<i64>,
}

impl Rule {
    /// Whether it looks at parcels of this direction.
    pub fn looks_at(&self, goes_back: bool) -> bool {
        if goes_back { self.back } else { self.forward }
    }

    /// Whether it opens alerts when a time comes.
    pub fn warns_by_time(&self) -> bool {
        self.level != NO_ALERT && !self.on_condition
    }

    /// The calendars of its limits.
    pub fn calendars(&self) -> impl Iterator<Item = &WorkingTime> {
        let limits = self.deadlines.iter().map(|deadline| &deadline.after);
        limits.chain(&self.escalation).filter_map(Limit::calendar)
    }

    /// Why a deadline of it has no instant.
    pub fn outside_years(&self) -> String {
        let mut named: Vec<&str> = self.calendars().map(|calendar| &*calendar.shown).collect();
        named.sort_unstable();
        named.dedup();
        let named = named.join(", ");
        format!("its deadline is outside the years of {named}; name more years there")
    }
}

/// The rules in force, and which of them look at an order in a status.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    by_id: HashMap<Arc<str>, u16>,
    of_order: Vec<Vec<u16>>,    // by status of the order
    of_shipment: Vec<Vec<u16>>, // by status of the order, in whatever status the parcel is
    has_calendars: bool,
}

impl Rules {
    /// Index `rules` by the statuses of a lifecycle of `statuses` rows.
    ///
    /// `has_calendars` of a rules file that has any, whether or not a rule names them.
    pub fn new(rules: Vec<Rule>, statuses: u8, has_calendars: bool) -> Self {
        let of = |status, per_shipment| {
            let looks =
                |rule: &Rule| rule.per_shipment == per_shipment && rule.statuses.contains(status);
            let numbered = rules.iter().zip(0..);
            numbered.filter(|(rule, _)| looks(rule)).map(|(_, number)| number).collect()
        };
        Rules {
            by_id: rules.iter().zip(0..).map(|(rule, number)| (rule.id.clone(), number)).collect(),
            of_order: (0..statuses).map(|status| of(status, false)).collect(),
            of_shipment: (0..statuses).map(|status| of(status, true)).collect(),
            rules,
            has_calendars,
        }
    }

    /// All rules, in the order of the file.
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// The index of the rule with an id.
    pub fn by_id(&self, id: &str) -> Option<u16> {
        self.by_id.get(id).copied()
    }

    /// Whether the rules file has calendars.
    pub fn has_calendars(&self) -> bool {
        self.has_calendars
    }

    /// The rules that look at an order in a status, by number.
    pub fn of_order(&self, status: u8) -> &[u16] {
        if status == NO_STATUS { &[] } else { &self.of_order[usize::from(status)] }
    }

    /// The rules that look at parcels of an order in a status, by number.
    pub fn of_shipment(&self, status: u8) -> &[u16] {
        if status == NO_STATUS { &[] } else { &self.of_shipment[usize::from(status)] }
    }
}
