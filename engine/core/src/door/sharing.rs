//! Sharing: plain events that have arrived, by what takes them.

use std::sync::Arc;

use super::Door;
use super::making::Plain;
use crate::fact::Fact;
use crate::keys::shard_of;
use crate::msgpack::{write_list, write_text};
use crate::resolver::Registration;

/// Place of a message.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Topic, or a file.
    pub topic: &'a str,
    /// Partition.
    pub partition: i64,
    /// Offset, or a line.
    pub offset: i64,
}

/// A packed list that grows.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    count: usize,
    items: Vec<u8>,
}

impl Packed {
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.count += 1;
        write(&mut self.items);
    }

    /// The list.
    pub fn list(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.items.len() + 5);
        write_list(&mut out, self.count);
        out.extend_from_slice(&self.items);
        out
    }
}

/// Facts and registrations of some messages, and their questions packed as msgspec packs them.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Facts, by shard.
    pub facts: Vec<Vec<Arc<Fact>>>,
    /// Registrations, by shard of the number.
    pub registrations: Vec<Vec<Arc<Registration>>>,
    /// Questions (`dataflows.core.questions.Question`).
    pub questions: Packed,
    ahead_ms: i64,
    shards: u8,
}

impl Shared {
    /// Create an empty one.
    pub fn new(door: &Door) -> Shared {
        let limits = &door.table.limits;
        Shared {
            facts: vec![Vec::new(); usize::from(limits.shards)],
            registrations: vec![Vec::new(); usize::from(limits.shards)],
            questions: Packed::default(),
            ahead_ms: limits.ahead_ms,
            shards: limits.shards,
        }
    }

    /// Add an event that arrived; false if it is from the future, and so left.
    pub fn add(&mut self, event: Plain, arrival_at: i64, place: Place<'_>) -> bool {
        let Plain { mut fact, order_id, tenant, carrier, numbers, .. } = event;
        if fact.at - arrival_at > self.ahead_ms {
            return false;
        }
        fact.arrival_at = arrival_at;
        fact.topic = place.topic.to_owned();
        (fact.partition, fact.offset) = (place.partition, place.offset);
        match (order_id, numbers.first()) {
            (Some(order_id), _) => {
                for number in numbers {
                    let shard = shard_of(&number.key, self.shards);
                    self.registrations[usize::from(shard)].push(Arc::new(Registration {
                        arrival_at,
                        number: number.key,
                        order: order_id.clone(),
                        carrier: carrier.clone(),
                        at: fact.at,
                    }));
                }
                let shard = shard_of(&fact.key, self.shards);
                self.facts[usize::from(shard)].push(Arc::new(fact));
            }
            (None, Some(number)) => self.questions.add(|out| {
                write_list(out, 4);
                write_text(out, &number.key);
                write_text(out, &tenant);
                write_text(out, &carrier);
                fact.write(out);
            }),
            (None, None) => return false,
        }
        true
    }
}
