//! Crowd: a number with many orders, its record split by order, so that one more order costs as much
//! as the first and a snapshot has only the orders that changed.

use std::collections::{BTreeSet, HashMap};

use super::mapping::{Mapping, pack, sort, unpack};
use crate::fault::Fault;

/// A number with many orders.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    by_order: HashMap<Box<str>, Box<[u8]>>, // packed mappings, mostly one
    changed: BTreeSet<Box<str>>,            // orders, since the last snapshot
}

impl Crowd {
    /// A crowd of the orders of a record.
    ///
    /// # Errors
    /// `Damaged`: the record can't be decoded.
    pub fn of(record: &[u8]) -> Result<Self, Fault> {
        let mut crowd = Crowd::default();
        crowd.join(record)?;
        Ok(crowd)
    }

    /// Replace the mappings of the orders that a record names.
    ///
    /// # Errors
    /// `Damaged`: the record can't be decoded; nothing is replaced.
    pub fn join(&mut self, record: &[u8]) -> Result<(), Fault> {
        let mut named: HashMap<&str, Vec<Mapping>> = HashMap::new();
        for mapping in unpack(record)? {
            named.entry(mapping.order).or_default().push(mapping);
        }
        for (order, mappings) in named {
            self.by_order.insert(order.into(), pack(&mappings)?.into());
        }
        Ok(())
    }

    /// How many orders the number has.
    pub fn len(&self) -> usize {
        self.by_order.len()
    }

    /// The packed mappings of an order; empty for none.
    pub fn of_order(&self, order: &str) -> &[u8] {
        self.by_order.get(order).map_or(&[], |record| record)
    }

    /// The packed mappings of each order, in no particular order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.by_order.values().map(|record| &**record)
    }

    /// Replace the packed mappings of an order.
    pub fn put(&mut self, order: &str, record: Vec<u8>) {
        self.by_order.insert(order.into(), record.into());
        self.changed.insert(order.into());
    }

    /// All mappings, sorted as a record has them.
    pub fn mappings(&self) -> Result<Vec<Mapping<'_>>, Fault> {
        let mut found = Vec::with_capacity(self.len());
        for record in self.records() {
            found.extend(unpack(record)?);
        }
        sort(&mut found);
        Ok(found)
    }

    /// Return true if an order changed since the last snapshot.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The packed mappings of the orders that changed since the last snapshot.
    pub fn delta(&self) -> Vec<u8> {
        self.changed.iter().flat_map(|order| self.of_order(order)).copied().collect()
    }

    /// Note that a snapshot was made.
    pub fn settle(&mut self) {
        self.changed.clear();
    }
}
