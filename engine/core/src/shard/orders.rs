//! The orders that a shard holds: live ones in memory and in the calendar, retired ones leaving.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;

use crate::fault::Fault;
use crate::order::Order;
use crate::order::packing::{armed_at_of, pack_into};
use crate::rules::NEVER;
use crate::shard::calendar::Calendar;

/// A packed order.
pub type Packed = Box<[u8]>;

/// Why an evaluation ended: a fault of the order, or something that no order is to blame for.
#[derive(Debug)]
pub enum Failure {
    /// The order's.
    Order(Fault),
    /// The process's; what the caller's own code raised.
    Process(Box<dyn Any + Send>),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        match fault {
            Fault::Interrupted => Failure::Process(Box::new(fault)),
            fault => Failure::Order(fault),
        }
    }
}

/// The retired orders of a shard.
pub trait Cold: Send {
    /// A packed order; None if there is none.
    ///
    /// # Errors
    /// `Order` where this one is damaged, `Process` where nothing can be read.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure>;
}

/// No order is retired.
impl Cold for () {
    fn get(&self, _: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }
}

/// What is stored of an order before an evaluation, as far as that has replaced it.
#[derive(Debug, Default)]
struct Before {
    live: Option<Option<Packed>>,
    row: Option<Option<Option<Packed>>>,
}

/// Packed orders by key.
pub struct Orders {
    cold: Box<dyn Cold>,
    live: HashMap<Arc<str>, Packed>,
    calendar: Calendar<Arc<str>>,
    changed: BTreeSet<Arc<str>>,
    unreadable: BTreeMap<Arc<str>, Fault>,
    cold_rows: BTreeMap<Arc<str>, Option<Packed>>,
    most_entries: usize,
    before: Before,
    packing: Vec<u8>, // kept for its room
}

impl Orders {
    /// Create an empty holding; `cold` has the retired orders.
    pub fn new(cold: Box<dyn Cold>) -> Orders {
        Orders {
            cold,
            live: HashMap::default(),
            calendar: Calendar::default(),
            changed: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            cold_rows: BTreeMap::new(),
            most_entries: 0,
            before: Before::default(),
            packing: Vec::new(),
        }
    }

    /// The live orders by key.
    pub fn live(&self) -> &HashMap<Arc<str>, Packed> {
        &self.live
    }

    /// Keys changed since the last snapshot.
    pub fn changed(&self) -> &BTreeSet<Arc<str>> {
        &self.changed
    }

