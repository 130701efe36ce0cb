//! Judging: an order is brought up to the clock, arrival by arrival, deadlines between.

use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::{Fault, guarded};
use crate::order::conflicts::{conflicts, winners};
use crate::order::fold::refold;
use crate::order::history::{Stop, add, check_open, permitted};
use crate::order::packing::unpack_into;
use crate::order::{Order, flags};
use crate::rules::NEVER;
use crate::shard::clock::sort;
use crate::shard::orders::Failure;
use crate::shard::output::{Outcomes, Output, Writing};
use crate::shard::preview::{Preview, Recording};
use crate::shard::{Shard, is_there};

/// When to evaluate an order again, or that it has retired.
#[derive(Clone, Copy)]
struct Next {
    at: i64,
    retired: bool,
}

impl Shard {
    /// Bring an order up to the clock: its facts in the order of arrival, deadlines between.
    pub(super) fn judge(
        &mut self,
        key: &Arc<str>,
        facts: &[Arc<Fact>],
        preview: Option<Preview>,
        watermark: i64,
        out: &mut Output,
    ) -> Result<(), Failure> {
        if let (Some(preview), Some(first)) = (preview, facts.first()) {
            if !self.comes_first(key, preview.order.armed_at(), first.arrival_at) {
                return self.arrive(key, preview, first.arrival_at, watermark, out);
            }
        }
        let mut order = self.open(key)?;
        let version = order.version;
        let mut next = self.next_of(key, &order);
        for group in facts.chunk_by(|one, two| one.arrival_at == two.arrival_at) {
            let arrival_at = group[0].arrival_at;
            if next.at < arrival_at && !next.retired {
                let floor = order.latest_arrival_at();
                next = self.settle(&mut order, arrival_at - 1, floor, out)?;
            }
            let table = self.definitions.table.clone();
            if self.take(&mut order, group, &mut Writing { out, table: &table })? {
                next = self.settle(&mut order, arrival_at, arrival_at, out)?;
            }
        }
        self.finish(key, &mut order, version, next, watermark, out)?;
        self.blank = Some(order);
        Ok(())
    }

    /// Judge an order with the facts of one arrival that it was shown with.
    fn arrive(
        &mut self,
        key: &Arc<str>,
        mut preview: Preview,
        arrival_at: i64,
        watermark: i64,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let has_news = preview.has_news();
        let table = self.definitions.table.clone();
        preview.emit(key, &mut Writing { out, table: &table })?;
        let later = preview.next_at.filter(|at| *at > watermark);
        if let Some(next_at) = later.filter(|_| self.is_published(&preview)) {
            self.held.put_stored(key, preview.order, next_at, self.watermark);
            if self.is_publishing && preview.is_there {
                self.forget_shown(key);
            }
            return Ok(());
        }
        let mut order = self.blank(key);
        preview.order.open(&mut order)?;
        let next = match preview.next_at {
            Some(at) => Next { at, retired: false },
            None if has_news => self.settle(&mut order, arrival_at, arrival_at, out)?,
            None => self.next_of(key, &order),
        };
        self.finish(key, &mut order, preview.version_before, next, watermark, out)?;
        self.blank = Some(order);
        Ok(())
    }

    /// Return true if nothing is left to publish of an order that was shown ahead.
    fn is_published(&self, preview: &Preview) -> bool {
        let shown = self.shown.unwrap_or(preview.version_before);
        !self.is_publishing || !preview.is_there || preview.version <= shown
    }

    /// Forget which version of an order was shown, unless more of its facts wait.
    fn forget_shown(&mut self, key: &Arc<str>) {
        if !self.pending.has(key) {
            self.shown = None;
        }
    }

    /// Settle an order at the watermark if something is due by it, store and publish it.
    fn finish(
        &mut self,
        key: &Arc<str>,
        order: &mut Order,
        version: u64,
        mut next: Next,
        watermark: i64,
        out: &mut Output,
    ) -> Result<(), Failure> {
        if !next.retired && next.at <= watermark {
            let floor = order.latest_arrival_at();
            next = self.settle(order, watermark, floor, out)?;
        }
        if order.history.is_empty() {
            return Ok(());
        }
        self.store(key, order, version, next, out)
    }

    /// Fold a live order from its history, and settle it.
    pub(super) fn settle_anew(&mut self, key: &Arc<str>, out: &mut Output) -> Result<(), Failure> {
        let mut order = self.open(key)?;
        let version = order.version;
        refold(&mut order, &self.definitions.table);
        order.armed_at = 0;
        let next = self.settle(&mut order, self.watermark, self.watermark, out)?;
        self.store(key, &mut order, version, next, out)?;
        self.blank = Some(order);
        Ok(())
    }

    /// Publish an order with the facts that the clock has not reached yet.
    pub(super) fn show(&mut self, key: &Arc<str>, out: &mut Output) -> Result<(), Failure> {
        let Some(waiting) = self.pending.get(key) else { return Ok(()) };
        let (facts, shown) = (&waiting.facts, waiting.shown);
        let first_at = facts.first().map(|fact| fact.arrival_at);
        let is_one = facts.iter().all(|fact| Some(fact.arrival_at) == first_at && !fact.command);
        let mut facts: Vec<_> = facts.iter().filter(|fact| !fact.command).cloned().collect();
        sort(&mut facts);
        let mut order = self.open(key)?;
        let version = order.version;
        let mut recorded = Recording::default();
        for group in facts.chunk_by(|one, two| one.arrival_at == two.arrival_at) {
            self.take(&mut order, group, &mut recorded)?;
        }
        let is_there = is_there(&order, &self.definitions.table);
        let is_news = is_there && order.version > shown.unwrap_or(version);
        if is_news {
            out.publish(&mut order, &self.desk, self.generation)?;
        }
        let version_shown = order.version;
        let preview = match first_at.filter(|_| is_one) {
            Some(arrival_at) => {
                let stored = self.held.stored(&order);
                let preview = Preview::new(stored, order.version, version, is_there, recorded);
                Some(self.judged_ahead(&mut order, preview, arrival_at)?)
            }
            None => None,
        };
        self.blank = Some(order);
        if let Some(waiting) = self.pending.get_mut(key) {
            waiting.shown = if is_news { Some(version_shown) } else { waiting.shown };
            waiting.preview = preview;
        }
        Ok(())
    }

