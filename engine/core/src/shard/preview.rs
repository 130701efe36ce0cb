//! The preview: an order with facts ahead of the watermark.
//!
//! Its document is published at once. The folded order is kept, so that it isn't folded again when
//! the watermark reaches the facts and nothing else has happened to the order; the outcome of each
//! fact is emitted then.

use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::order::Order;
use crate::refusal::Refusal;
use crate::shard::output::Outcomes;

/// The outcome of a fact.
#[derive(Debug)]
enum Outcome {
    Applied,
    Duplicate,
    Rejected(Refusal),
}

/// An order with waiting facts applied, and the outcome of each of them.
#[derive(Debug)]
pub struct Preview {
    /// The order.
    pub order: Order,
    /// Its version before the facts were applied.
    pub version: u64,
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

    fn took(&mut self, _: &Order, fact: &Arc<Fact>, _: bool) -> Result<(), Fault> {
        self.0.push((fact.clone(), Outcome::Applied));
        Ok(())
    }
}

impl Preview {
    /// Create the preview of an order that facts were applied to; `version` is that before them.
    pub fn new(order: Order, version: u64, recorded: Recording) -> Preview {
        Preview { order, version, outcomes: recorded.0 }
    }

    /// Emit the outcomes once the watermark has reached the facts; return true if any was new.
    ///
    /// # Errors
    /// One can't be written.
    pub fn emit(&mut self, out: &mut impl Outcomes) -> Result<bool, Fault> {
        let mut took = false;
        for (fact, outcome) in std::mem::take(&mut self.outcomes) {
            match outcome {
                Outcome::Applied => {
                    out.took(&self.order, &fact, false)?;
                    took = true;
                }
                Outcome::Duplicate => out.duplicate(&fact),
                Outcome::Rejected(reason) => out.reject(&fact, reason),
            }
        }
        Ok(took)
    }
}