    /// Take the keys changed since the last snapshot.
    pub fn take_changed(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.changed)
    }

    /// What is to be written to the cold with the next snapshot; None: to be deleted.
    pub fn cold_rows(&self) -> &BTreeMap<Arc<str>, Option<Packed>> {
        &self.cold_rows
    }

    /// Take what is to be written to the cold.
    pub fn take_cold_rows(&mut self) -> BTreeMap<Arc<str>, Option<Packed>> {
        std::mem::take(&mut self.cold_rows)
    }

    /// Take the orders whose bytes could not be read when they were restored.
    pub fn take_unreadable(&mut self) -> BTreeMap<Arc<str>, Fault> {
        std::mem::take(&mut self.unreadable)
    }

    /// Forget that an order could not be read.
    pub fn excuse(&mut self, key: &str) {
        self.unreadable.remove(key);
    }

    /// The most entries of an order that was stored since the start.
    pub fn most_entries(&self) -> usize {
        self.most_entries
    }

    /// Return true if an order is live.
    pub fn is_live(&self, key: &str) -> bool {
        self.live.contains_key(key)
    }

    /// The packed order from memory or from the cold, given to `read`; None if there is none.
    ///
    /// # Errors
    /// As `read`, and as the cold.
    pub fn find<T>(
        &self,
        key: &str,
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<Option<T>, Failure> {
        if let Some(data) = self.live.get(key) {
            return Ok(Some(read(data)?));
        }
        match self.cold_rows.get(key) {
            Some(row) => Ok(row.as_deref().map(read).transpose()?),
            None => Ok(self.cold.get(key)?.as_deref().map(read).transpose()?),
        }
    }

    /// Return true if the cold holds these bytes of a key.
    fn cold_has(&self, key: &str, data: &[u8]) -> Result<bool, Failure> {
        let is_same = |held: &[u8]| data == held;
        Ok(match self.cold_rows.get(key) {
            Some(row) => row.as_deref().is_some_and(is_same),
            None => self.cold.get(key)?.as_deref().is_some_and(is_same),
        })
    }

    /// Begin the evaluation of an order: what is stored of it from now on can be put back.
    pub fn begin(&mut self) {
        self.before = Before::default();
    }

    /// Undo what was stored of an order since `begin`.
    pub fn put_back(&mut self, key: &Arc<str>) {
        let before = std::mem::take(&mut self.before);
        match before.live {
            Some(Some(data)) => drop(self.live.insert(key.clone(), data)),
            Some(None) => drop(self.live.remove(key)),
            None => {}
        }
        match before.row {
            Some(Some(row)) => drop(self.cold_rows.insert(key.clone(), row)),
            Some(None) => drop(self.cold_rows.remove(key)),
            None => {}
        }
    }

    fn packed(&mut self, order: &Order) -> Packed {
        self.packing.clear();
        pack_into(&mut self.packing, order);
        Packed::from(self.packing.as_slice())
    }

    fn set_live(&mut self, key: &Arc<str>, data: Option<Packed>) {
        let held = match data {
            Some(data) => self.live.insert(key.clone(), data),
            None => self.live.remove(key),
        };
        self.before.live.get_or_insert(held);
    }

    fn set_row(&mut self, key: &Arc<str>, row: Option<Packed>) {
        let held = self.cold_rows.insert(key.clone(), row);
        self.before.row.get_or_insert(held);
    }

    /// Store an order, in memory with its next deadline armed, or in the cold.
    ///
    /// # Errors
    /// The cold can't be read.
    pub fn put(
        &mut self,
        key: &Arc<str>,
        order: &mut Order,
        next_at: i64,
        watermark: i64,
        retired: bool,
    ) -> Result<(), Failure> {
        self.most_entries = self.most_entries.max(order.history.len());
        // One key for the table and the calendar.
        let held = self.live.get_key_value(key).map(|(held, _)| held.clone());
        let (was_live, key) = (held.is_some(), held.unwrap_or_else(|| key.clone()));
        if retired {
            order.armed_at = 0;
            let data = self.packed(order);
            if was_live {
                self.set_live(&key, None);
                self.changed.insert(key.clone());
                self.set_row(&key, Some(data));
            } else if !self.cold_has(&key, &data)? {
                self.set_row(&key, Some(data));
            }
            return Ok(());
        }
        order.armed_at = self.arm(&key, order.armed_at, next_at, watermark);
        let data = self.packed(order);
        self.set_live(&key, Some(data));
        self.changed.insert(key.clone());
        if !was_live && order.had_retired {
            self.set_row(&key, None); // it was recalled
        }
        Ok(())
    }

    /// Note an order's deadline; a later one than is noted re-arms when that one comes.
    fn arm(&mut self, key: &Arc<str>, armed_at: i64, next_at: i64, watermark: i64) -> i64 {
        if next_at == armed_at {
            return armed_at;
        }
        if next_at == NEVER {
            return if armed_at > watermark { armed_at } else { 0 };
        }
        if watermark < armed_at && armed_at < next_at {
            return armed_at;
        }
        self.calendar.add(next_at, key.clone());
        next_at
    }

    /// Return true if a deadline may have come by the watermark.
    pub fn has_come(&self, watermark: i64) -> bool {
        self.calendar.has_come(watermark)
    }

    /// Take out the orders whose armed deadline has come by the watermark, soonest first.
    pub fn due(&mut self, watermark: i64) -> Vec<Arc<str>> {
        let live = &self.live;
        let armed_at = |key: &Arc<str>| {
            let at = live.get(key).and_then(|data| armed_at_of(data).ok());
            at.filter(|at| *at != 0)
        };
        self.calendar.due(watermark, armed_at)
    }

    /// Take the orders of a base and the deltas after it, and arm their deadlines.
    pub fn restore(&mut self, parts: Vec<Vec<(Arc<str>, Option<Packed>)>>) {
        for (key, data) in parts.into_iter().flatten() {
            match data {
                Some(data) => drop(self.live.insert(key, data)),
                None => drop(self.live.remove(&key)),
            }
        }
        self.calendar = Calendar::default();
        self.unreadable.clear();
        for (key, data) in &self.live {
            match armed_at_of(data) {
                Ok(0) => {}
                Ok(at) => self.calendar.add(at, key.clone()),
                Err(fault) => drop(self.unreadable.insert(key.clone(), fault)),
            }
        }
    }
}