    /// Judge an order ahead of the watermark, as long as that emits nothing.
    ///
    /// What else becomes of it, a fault or panic too, is found when the watermark comes.
    fn judged_ahead(
        &mut self,
        order: &mut Order,
        mut preview: Preview,
        arrival_at: i64,
    ) -> Result<Preview, Fault> {
        let comes_first = self.comes_first(&order.key, order.armed_at, arrival_at);
        if comes_first || !preview.has_news() {
            return Ok(preview);
        }
        match guarded(|| self.desk.settle(order, arrival_at, arrival_at)) {
            Ok((said, Some(next_at))) if said.is_empty() => {
                preview.next_at = Some(next_at);
                if !order.alerts.is_empty() {
                    preview.order = self.held.stored(order); // they note when they were wanted
                }
            }
            Err(Fault::Interrupted) => return Err(Fault::Interrupted),
            _ => {}
        }
        Ok(preview)
    }

    /// The order for work; a new one if nothing is known of it.
    fn open(&mut self, key: &Arc<str>) -> Result<Box<Order>, Failure> {
        let mut order = self.blank(key);
        if self.held.find(key, |data| unpack_into(&mut order, data))?.is_some() {
            order.had_retired = !self.held.is_live(key);
        }
        Ok(order)
    }

    /// An order of which nothing is known, with the room of the one that was open before.
    fn blank(&mut self, key: &Arc<str>) -> Box<Order> {
        let Some(mut order) = self.blank.take() else { return Box::new(Order::new(key.clone())) };
        order.renew(key.clone());
        order
    }

    /// Return true if a deadline of the order comes before the arrival of its facts.
    fn comes_first(&self, key: &Arc<str>, armed_at: i64, arrival_at: i64) -> bool {
        0 < armed_at && armed_at < arrival_at && self.held.is_live(key)
    }

    fn next_of(&self, key: &Arc<str>, order: &Order) -> Next {
        let at = if order.armed_at == 0 { NEVER } else { order.armed_at };
        Next { at, retired: !self.held.is_live(key) }
    }

    /// Emit what is due.
    fn settle(
        &self,
        order: &mut Order,
        limit: i64,
        floor: i64,
        out: &mut Output,
    ) -> Result<Next, Fault> {
        let (said, next_at) = self.desk.settle(order, limit, floor)?;
        for transition in &said {
            out.say(order, &self.desk, transition)?;
        }
        Ok(Next { at: next_at.unwrap_or(NEVER), retired: next_at.is_none() })
    }

    /// Apply the facts of one arrival; return true if anything was new.
    fn take(
        &mut self,
        order: &mut Order,
        group: &[Arc<Fact>],
        out: &mut impl Outcomes,
    ) -> Result<bool, Fault> {
        let mut took = false;
        let rivals = winners(group)?;
        rivals.duplicates.iter().for_each(|fact| out.duplicate(fact));
        for fact in rivals.chosen.iter() {
            if order.find(fact.hash).is_some() || order.was_thinned(fact.hash) {
                if !order.has(flags::CONFLICTING) && conflicts(order, fact) {
                    order.flags |= flags::CONFLICTING;
                    order.version += 1; // what is published changes, so its version has to
                }
                out.duplicate(fact);
                continue;
            }
            match self.apply(order, fact) {
                Ok(is_refused) => out.took(order, fact, is_refused)?,
                Err(Stop::Fault(fault)) => return Err(fault),
                Err(Stop::Refused(reason)) => {
                    out.reject(fact, reason);
                    continue;
                }
            }
            took = true;
        }
        Ok(took)
    }

    /// Add a fact to an order; return true for a command that is refused.
    fn apply(&mut self, order: &mut Order, fact: &Fact) -> Result<bool, Stop> {
        let table = &*self.definitions.table;
        if table.code(fact.status).is_none() {
            return Err(Stop::Fault(Fault::Status(fact.status)));
        }
        if !order.history.is_empty() && !self.held.is_live(&order.key) {
            check_open(fact, self.desk.retires_at(order), table).map_err(Stop::Refused)?;
        }
        let is_refused = fact.command && !permitted(order, fact, table);
        add(order, fact, table, &mut self.sources, is_refused)?;
        Ok(is_refused)
    }

    /// Store and publish an order that has been judged; `version` is what it had before.
    ///
    /// It is published if it changed, and a tombstone after that when it retires.
    fn store(
        &mut self,
        key: &Arc<str>,
        order: &mut Order,
        version: u64,
        next: Next,
        out: &mut Output,
    ) -> Result<(), Failure> {
        self.held.put(key, order, next.at, self.watermark, next.retired)?;
        if !self.is_publishing || !is_there(order, &self.definitions.table) {
            return Ok(());
        }
        let is_news = order.version > self.shown.unwrap_or(version);
        if is_news {
            out.publish(order, &self.desk, self.generation)?;
            self.shown = Some(order.version);
        }
        self.forget_shown(key);
        if next.retired && (is_news || self.held.changed().has(key)) {
            out.retire(order, self.generation);
        }
        Ok(())
    }
}
