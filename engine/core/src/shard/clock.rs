//! The clock of a shard moves: orders are evaluated, shown ahead, set aside and released.

use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::guarded;
use crate::shard::orders::Failure;
use crate::shard::output::Output;
use crate::shard::preview::Preview;
use crate::shard::set_aside::OrderFault;
use crate::shard::{Shard, with_reserve};

impl Shard {
    /// Move the clock to `watermark` and emit everything that follows; it never moves back.
    ///
    /// # Errors
    /// The retired orders can't be read; no order is to blame.
    pub fn advance(&mut self, watermark: i64) -> Result<Output, Failure> {
        let mut out = Output::with_room(self.written_bytes);
        self.watermark = self.watermark.max(watermark);
        let watermark = self.watermark;
        for (key, fault) in self.held.take_unreadable() {
            let fault = OrderFault::new(&key, &fault);
            self.put_aside(&key, watermark, fault, Vec::new(), &mut out)?;
        }
        for key in std::mem::take(&mut self.releasing) {
            self.release(&key, &mut out)?;
        }
        for key in self.due(watermark) {
            self.evaluate(&key, watermark, &mut out)?;
        }
        for key in self.pending.take_fresh() {
            if self.pending.is_shown_now(&key) && self.is_publishing {
                self.preview(&key, &mut out)?;
            }
        }
        out.rejected.extend(self.set_aside.take_overflow());
        self.written_bytes = with_reserve(out.written.0.len());
        Ok(out)
    }

    /// Settle every live order by the rules and lifecycle in force, by key.
    ///
    /// # Errors
    /// As of `advance`.
    pub fn reevaluate_all(&mut self) -> Result<Output, Failure> {
        let mut out = Output::default();
        let mut keys: Vec<_> = self.held.live().keys().cloned().collect();
        keys.sort_unstable();
        for key in keys {
            self.reevaluate(&key, &mut out)?;
        }
        Ok(out)
    }

    /// Evaluate an order that was set aside; if it raises again, it stays aside.
    ///
    /// # Errors
    /// As of `advance`.
    pub fn release(&mut self, key: &str, out: &mut Output) -> Result<(), Failure> {
        let Some(released) = self.set_aside.release(key) else { return Ok(()) };
        let (key, watermark): (Arc<str>, i64) = (Arc::from(key), self.watermark);
        if !released.facts.is_empty() {
            self.pending.put(key.clone(), released.facts, None);
        }
        self.evaluate(&key, watermark, out)?;
        if released.digest != self.definitions.digest && self.held.is_live(&key) {
            self.reevaluate(&key, out)?;
        }
        if self.set_aside.has(&key) {
            self.set_aside.raised_again(&key, released.releases + 1);
            return Ok(());
        }
        Ok(out.released(&key, watermark)?)
    }

    /// Set an order aside whose fault was found outside of an evaluation.
    ///
    /// # Errors
    /// The watermark can't be written.
    pub fn put_aside_now(&mut self, key: &str, fault: OrderFault) -> Result<Output, Failure> {
        let mut out = Output::default();
        self.put_aside(&Arc::from(key), self.watermark, fault, Vec::new(), &mut out)?;
        Ok(out)
    }

    /// The orders that have something to be judged by the watermark.
    fn due(&mut self, watermark: i64) -> Vec<Arc<str>> {
        let mut keys: Vec<_> = self.pending.come(watermark).cloned().collect();
        if self.held.has_come(watermark) {
            let due = self.held.due(watermark);
            let others = due.into_iter().filter(|key| !self.pending.has_come(key, watermark));
            keys.extend(others.filter(|key| !self.set_aside.has(key)));
        }
        keys
    }

    /// Do some work on one order, all of it or none; its fault, if it has one.
    fn attempt(
        &mut self,
        key: &Arc<str>,
        out: &mut Output,
        work: impl FnOnce(&mut Shard, &mut Output) -> Result<(), Failure>,
    ) -> Result<Option<OrderFault>, Failure> {
        let before = out.counts();
        let shown = self.shown;
        self.held.begin();
        match guarded(|| work(self, out)) {
            Ok(()) => Ok(None),
            Err(Failure::Order(fault)) => {
                out.put_back(&before);
                self.held.put_back(key);
                self.shown = shown;
                Ok(Some(OrderFault::new(key, &fault)))
            }
            process => process.map(|()| None),
        }
    }

