//! A shard: the live orders of one key range, their calendar, and the facts that wait for the clock.
//!
//! Begin with `Shard::advance` in `clock`. What follows from an order counts only as a whole: a fault
//! of one order, a panic too, sets that order aside (`set_aside`), and the others go on. Facts wait
//! (`pending`) until the clock has reached their arrival; then each order is judged (`judging`),
//! arrival by arrival. What has arrived but not been reached by the clock shows in the order's live
//! document all the same (`preview`).

pub mod calendar;
mod clock;
pub mod documents;
pub mod explaining;
mod judging;
pub mod orders;
pub mod output;
mod pending;
mod preview;
pub mod set_aside;
pub mod snapshot;

use std::fmt;
use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::json::Json;
use crate::lifecycle::Lifecycle;
use crate::msgpack::{write_bytes, write_list, write_optional, write_text};
use crate::order::packing::unpack;
use crate::order::{NO_ENTRY, Order, marks};
use crate::refusal::Refusal;
use crate::rules::{Conditions, Desk, Evaluator, Rules};
use crate::shard::documents::document;
use crate::shard::orders::{Cold, Orders};
use crate::shard::pending::Pending;
use crate::shard::set_aside::SetAsides;
use crate::shard::snapshot::{Snapshot, write_head};
use crate::symbols::{MOST_RULES, MOST_SOURCES, Symbols};

/// Lifecycle and rules in force.
#[derive(Clone)]
pub struct Definitions {
    /// The lifecycle.
    pub table: Arc<Lifecycle>,
    /// The rules.
    pub rules: Arc<Rules>,
    /// What evaluates their conditions.
    pub evaluator: Arc<dyn Evaluator>,
    /// Names both.
    pub digest: String,
}

/// Why a shard can't take a state.
#[derive(Debug)]
pub enum NoState {
    /// A snapshot is damaged.
    Damaged(Fault),
    /// Statuses that stored orders use are missing from the lifecycle, or in another order.
    OtherStatuses,
    /// There are too many rules.
    TooManyRules(Refusal),
}

impl fmt::Display for NoState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoState::Damaged(fault) => write!(out, "snapshot: {fault}"),
            NoState::OtherStatuses => write!(
                out,
                "lifecycle: statuses that stored orders use were removed or put in another order; \
                 keep them as they were and add new ones at the end, or start with new state"
            ),
            NoState::TooManyRules(refusal) => write!(out, "{refusal}"),
        }
    }
}

impl std::error::Error for NoState {}

/// The orders of one shard; one owner.
pub struct Shard {
    definitions: Definitions,
    generation: u64,
    desk: Desk,
    sources: Symbols,
    held: Orders,
    pending: Pending,
    shown: Option<u64>, // version of the order in work that was published ahead of the clock
    blank: Option<Box<Order>>, // the order that was open last, for its room
    written_bytes: usize, // of the last output
    delta_bytes: usize, // of the last delta
    set_aside: SetAsides,
    watermark: i64,
    /// Orders set aside that the next advance releases.
    pub releasing: Vec<String>,
    /// Documents are emitted; a replay asks for them once, at the end.
    pub is_publishing: bool,
}

/// Room for bytes of which there were so many the last time.
fn with_reserve(size_bytes: usize) -> usize {
    size_bytes + size_bytes / 8
}

impl Shard {
    /// Create an empty shard of a state of a generation; `cold` has its retired orders.
    ///
    /// # Errors
    /// There are too many rules.
    pub fn new(
        definitions: Definitions,
        cold: Box<dyn Cold>,
        generation: u64,
    ) -> Result<Shard, NoState> {
        Ok(Shard {
            desk: desk_of(&definitions, Vec::new())?,
            definitions,
            generation,
            sources: Symbols::new(&[], "source", MOST_SOURCES),
            held: Orders::new(cold),
            pending: Pending::default(),
            shown: None,
            blank: None,
            written_bytes: 0,
            delta_bytes: 0,
            set_aside: SetAsides::default(),
            watermark: 0,
            releasing: Vec::new(),
            is_publishing: true,
        })
    }

    /// The clock, in ms.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Names the rules and the lifecycle in force.
    pub fn digest(&self) -> &str {
        &self.definitions.digest
    }

    /// The orders.
    pub fn orders(&self) -> &Orders {
        &self.held
    }

    /// The orders, to take what is to be stored of them.
    pub fn orders_mut(&mut self) -> &mut Orders {
        &mut self.held
    }

    /// The orders set aside.
    pub fn set_asides(&self) -> &SetAsides {
        &self.set_aside
    }

    /// The names of sources.
    pub fn sources(&self) -> &Symbols {
        &self.sources
    }

