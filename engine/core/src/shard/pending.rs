//! Facts that wait for the clock, by order, in the sequence in which the orders began to wait.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;

use crate::fact::Fact;
use crate::shard::preview::Preview;
use crate::shard::set_aside::counted;

/// Gaps that are left as they are.
const GAPS_KEPT: usize = 64;

/// An order whose facts wait.
#[derive(Debug)]
pub struct Waiting {
    /// Its key.
    pub key: Arc<str>,
    /// The facts, one at least.
    pub facts: Vec<Arc<Fact>>,
    /// The order with all of them.
    pub preview: Option<Preview>,
    /// Version that was published ahead of the clock, if one was.
    pub shown: Option<u64>,
    earliest_at: i64, // of the facts' arrivals
    is_fresh: bool,   // it is to be shown
}

/// Waiting facts by key.
#[derive(Debug, Default)]
pub struct Pending {
    places: HashMap<Arc<str>, u64>,
    orders: VecDeque<Option<Waiting>>, // by place
    first: u64,                        // place of the first of them
    fresh: Vec<Arc<str>>,
}

impl Pending {
    /// Let a fact wait; its order is to be shown.
    pub fn add(&mut self, fact: Arc<Fact>) {
        let Some(waiting) = self.get_mut(&fact.key) else {
            let key = Arc::from(fact.key.as_str());
            return self.put(key, vec![fact], None);
        };
        waiting.earliest_at = waiting.earliest_at.min(fact.arrival_at);
        waiting.facts.push(fact);
        waiting.preview = None;
        if !std::mem::replace(&mut waiting.is_fresh, true) {
            let key = waiting.key.clone();
            self.fresh.push(key);
        }
    }

    /// Let the facts of an order wait that has none; it comes last, and is to be shown.
    pub fn put(&mut self, key: Arc<str>, facts: Vec<Arc<Fact>>, shown: Option<u64>) {
        let Some(earliest_at) = facts.iter().map(|fact| fact.arrival_at).min() else { return };
        self.close_gaps();
        self.places.insert(key.clone(), self.first + self.orders.len() as u64);
        self.fresh.push(key.clone());
        let waiting = Waiting { key, facts, preview: None, shown, earliest_at, is_fresh: true };
        self.orders.push_back(Some(waiting));
    }

    /// Close the gaps that taken orders left behind one that waits for long, once they are most.
    fn close_gaps(&mut self) {
        if self.orders.len() <= 2 * self.places.len() + GAPS_KEPT {
            return;
        }
        self.orders.retain(Option::is_some);
        for (waiting, place) in self.orders.iter().flatten().zip(self.first..) {
            self.places.insert(waiting.key.clone(), place);
        }
    }

    /// Take an order that waits.
    pub fn take(&mut self, key: &str) -> Option<Waiting> {
        let place = self.places.remove(key)?;
        let taken = self.orders.get_mut((place - self.first) as usize)?.take();
        while let Some(None) = self.orders.front() {
            self.orders.pop_front();
            self.first += 1;
        }
        taken
    }

    /// An order that waits.
    pub fn get(&self, key: &str) -> Option<&Waiting> {
        let place = self.places.get(key)?;
        self.orders.get((place - self.first) as usize)?.as_ref()
    }

    /// An order that waits.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Waiting> {
        let place = self.places.get(key)?;
        self.orders.get_mut((place - self.first) as usize)?.as_mut()
    }

    /// Return true if facts of an order wait.
    pub fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Return true if a fact of an order has come by the watermark.
    pub fn has_come(&self, key: &str, watermark: i64) -> bool {
        self.get(key).is_some_and(|waiting| waiting.earliest_at <= watermark)
    }

    /// The orders of which a fact has come by the watermark, in sequence.
    pub fn come(&self, watermark: i64) -> impl Iterator<Item = &Arc<str>> {
        let come = move |waiting: &&Waiting| waiting.earliest_at <= watermark;
        self.iter().filter(come).map(|waiting| &waiting.key)
    }

    /// Take the keys of which something is to be shown, in the sequence in which that came; some may
    /// not wait any more.
    pub fn take_fresh(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.fresh)
    }

    /// Return true if an order waits and is to be shown; from then on it is shown.
    pub fn is_shown_now(&mut self, key: &str) -> bool {
        let waiting = self.get_mut(key);
        waiting.is_some_and(|waiting| std::mem::take(&mut waiting.is_fresh))
    }

    /// The orders, in sequence.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.orders.iter().flatten()
    }

    /// How many messages wait; one that several orders share counts once.
    pub fn waiting_count(&self) -> u64 {
        self.iter().map(|waiting| counted(&waiting.facts)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(key: &str, arrival_at: i64) -> Arc<Fact> {
        Arc::new(Fact { key: key.to_owned(), arrival_at, counted: true, ..Fact::default() })
    }

    #[test]
    fn orders_stay_in_sequence_and_their_places_are_few_while_one_waits_for_long() {
        let mut pending = Pending::default();
        pending.add(fact("long", 1 << 40));
        for round in 0..1_000 {
            for key in ["a", "b"] {
                pending.add(fact(key, round));
            }
            assert_eq!(pending.come(round).map(|key| &**key).collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!(pending.waiting_count(), 3);
            let taken = ["b", "a"].map(|key| pending.take(key).expect("it waits").facts.len());
            assert_eq!((taken, pending.has("a")), ([1, 1], false));
            assert!(pending.orders.len() <= GAPS_KEPT + 4);
        }
        assert_eq!(pending.take("long").map(|waiting| waiting.facts.len()), Some(1));
        assert_eq!((pending.orders.len(), pending.places.len()), (0, 0));
    }

    #[test]
    fn an_order_is_shown_once_in_the_sequence_of_its_first_fact() {
        let mut pending = Pending::default();
        for key in ["a", "b", "a"] {
            pending.add(fact(key, 5));
        }
        let taken = pending.take("a").expect("it waits");
        pending.put(taken.key, taken.facts, taken.shown);
        let shown: Vec<_> =
            pending.take_fresh().into_iter().filter(|key| pending.is_shown_now(key)).collect();
        assert_eq!(shown.iter().map(|key| &**key).collect::<Vec<_>>(), ["a", "b"]);
        assert!(pending.take_fresh().is_empty());
    }
}
