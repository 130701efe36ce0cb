//! Facts that wait for the clock, by order, in the sequence in which the orders began to wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;

use crate::fact::Fact;
use crate::shard::set_aside::counted;

/// Waiting facts by key.
#[derive(Debug, Default)]
pub struct Pending {
    places: HashMap<Arc<str>, u64>,
    orders: BTreeMap<u64, (Arc<str>, Vec<Arc<Fact>>)>, // by place
    next: u64,
}

impl Pending {
    /// Let a fact wait; the key under which it does.
    pub fn add(&mut self, fact: Arc<Fact>) -> Arc<str> {
        let place = self.places.get(fact.key.as_str());
        if let Some((key, facts)) = place.and_then(|place| self.orders.get_mut(place)) {
            facts.push(fact);
            return key.clone();
        }
        let key: Arc<str> = Arc::from(fact.key.as_str());
        self.put(key.clone(), vec![fact]);
        key
    }

    /// Let the facts of an order wait that has none; it comes last.
    pub fn put(&mut self, key: Arc<str>, facts: Vec<Arc<Fact>>) {
        self.places.insert(key.clone(), self.next);
        self.orders.insert(self.next, (key, facts));
        self.next += 1;
    }

    /// Take the facts of an order; none if it has none.
    pub fn take(&mut self, key: &str) -> Vec<Arc<Fact>> {
        let place = self.places.remove(key);
        let taken = place.and_then(|place| self.orders.remove(&place));
        taken.map_or_else(Vec::new, |(_, facts)| facts)
    }

    /// The facts of an order; none if it has none.
    pub fn of(&self, key: &str) -> &[Arc<Fact>] {
        let held = self.places.get(key).and_then(|place| self.orders.get(place));
        held.map_or(&[], |(_, facts)| facts)
    }

    /// Return true if facts of an order wait.
    pub fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// The orders with their facts, in sequence.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<Fact>])> {
        self.orders.values().map(|(key, facts)| (key, facts.as_slice()))
    }

    /// How many messages wait; one that several orders share counts once.
    pub fn waiting_count(&self) -> u64 {
        self.iter().map(|(_, facts)| counted(facts)).sum()
    }
}