    /// The rules in force.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// How many messages wait for the clock; one that several orders share counts once.
    pub fn waiting_count(&self) -> u64 {
        self.pending.waiting_count() + self.set_aside.waiting_count()
    }

    /// Take facts; they are applied when the clock has reached them.
    pub fn offer(&mut self, facts: impl IntoIterator<Item = impl Into<Arc<Fact>>>) {
        facts.into_iter().for_each(|fact| self.wait(fact.into()));
    }

    fn wait(&mut self, fact: Arc<Fact>) {
        if self.set_aside.has(&fact.key) {
            self.set_aside.keep(fact);
            return;
        }
        self.pending.add(fact);
    }

    /// The document of a packed order, None for one of which nothing but notes is known.
    ///
    /// # Errors
    /// The bytes are damaged, or the document can't be written.
    pub fn document_of(&self, key: &str, data: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut order = unpack(key, data)?;
        if !is_there(&order, &self.definitions.table) {
            return Ok(None);
        }
        let mut json = Json::default();
        document(&mut json, &mut order, &self.desk, self.generation)?;
        Ok(Some(json.0))
    }

    /// What changed since the last snapshot, everything for a base; msgpack.
    pub fn snapshot(&mut self, is_base: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(if is_base { 0 } else { self.delta_bytes });
        let statuses = &self.definitions.table.statuses;
        let codes: Vec<_> = statuses.iter().map(|status| status.code.as_str()).collect();
        let names = [self.sources.names(), self.desk.symbols().names()];
        write_head(&mut out, self.watermark, names, &codes, &self.definitions.digest);
        let changed = self.held.take_changed();
        let live = self.held.live();
        if is_base {
            write_list(&mut out, live.len());
            live.iter().for_each(|(key, data)| write_order(&mut out, key, Some(data)));
        } else {
            write_list(&mut out, changed.list().len());
            let keys = changed.list().iter();
            keys.for_each(|key| write_order(&mut out, key, live.get(key).map(|data| &**data)));
        }
        write_list(&mut out, self.pending.iter().map(|waiting| waiting.facts.len()).sum());
        for waiting in self.pending.iter() {
            waiting.facts.iter().for_each(|fact| fact.write(&mut out));
        }
        self.set_aside.snapshot(&mut out, is_base);
        if !is_base {
            self.delta_bytes = with_reserve(out.len());
        }
        out
    }

    /// Take the state of a base and the deltas after it; the digest that the last one names.
    ///
    /// # Errors
    /// A snapshot is damaged, or the lifecycle isn't that of its orders.
    pub fn restore(&mut self, blobs: &[&[u8]]) -> Result<String, NoState> {
        let mut orders = Vec::with_capacity(blobs.len());
        let mut last = Snapshot::default();
        for blob in blobs {
            last = Snapshot::read(blob).map_err(NoState::Damaged)?;
            orders.push(std::mem::take(&mut last.orders));
            self.set_aside.restore(std::mem::take(&mut last.set_aside));
        }
        self.held.restore(orders);
        for key in self.set_aside.orders().keys() {
            self.held.excuse(key); // that is why it is set aside
        }
        let table = &self.definitions.table;
        let held = |(number, code): (usize, &String)| {
            table.statuses.get(number).is_some_and(|status| status.code == *code)
        };
        if !last.statuses.iter().enumerate().all(held) {
            return Err(NoState::OtherStatuses);
        }
        self.watermark = last.watermark;
        self.sources = Symbols::new(&last.sources, "source", MOST_SOURCES);
        self.desk = desk_of(&self.definitions, last.rule_ids)?;
        self.pending = Pending::default();
        last.pending.into_iter().for_each(|fact| self.wait(fact));
        Ok(last.digest)
    }
}

fn write_order(out: &mut Vec<u8>, key: &str, data: Option<&[u8]>) {
    write_list(out, 2);
    write_text(out, key);
    write_optional(out, data, write_bytes);
}

fn desk_of(definitions: &Definitions, rule_ids: Vec<String>) -> Result<Desk, NoState> {
    let Definitions { table, rules, evaluator, .. } = definitions;
    let symbols = Symbols::new(&rule_ids, "rule", MOST_RULES);
    let conditions = Conditions::new(evaluator.clone());
    Desk::new(rules.clone(), table.clone(), conditions, symbols).map_err(NoState::TooManyRules)
}

/// Return true if anything but notes is known of an order.
fn is_there(order: &Order, table: &Lifecycle) -> bool {
    order.latest_entry != NO_ENTRY
        || order.entries().any(|entry| !entry.has(marks::REFUSED) && !table[entry.status].is_note)
}
