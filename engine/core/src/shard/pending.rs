//! Facts that wait for the clock, by order, in the sequence in which the orders began to wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::fact::Fact;
use crate::shard::set_aside::counted;

/// Waiting facts by key.
#[derive(Debug, Default)]
pub struct Pending {
    by_key: HashMap<Arc<str>, (u64, Vec<Arc<Fact>>)>,
    sequence: BTreeMap<u64, Arc<str>>,
    next: u64,
}

impl Pending {
    /// Let a fact wait; the key under which it does.
    pub fn add(&mut self, fact: Arc<Fact>) -> Arc<str> {
        if let Some((place, facts)) = self.by_key.get_mut(fact.key.as_str()) {
            facts.push(fact);
            return self.sequence[place].clone();
        }
        let key: Arc<str> = Arc::from(fact.key.as_str());
        self.put(key.clone(), vec![fact]);
        key
    }

    /// Let the facts of an order wait that has none; it comes last.
    pub fn put(&mut self, key: Arc<str>, facts: Vec<Arc<Fact>>) {
        self.sequence.insert(self.next, key.clone());
        self.by_key.insert(key, (self.next, facts));
        self.next += 1;
    }

    /// Take the facts of an order; none if it has none.
    pub fn take(&mut self, key: &str) -> Vec<Arc<Fact>> {
        let Some((place, facts)) = self.by_key.remove(key) else { return Vec::new() };
        self.sequence.remove(&place);
        facts
    }

    /// The facts of an order; none if it has none.
    pub fn of(&self, key: &str) -> &[Arc<Fact>] {
        self.by_key.get(key).map_or(&[], |(_, facts)| facts)
    }

    /// Return true if facts of an order wait.
    pub fn has(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// The orders with their facts, in sequence.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<Fact>])> {
        self.sequence.values().map(|key| (key, self.of(key)))
    }

    /// How many messages wait; one that several orders share counts once.
    pub fn waiting_count(&self) -> u64 {
        self.by_key.values().map(|(_, facts)| counted(facts)).sum()
    }
}
