//! Queue of registrations: those whose arrivals the watermark has not passed.

use std::sync::Arc;

use crate::fault::Fault;
use crate::msgpack::{Reader, write_all, write_int, write_list, write_text};

const ITEMS: usize = 5;

/// An order says that a number is its own. Instants are ms.
///
/// Registrations are sorted in the order in which they are taken: by arrival, then by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registration {
    /// Arrival of its event.
    pub arrival_at: i64,
    /// Key of the number.
    pub number: String,
    /// Id of the order.
    pub order: String,
    /// The carrier that is named with the number; may be empty.
    pub carrier: String,
    /// Time of its event.
    pub at: i64,
}

impl Registration {
    /// Read a registration as msgspec encodes `dataflows.core.questions.Registration`.
    ///
    /// # Errors
    /// `Damaged`: the bytes are none.
    pub fn read(from: &mut Reader<'_>) -> Result<Registration, Fault> {
        from.list_with(ITEMS)?;
        Ok(Registration {
            number: from.string()?,
            order: from.string()?,
            carrier: from.string()?,
            at: from.int()?,
            arrival_at: from.int()?,
        })
    }

    /// Append the registration as msgspec encodes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_list(out, ITEMS);
        write_text(out, &self.number);
        write_text(out, &self.order);
        write_text(out, &self.carrier);
        write_int(out, self.at);
        write_int(out, self.arrival_at);
    }
}

/// Registrations that wait for the watermark.
#[derive(Debug, Default)]
pub struct Queue {
    held: Vec<Arc<Registration>>, // the last is the next, if `is_sorted`
    is_sorted: bool,
    has_changed: bool, // since the last snapshot
}

impl Queue {
    /// Hold some more.
    pub fn put(&mut self, more: &[Arc<Registration>]) {
        if more.is_empty() {
            return;
        }
        self.held.extend_from_slice(more);
        (self.is_sorted, self.has_changed) = (false, true);
    }

    /// The next of them, without taking it.
    pub fn peek(&mut self) -> Option<&Registration> {
        if !self.is_sorted {
            self.held.sort_unstable_by(|one, other| other.cmp(one));
            self.is_sorted = true;
        }
        self.held.last().map(|next| &**next)
    }

    /// Take the next one that arrived up to `through`.
    pub fn next(&mut self, through: i64) -> Option<Arc<Registration>> {
        if self.peek()?.arrival_at > through {
            return None;
        }
        self.has_changed = true;
        self.held.pop()
    }

    /// All of them, packed as a list.
    pub fn packed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_all(&mut out, &self.held, |out, each| each.write(out));
        out
    }

    /// Whether any came or went since the last snapshot.
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Note that a snapshot was made.
    pub fn settle(&mut self) {
        self.has_changed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(arrival_at: i64, number: &str) -> Arc<Registration> {
        let texts = (number.into(), "o1".into(), "".into());
        Arc::new(Registration {
            arrival_at,
            number: texts.0,
            order: texts.1,
            carrier: texts.2,
            at: 0,
        })
    }

    #[test]
    fn they_leave_in_the_order_of_arrival_and_then_of_numbers() {
        let mut queue = Queue::default();
        queue.put(&[registration(2, "a"), registration(1, "c"), registration(3, "a")]);
        queue.put(&[registration(1, "b")]);
        let mut taken = Vec::new();
        while let Some(next) = queue.next(2) {
            taken.push((next.arrival_at, next.number.to_string()));
        }
        assert_eq!(taken, [(1, "b".into()), (1, "c".into()), (2, "a".into())]);
        let packed = queue.packed();
        let left = Reader::new(&packed).all(Registration::read).unwrap();
        assert_eq!(left, [(*registration(3, "a")).clone()]);
    }
}