    /// Bring an order up to the watermark, or set it aside before the arrival that raises.
    fn evaluate(
        &mut self,
        key: &Arc<str>,
        watermark: i64,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let (facts, preview) = self.reached(key, watermark);
        let work = |shard: &mut Shard, mine: &mut Output| {
            shard.judge(key, &facts, preview, watermark, mine)
        };
        if self.attempt(key, out, work)?.is_some() {
            self.evaluate_by_steps(key, &facts, watermark, out)?;
        }
        if let Some(waiting) = self.pending.get_mut(key) {
            waiting.shown = self.shown;
        }
        Ok(())
    }

    /// Evaluate an order a step at a time, so that what is kept of one that is set aside doesn't
    /// depend on how many facts came at once.
    fn evaluate_by_steps(
        &mut self,
        key: &Arc<str>,
        facts: &[Arc<Fact>],
        watermark: i64,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let mut rest = facts;
        while let Some(first) = rest.first() {
            let arrival_at = first.arrival_at;
            let (group, later) =
                rest.split_at(rest.partition_point(|fact| fact.arrival_at == arrival_at));
            for (at, some) in [(arrival_at - 1, &[][..]), (arrival_at, group)] {
                let work =
                    |shard: &mut Shard, mine: &mut Output| shard.judge(key, some, None, at, mine);
                if let Some(fault) = self.attempt(key, out, work)? {
                    return self.put_aside(key, arrival_at, fault, rest.to_vec(), out);
                }
            }
            rest = later;
        }
        let work =
            |shard: &mut Shard, mine: &mut Output| shard.judge(key, &[], None, watermark, mine);
        match self.attempt(key, out, work)? {
            Some(fault) => self.put_aside(key, watermark, fault, Vec::new(), out),
            None => Ok(()),
        }
    }

    /// Set an order aside; `facts` and those that the watermark hasn't reached wait with it.
    fn put_aside(
        &mut self,
        key: &Arc<str>,
        at: i64,
        fault: OrderFault,
        mut facts: Vec<Arc<Fact>>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        self.shown = None;
        facts.extend(self.pending.take(key).into_iter().flat_map(|waiting| waiting.facts));
        self.set_aside.add(key, at, &fault.reason, &self.definitions.digest, facts);
        out.set_aside(key, at, &fault.reason)?;
        out.faults.push(fault);
        Ok(())
    }

    /// Settle a live order by the rules and lifecycle in force now.
    fn reevaluate(&mut self, key: &Arc<str>, out: &mut Output) -> Result<(), Failure> {
        if self.set_aside.has(key) {
            return Ok(());
        }
        self.shown = self.pending.get(key).and_then(|waiting| waiting.shown);
        let work = |shard: &mut Shard, mine: &mut Output| shard.settle_anew(key, mine);
        if let Some(fault) = self.attempt(key, out, work)? {
            return self.put_aside(key, self.watermark, fault, Vec::new(), out);
        }
        if let Some(waiting) = self.pending.get_mut(key) {
            waiting.shown = self.shown;
        }
        Ok(())
    }

    /// Publish an order with the facts ahead of the watermark, if that can be done.
    ///
    /// What it raises sets nothing aside: only what the watermark has reached does.
    fn preview(&mut self, key: &Arc<str>, out: &mut Output) -> Result<(), Failure> {
        let work = |shard: &mut Shard, mine: &mut Output| shard.show(key, mine);
        if let Some(fault) = self.attempt(key, out, work)? {
            out.faults.push(OrderFault { is_preview: true, ..fault });
        }
        Ok(())
    }

    /// Take the facts of an order which the clock has reached out of the waiting ones, by arrival;
    /// of one ms the commands last, by source and event_id. With them comes the preview, if it has
    /// no others.
    fn reached(&mut self, key: &Arc<str>, watermark: i64) -> (Vec<Arc<Fact>>, Option<Preview>) {
        self.shown = None;
        let Some(taken) = self.pending.take(key) else { return (Vec::new(), None) };
        self.shown = taken.shown;
        let (mut reached, mut preview) = (taken.facts, taken.preview);
        let has_come = |fact: &Arc<Fact>| fact.arrival_at <= watermark;
        if !reached.iter().all(has_come) {
            let waiting;
            (reached, waiting) = reached.into_iter().partition(has_come);
            self.pending.put(key.clone(), waiting, taken.shown);
            preview = None;
        }
        sort(&mut reached);
        (reached, preview)
    }
}

/// Sort facts by arrival; of one ms the commands last, by source and event_id.
pub(super) fn sort(facts: &mut [Arc<Fact>]) {
    facts.sort_by(|one, two| {
        let names = |fact: &Arc<Fact>| (fact.arrival_at, fact.command);
        let by_arrival = names(one).cmp(&names(two));
        by_arrival.then_with(|| (&one.source, &one.event_id).cmp(&(&two.source, &two.event_id)))
    });
}
