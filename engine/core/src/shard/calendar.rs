//! A calendar queue: which orders have a deadline in which hour, and minute once that has begun.
//!
//! The exact time lies in the order itself: an entry here costs the size of its key. A list for each
//! minute to come would cost 110 bytes an order, as a shard has few orders to share one: hence the
//! hours. (Brown, "Calendar queues", CACM 31(10), 1988; Varghese and Lauck, "Hashed and hierarchical
//! timing wheels", SOSP 1987.)

use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::HashSet;

use crate::instants::{HOUR_MS, MINUTE_MS};

/// Keys by the span of time (an hour, say) in which they are due; soonest first.
#[derive(Debug)]
struct Spans<K> {
    width_ms: i64,
    keys: BTreeMap<i64, Vec<K>>,
}

impl<K> Spans<K> {
    fn new(width_ms: i64) -> Self {
        Spans { width_ms, keys: BTreeMap::new() }
    }

    fn add(&mut self, due_at: i64, key: K) {
        self.keys.entry(due_at.div_euclid(self.width_ms)).or_default().push(key);
    }

    fn have_begun(&self, watermark: i64) -> bool {
        self.keys.keys().next().is_some_and(|span| span * self.width_ms <= watermark)
    }

    /// Take out the first span, if it has begun by `watermark`.
    fn begun(&mut self, watermark: i64) -> Option<(i64, Vec<K>)> {
        if self.have_begun(watermark) { self.keys.pop_first() } else { None }
    }
}

/// Keys by when they are due. A key can stand here several times; its order has the last word.
#[derive(Debug)]
pub struct Calendar<K> {
    hours: Spans<K>,
    minutes: Spans<K>, // of the hours that have begun
    begun_at: i64,
}

impl<K> Default for Calendar<K> {
    fn default() -> Self {
        Calendar { hours: Spans::new(HOUR_MS), minutes: Spans::new(MINUTE_MS), begun_at: -1 }
    }
}

impl<K: Clone + Eq + Hash> Calendar<K> {
    /// Note that `key` is due at `due_at` ms.
    pub fn add(&mut self, due_at: i64, key: K) {
        let spans = if due_at > self.begun_at { &mut self.hours } else { &mut self.minutes };
        spans.add(due_at, key);
    }

    /// Return true if some hour or minute has begun by `watermark`.
    pub fn has_come(&self, watermark: i64) -> bool {
        self.minutes.have_begun(watermark) || self.hours.have_begun(watermark)
    }

    /// Take out the keys that are due by `watermark`, soonest first, each once.
    ///
    /// `armed_at` gives for when an order is armed now, in ms; None for one that isn't.
    pub fn due(&mut self, watermark: i64, armed_at: impl Fn(&K) -> Option<i64>) -> Vec<K> {
        while let Some((hour, keys)) = self.hours.begun(watermark) {
            self.begun_at = (hour + 1) * HOUR_MS - 1;
            for key in keys {
                if let Some(at) = armed_at(&key).filter(|at| at.div_euclid(HOUR_MS) == hour) {
                    self.minutes.add(at, key); // else it was armed for another time meanwhile
                }
            }
        }
        let mut begun = Vec::new(); // a key that isn't due yet goes back into its minute
        while let Some(span) = self.minutes.begun(watermark) {
            begun.push(span);
        }
        let (mut found, mut seen) = (Vec::new(), HashSet::default());
        for (minute, keys) in begun {
            for key in keys {
                match armed_at(&key).filter(|at| at.div_euclid(MINUTE_MS) == minute) {
                    Some(at) if at > watermark => self.minutes.add(at, key),
                    Some(_) if seen.insert(key.clone()) => found.push(key),
                    _ => {}
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::instants::DAY_MS;

    fn calendar_of(armed: &HashMap<&'static str, i64>) -> Calendar<&'static str> {
        let mut calendar = Calendar::default();
        armed.iter().for_each(|(key, at)| calendar.add(*at, *key));
        calendar
    }

    #[test]
    fn keys_come_soonest_first_by_the_minute() {
        let armed =
            HashMap::from([("late", 2 * HOUR_MS), ("soon", MINUTE_MS), ("between", HOUR_MS - 1)]);
        let found = calendar_of(&armed).due(3 * HOUR_MS, |key| armed.get(key).copied());
        assert_eq!(found, ["soon", "between", "late"]);
    }

    #[test]
    fn nothing_can_be_due_before_its_hour_has_begun() {
        let calendar = calendar_of(&HashMap::from([("a", 5 * HOUR_MS)]));
        assert!(!calendar.has_come(5 * HOUR_MS - 1));
        assert!(calendar.has_come(5 * HOUR_MS));
    }

    #[test]
    fn a_key_is_due_when_its_latest_time_has_come_and_only_then() {
        let keys = ["a", "b", "c", "d"];
        let (mut armed, mut calendar) = (HashMap::new(), Calendar::default());
        let (mut watermark, mut draw) = (0_i64, 12_345_i64);
        for step in 0..2_000 {
            draw = (draw * 1_103_515_245 + 12_345) & 0x7FFF_FFFF;
            let key = keys[step % keys.len()];
            let due_at = watermark + 1 + draw % (3 * DAY_MS);
            armed.insert(key, due_at);
            calendar.add(due_at, key);
            watermark += draw % (5 * HOUR_MS);
            let mut expected: Vec<_> =
                armed.iter().filter(|(_, at)| **at <= watermark).map(|(key, _)| *key).collect();
            let mut found = calendar.due(watermark, |key| armed.get(key).copied());
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
            armed.retain(|_, at| *at > watermark);
        }
    }
}
