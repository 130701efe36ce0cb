//! The preview: an order with facts ahead of the watermark.
//!
//! Its document is published at once. It is kept as it will be stored, so that it isn't folded again when
//! the watermark reaches the facts and nothing else has happened to the order. Where its rules emit
//! nothing by that arrival, as is usual, it isn't even unpacked then. The outcome of each fact is
//! emitted then.

use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::order::Order;
use crate::refusal::Refusal;
use crate::shard::orders::Stored;
use crate::shard::output::{Outcomes, Writing, loses_fields};

/// The outcome of a fact.
#[derive(Debug)]
enum Outcome {
    Applied { loses_fields: bool },
    Duplicate,
    Rejected(Refusal),
}

/// An order with waiting facts applied, and the outcome of each of them.
#[derive(Debug)]
pub struct Preview {
    /// The order.
    pub order: Stored,
    /// Its version.
    pub version: u64,
    /// Its version before the facts were applied.
    pub version_before: u64,
    /// Anything but notes is known of it.
    pub is_there: bool,
    /// When something is due, of an order of which nothing is by the arrival of the facts; None: it
    /// has to be settled.
    pub next_at: Option<i64>,
    outcomes: Recorded,
}

type Recorded = Vec<(Arc<Fact>, Outcome)>;

/// Records the outcomes of facts ahead of the watermark.
#[derive(Debug, Default)]
pub struct Recording(Recorded);

impl Outcomes for Recording {
    fn duplicate(&mut self, fact: &Arc<Fact>) {
        self.0.push((fact.clone(), Outcome::Duplicate));
    }

    fn reject(&mut self, fact: &Arc<Fact>, reason: Refusal) {
        self.0.push((fact.clone(), Outcome::Rejected(reason)));
    }

    fn took(&mut self, order: &Order, fact: &Arc<Fact>, _: bool) -> Result<(), Fault> {
        let loses_fields = loses_fields(order, fact);
        self.0.push((fact.clone(), Outcome::Applied { loses_fields }));
        Ok(())
    }
}

impl Preview {
    /// Create the preview of an order that facts were applied to; it has to be settled.
    ///
    /// `version_before` is its version before them; `is_there` where more than notes is known of it.
    pub fn new(
        order: Stored,
        version: u64,
        version_before: u64,
        is_there: bool,
        recorded: Recording,
    ) -> Preview {
        Preview { order, version, version_before, is_there, next_at: None, outcomes: recorded.0 }
    }

    /// Return true if a fact was applied.
    pub fn has_news(&self) -> bool {
        self.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Applied { .. }))
    }

    /// Emit the outcomes once the watermark has reached the facts.
    ///
    /// # Errors
    /// One can't be written.
    pub fn emit(&mut self, key: &Arc<str>, out: &mut Writing<'_>) -> Result<(), Fault> {
        for (fact, outcome) in std::mem::take(&mut self.outcomes) {
            match outcome {
                Outcome::Applied { loses_fields } => out.applied(key, &fact, loses_fields)?,
                Outcome::Duplicate => out.duplicate(&fact),
                Outcome::Rejected(reason) => out.reject(&fact, reason),
            }
        }
        Ok(())
    }
}
