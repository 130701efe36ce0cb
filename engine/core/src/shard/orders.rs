//! The orders that a shard holds: live ones in memory and in the calendar, retired ones leaving.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use crate::fault::Fault;
use crate::order::Order;
use crate::order::packing::{arm, armed_at_of, pack_into, unpack_into};
use crate::rules::NEVER;
use crate::shard::calendar::Calendar;

/// Keys, each once, in the sequence in which they came.
#[derive(Debug, Default)]
pub struct Keys {
    list: Vec<Arc<str>>,
    known: HashSet<Arc<str>>,
}

impl Keys {
    /// Add a key, unless it is there.
    pub fn add(&mut self, key: Arc<str>) {
        if self.known.insert(key.clone()) {
            self.list.push(key);
        }
    }

    /// The keys.
    pub fn list(&self) -> &[Arc<str>] {
        &self.list
    }

    /// Return true if a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.known.contains(key)
    }
}

/// A packed order.
pub type Packed = Box<[u8]>;

/// An order as it is to be stored, armed as before.
#[derive(Debug)]
pub struct Stored {
    packed: Packed,
    armed_at: i64,
    entries: usize,
    had_retired: bool,
}

impl Stored {
    /// The armed deadline; 0 for none.
    pub fn armed_at(&self) -> i64 {
        self.armed_at
    }

    /// Unpack the order into a renewed one.
    ///
    /// # Errors
    /// See `unpack_into`.
    pub fn open(&self, order: &mut Order) -> Result<(), Fault> {
        unpack_into(order, &self.packed)?;
        order.had_retired = self.had_retired;
        Ok(())
    }
}

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
    changed: Keys,
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
            changed: Keys::default(),
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
    pub fn changed(&self) -> &Keys {
        &self.changed
    }

    /// Take the keys changed since the last snapshot.
    pub fn take_changed(&mut self) -> Keys {
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

    /// An order as it is to be stored later.
    pub fn stored(&mut self, order: &Order) -> Stored {
        Stored {
            packed: self.packed(order),
            armed_at: order.armed_at,
            entries: order.history.len(),
            had_retired: order.had_retired,
        }
    }

    /// Replace the live order of a key; return true if there was one.
    fn set_live(&mut self, key: &Arc<str>, data: Option<Packed>) -> bool {
        let held = match (data, self.live.get_mut(key)) {
            (Some(data), Some(held)) => Some(std::mem::replace(held, data)),
            (Some(data), None) => self.live.insert(key.clone(), data),
            (None, _) => self.live.remove(key),
        };
        let was_live = held.is_some();
        self.before.live.get_or_insert(held);
        was_live
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
        if retired {
            order.armed_at = 0;
            let data = self.packed(order);
            if self.live.contains_key(key) {
                self.set_live(key, None);
                self.changed.add(key.clone());
                self.set_row(key, Some(data));
            } else if !self.cold_has(key, &data)? {
                self.set_row(key, Some(data));
            }
            return Ok(());
        }
        order.armed_at = self.arm(key, order.armed_at, next_at, watermark);
        let data = self.packed(order);
        self.keep_live(key, data, order.had_retired);
        Ok(())
    }

    /// Store an order that was packed before, with its next deadline armed.
    pub fn put_stored(&mut self, key: &Arc<str>, order: Stored, next_at: i64, watermark: i64) {
        self.most_entries = self.most_entries.max(order.entries);
        let mut data = order.packed;
        let armed_at = self.arm(key, order.armed_at, next_at, watermark);
        if armed_at != order.armed_at {
            arm(&mut data, armed_at);
        }
        self.keep_live(key, data, order.had_retired);
    }

    fn keep_live(&mut self, key: &Arc<str>, data: Packed, had_retired: bool) {
        let was_live = self.set_live(key, Some(data));
        if !was_live && had_retired {
            self.set_row(key, None); // it was recalled
        }
        self.changed.add(key.clone());
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
        let held = self.live.get_key_value(key).map(|(held, _)| held); // one key for both
        self.calendar.add(next_at, held.unwrap_or(key).clone());
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
