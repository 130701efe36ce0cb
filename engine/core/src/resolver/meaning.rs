//! Meaning of a number: which of its orders an event is for, and how long an order counts.

use std::collections::BTreeMap;

use super::mapping::{Mapping, sort};
use crate::fault::Fault;
use crate::instants::{DAY_MS, day_of};

/// The lifecycle file's rules for numbers, and the size from which a number is a crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A number is forgotten so many ms after its last event, in whole days.
    pub forget_after_ms: i64,
    /// The same while no event has come to the order by it.
    pub forget_unused_after_ms: i64,
    /// Orders that register a number within so many ms of event time share it.
    pub shared_within_ms: i64,
    /// A question that more orders could be meant by is refused.
    pub max_orders: usize,
    /// A record of more bytes is kept as a crowd.
    pub crowd_bytes: usize,
}

/// An event without an order id, as far as its number is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The key of the number.
    pub number: &'a str,
    /// The carrier that the event names; may be empty.
    pub carrier: &'a str,
    /// Its time (ms).
    pub at: i64,
    /// Its arrival (ms).
    pub arrival_at: i64,
}

impl Limits {
    /// The last day of arrival on which a mapping counts.
    pub fn last_day(&self, mapping: &Mapping) -> i64 {
        let after_ms =
            if mapping.is_unused { self.forget_unused_after_ms } else { self.forget_after_ms };
        i64::from(mapping.heard_day) + after_ms.div_euclid(DAY_MS)
    }

    /// The last day on which a mapping counts, or may count if it is used from `today` on.
    pub fn look_on(&self, mapping: &Mapping, today: i64) -> i64 {
        let last = self.last_day(mapping);
        if !mapping.is_unused {
            return last;
        }
        let used_on = i64::from(mapping.heard_day).max(today);
        last.min(used_on + self.forget_after_ms.div_euclid(DAY_MS))
    }

    /// Mappings with one more; None if it changes nothing.
    ///
    /// Mappings of one order are united, unless the number had been forgotten in between: then both
    /// stand side by side until the first is gone, as events that arrived in its days may still come.
    pub fn joined<'a>(&self, known: &[Mapping<'a>], more: Mapping<'a>) -> Option<Vec<Mapping<'a>>> {
        if known.iter().any(|one| one.covers(&more)) {
            return None;
        }
        let now = self.united(known.to_vec(), more);
        (now != known).then_some(now)
    }

    fn united<'a>(&self, mut known: Vec<Mapping<'a>>, mut more: Mapping<'a>) -> Vec<Mapping<'a>> {
        let is_same =
            |one: &Mapping, more: &Mapping| one.order == more.order && self.touch(one, more);
        while let Some(index) = known.iter().position(|one| is_same(one, &more)) {
            more = known.remove(index).united(&more);
        }
        known.push(more);
        sort(&mut known);
        known
    }

    /// Return true if a mapping was not forgotten yet when the other one came.
    fn touch(&self, one: &Mapping, other: &Mapping) -> bool {
        let first = if other.heard_day < one.heard_day { other } else { one };
        day_of(one.arrival_at.max(other.arrival_at)) <= self.last_day(first)
    }

    /// The mappings of a number after `found` among them were given an event of time `at`.
    pub fn used<'a>(
        &self,
        known: &[Mapping<'a>],
        found: &[Mapping<'a>],
        at: i64,
        given_at: i64,
    ) -> Result<Vec<Mapping<'a>>, Fault> {
        let mut now = known.to_vec();
        for mapping in found {
            let later = mapping.used(at, given_at)?;
            if later == *mapping {
                continue;
            }
            if let Some(index) = now.iter().position(|one| one == mapping) {
                now.remove(index);
            }
            now = self.united(now, later);
        }
        Ok(now)
    }

    /// The orders that the number meant at the time of the event, by order id.
    ///
    /// A mapping that was to be forgotten when the event arrived doesn't count, whether or not it was
    /// forgotten: so it doesn't matter how often the watermark advances.
    pub fn find<'a>(&self, known: &[Mapping<'a>], asked: &Question) -> Vec<Mapping<'a>> {
        let mut meant: BTreeMap<&str, Mapping> = BTreeMap::new();
        for mapping in known {
            if self.counts(mapping, asked) {
                meant.entry(mapping.order).or_insert(*mapping); // the first that arrived
            }
        }
        let group = self.group_at(meant.into_values().collect(), asked.at);
        let is_theirs = |one: &Mapping| !asked.carrier.is_empty() && one.carrier == asked.carrier;
        let theirs: Vec<Mapping> = group.iter().copied().filter(is_theirs).collect();
        let mut found = if theirs.is_empty() { group } else { theirs };
        found.sort_by_key(|one| one.order);
        found
    }

    /// The orders that share the number at a time: those that registered it close together.
    ///
    /// A later one takes the number over from its time on; before the first it is the first's.
    fn group_at<'a>(&self, mut meant: Vec<Mapping<'a>>, at: i64) -> Vec<Mapping<'a>> {
        meant.sort_by_key(|one| (one.valid_from, one.order));
        let mut group: Vec<Mapping> = Vec::new();
        for mapping in meant {
            let since = group.first().map_or(mapping.valid_from, |first| first.valid_from);
            if mapping.valid_from - since <= self.shared_within_ms {
                group.push(mapping);
            } else if mapping.valid_from <= at {
                group = vec![mapping];
            } else {
                break;
            }
        }
        group
    }

    /// Return true if a mapping can be meant by an event of this time and this arrival.
    fn counts(&self, mapping: &Mapping, asked: &Question) -> bool {
        let last_day = self.last_day(mapping);
        let used_until = i64::from(mapping.used_day) + last_day - i64::from(mapping.heard_day);
        mapping.valid_from - self.forget_after_ms <= asked.at
            && day_of(asked.at) <= used_until
            && day_of(asked.arrival_at) <= last_day
    }

    /// Return true if a mapping counts for an event that arrives at `arrival_at`, whatever its time.
    pub fn is_known_at(&self, mapping: &Mapping, arrival_at: i64) -> bool {
        mapping.arrival_at <= arrival_at && self.last_day(mapping) >= day_of(arrival_at)
    }
}
