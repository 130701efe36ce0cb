//! Orders set aside: what the evaluation of one order raises stops that order and no other.
//!
//! Its stored bytes stay as they were before the arrival that raised; that arrival's facts and all
//! later ones wait with it. The mark is part of the shard's state, so that neither a restart nor a
//! replay of the epoch tries it again. When it is released, its facts are applied arrival by arrival,
//! deadlines between, so that it ends as if it had never been set aside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::msgpack::{Reader, write_all, write_int, write_list, write_optional, write_text};
use crate::refusal::Refusal;

/// Code of a fact that is refused as its order is set aside, and of what is written about that.
pub const INTERNAL_FAULT: &str = "internal_fault";
/// The most facts that wait with one order.
pub const MOST_WAITING_PER_ORDER: usize = 1_000;
/// The most facts that wait with all orders of a shard.
pub const MOST_WAITING: usize = 20_000;

const REASON_CHARACTERS: usize = 300;

/// What the evaluation of an order raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderFault {
    /// Key of the order.
    pub key: Arc<str>,
    /// The reason in one line.
    pub reason: String,
    /// The reason as the core has it.
    pub trace: String,
    /// It concerned the live document alone, ahead of the watermark.
    pub is_preview: bool,
}

impl OrderFault {
    /// The fault of an order.
    pub fn new(key: &Arc<str>, fault: &Fault) -> OrderFault {
        let said = fault.to_string();
        let printable = said.chars().map(|each| if each.is_control() { ' ' } else { each });
        OrderFault {
            key: key.clone(),
            reason: printable.take(REASON_CHARACTERS).collect(),
            trace: format!("{fault:?}"),
            is_preview: false,
        }
    }
}

/// An order set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct SetAside {
    /// The arrival or deadline (ms) that raised.
    pub since_at: i64,
    /// What it raised.
    pub reason: String,
    /// Names the rules and the lifecycle in force then.
    pub digest: String,
    /// The facts that wait.
    pub facts: Vec<Arc<Fact>>,
    /// How often it was released and raised again.
    pub releases: i64,
}

impl SetAside {
    /// Read one as msgspec encodes `dataflows.core.set_aside.SetAside`.
    ///
    /// # Errors
    /// The bytes are damaged.
    pub fn read(from: &mut Reader<'_>) -> Result<SetAside, Fault> {
        from.list_with(5)?;
        Ok(SetAside {
            since_at: from.int()?,
            reason: from.string()?,
            digest: from.string()?,
            facts: from.all(|from| Ok(Arc::new(Fact::read(from)?)))?,
            releases: from.int()?,
        })
    }

    /// Append it as msgspec encodes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 5);
        write_int(out, self.since_at);
        write_text(out, &self.reason);
        write_text(out, &self.digest);
        write_all(out, &self.facts, |out, fact| fact.write(out));
        write_int(out, self.releases);
    }
}

/// The orders of a shard that are set aside.
#[derive(Debug, Default)]
pub struct SetAsides {
    orders: BTreeMap<Arc<str>, SetAside>,
    changed: BTreeSet<Arc<str>>, // since the last snapshot
    overflow: Vec<Arc<Fact>>,
    waiting: usize,
    waiting_count: u64,
}

impl SetAsides {
    /// The orders by key.
    pub fn orders(&self) -> &BTreeMap<Arc<str>, SetAside> {
        &self.orders
    }

    /// Return true if there is anything for a delta.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// How many messages wait; one that several orders share counts once.
    pub fn waiting_count(&self) -> u64 {
        self.waiting_count
    }

    /// Return true if an order is set aside.
    pub fn has(&self, key: &str) -> bool {
        self.orders.contains_key(key)
    }

    /// Set an order aside with the facts that wait.
    pub fn add(
        &mut self,
        key: &Arc<str>,
        since_at: i64,
        reason: &str,
        digest: &str,
        facts: Vec<Arc<Fact>>,
    ) {
        let (reason, digest) = (reason.to_owned(), digest.to_owned());
        let order = SetAside { since_at, reason, digest, facts: Vec::new(), releases: 0 };
        self.orders.insert(key.clone(), order);
        self.changed.insert(key.clone());
        facts.into_iter().for_each(|fact| self.keep(fact));
    }

    /// Let a fact of an order set aside wait with it.
    pub fn keep(&mut self, fact: Arc<Fact>) {
        let Some((key, order)) = self.orders.get_key_value(fact.key.as_str()) else { return };
        if order.facts.len() >= MOST_WAITING_PER_ORDER || self.waiting >= MOST_WAITING {
            self.overflow.push(fact);
            return;
        }
        let key = key.clone();
        self.waiting += 1;
        self.waiting_count += u64::from(fact.counted);
        self.orders.entry(key.clone()).and_modify(|order| order.facts.push(fact));
        self.changed.insert(key);
    }

    /// Take an order back, with its facts; None if it isn't set aside.
    pub fn release(&mut self, key: &str) -> Option<SetAside> {
        let (key, released) = self.orders.remove_entry(key)?;
        self.changed.insert(key);
        self.waiting -= released.facts.len();
        self.waiting_count -= counted(&released.facts);
        Some(released)
    }

    /// Note that an order raised again after so many releases in vain.
    pub fn raised_again(&mut self, key: &str, releases: i64) {
        if let Some(order) = self.orders.get_mut(key) {
            order.releases = releases;
        }
    }

    /// Take the facts over the limits, each with the reason of its refusal.
    pub fn take_overflow(&mut self) -> Vec<(Arc<Fact>, Refusal)> {
        let refused = |fact| {
            let waiting = format!("{MOST_WAITING_PER_ORDER} events wait with it already");
            (fact, Refusal::new(INTERNAL_FAULT, format!("its order is set aside, and {waiting}")))
        };
        std::mem::take(&mut self.overflow).into_iter().map(refused).collect()
    }

    /// Append what changed since the last snapshot, everything for a base; nil: released.
    pub fn snapshot(&mut self, out: &mut Vec<u8>, is_base: bool) {
        let changed = std::mem::take(&mut self.changed);
        let keys: Vec<_> = if is_base {
            self.orders.keys().cloned().collect()
        } else {
            changed.into_iter().collect()
        };
        write_list(out, keys.len());
        for key in keys {
            write_list(out, 2);
            write_text(out, &key);
            write_optional(out, self.orders.get(&key), |out, order| order.write(out));
        }
    }

    /// Take a snapshot's changes; None: released.
    pub fn restore(&mut self, part: Vec<(Arc<str>, Option<SetAside>)>) {
        for (key, order) in part {
            match order {
                Some(order) => drop(self.orders.insert(key, order)),
                None => drop(self.orders.remove(&key)),
            }
        }
        let facts = || self.orders.values().map(|order| &order.facts);
        self.waiting = facts().map(Vec::len).sum();
        self.waiting_count = facts().map(|facts| counted(facts)).sum();
    }
}

/// How many of some facts count as messages.
pub fn counted(facts: &[Arc<Fact>]) -> u64 {
    facts.iter().map(|fact| u64::from(fact.counted)).sum()
}
