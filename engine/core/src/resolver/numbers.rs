//! Numbers of one shard: registrations come in, questions are answered, unused numbers are forgotten.
//!
//! A number counts until `forget_after_ms` has passed, in whole days (UTC), since its last event
//! arrived; `forget_unused_after_ms` while no event has come to the order by it. That depends on
//! arrivals alone, never on whether the record is gone by then. So records leave when there is time
//! for it, some at each advance of the watermark, and never all of a midnight at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::crowd::Crowd;
use super::days::{Days, LOOKED_AT_ONCE};
use super::mapping::{HEAD_BYTES, Mapping, pack, unpack};
use super::meaning::{Limits, Question};
use super::queue::{Queue, Registration};
use super::table::{Hash, NumberTable, hash_of, place_of};
use crate::fault::{Fault, guarded};
use crate::instants::day_of;
use crate::msgpack::Reader;

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No order has the number at the event's time: the event waits.
    Unknown,
    /// More than `max_orders` orders have it at the event's arrival.
    Ambiguous,
    /// The event is for these orders, sorted; `is_news` if what waits for the number is to be
    /// answered again.
    Orders {
        /// Ids of orders.
        orders: Vec<String>,
        /// The number can mean more than before.
        is_news: bool,
    },
}

/// What came of registrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// The instant (ms) after which it ended, and the numbers of that instant for which something
    /// waits, sorted. None: everything is registered.
    pub ended: Option<(i64, Vec<String>)>,
    /// Numbers that stayed unregistered, and why.
    pub faults: Vec<(String, Fault)>,
}

/// Numbers of one shard.
#[derive(Debug)]
pub struct Numbers {
    limits: Limits,
    queue: Queue,
    table: NumberTable,
    crowds: HashMap<Hash, Crowd>, // none of them is in the table
    days: Days,
    changed: HashSet<Hash>,            // whose whole record the next delta has
    came: usize,                       // since numbers were last examined
    unreadable: Vec<(String, String)>, // name, reason
    most_orders: usize,
}

impl Numbers {
    /// Create an empty set.
    pub fn new(limits: Limits) -> Self {
        Numbers {
            limits,
            queue: Queue::default(),
            table: NumberTable::default(),
            crowds: HashMap::new(),
            days: Days::default(),
            changed: HashSet::new(),
            came: 0,
            unreadable: Vec::new(),
            most_orders: 0,
        }
    }

    /// How many numbers are known.
    pub fn len(&self) -> usize {
        self.table.len() + self.crowds.len()
    }

    /// Return true without any number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most orders that a number was seen with.
    pub fn most_orders(&self) -> usize {
        self.most_orders
    }

    /// Hold registrations until `register_through` has reached their arrival.
    pub fn offer(&mut self, registrations: &[Arc<Registration>]) {
        self.queue.put(registrations);
    }

    /// Arrival (ms) of the first registration that is held; None without any.
    pub fn next_arrival(&mut self) -> Option<i64> {
        self.queue.peek().map(|next| next.arrival_at)
    }

    /// Register what is held and arrived up to `through` ms, in the order of arrival.
    ///
    /// Ends early after the first instant with a number for which something `waits`: that is to be
    /// answered by what had arrived by then.
    ///
    /// # Errors
    /// What `waits` raises.
    pub fn register_through<E>(
        &mut self,
        through: i64,
        waits: impl Fn(&str) -> Result<bool, E>,
    ) -> Result<Registered, E> {
        let (mut awaited, mut faults) = (BTreeSet::new(), Vec::new());
        let mut last = through;
        while let Some(each) = self.queue.next(last) {
            let Registration { arrival_at, number, order, carrier, at } = &*each;
            if waits(number)? {
                last = *arrival_at;
                awaited.insert(number.clone());
            }
            if let Err(fault) = guarded(|| self.register(number, order, carrier, *at, *arrival_at))
            {
                faults.push((number.clone(), fault));
            }
        }
        let ended = (!awaited.is_empty()).then(|| (last, awaited.into_iter().collect()));
        Ok(Registered { ended, faults })
    }

    /// Register an order of a number: by an event of time `at` that arrived at `arrival_at`.
    ///
    /// # Errors
    /// The number's record is damaged, an instant is out of range, or a text too long; the number
    /// stays as it was.
    pub fn register(
        &mut self,
        number: &str,
        order: &str,
        carrier: &str,
        at: i64,
        arrival_at: i64,
    ) -> Result<(), Fault> {
        let key = hash_of(number);
        let more = Mapping::registered(order, carrier, at, arrival_at)?;
        let orders = if let Some(crowd) = self.crowds.get_mut(&key) {
            let Some(now) = self.limits.joined(&unpack(crowd.of_order(order))?, more) else {
                return Ok(());
            };
            crowd.put(order, pack(&now)?);
            crowd.len()
        } else {
            let Some(now) = self.limits.joined(&unpack(self.table.get(&key))?, more) else {
                return Ok(());
            };
            let (orders, record) = (now.len(), pack(&now)?);
            self.put(key, &record);
            orders
        };
        self.most_orders = self.most_orders.max(orders);
        Ok(())
    }

    /// Answer a question whose event is given to its orders at `given_at`.
    ///
    /// # Errors
    /// As of `register`.
    pub fn answer(&mut self, asked: &Question, given_at: i64) -> Result<Answer, Fault> {
        let key = hash_of(asked.number);
        if self.is_ambiguous(&key, asked.arrival_at)? {
            return Ok(Answer::Ambiguous);
        }
        let known = self.mappings(&key)?;
        let found = self.limits.find(&known, asked);
        if found.is_empty() {
            return Ok(Answer::Unknown);
        }
        let orders: Vec<String> = found.iter().map(|mapping| mapping.order.to_owned()).collect();
        let now = self.limits.used(&known, &found, asked.at, given_at)?;
        let is_news = now != known;
        if is_news && self.crowds.contains_key(&key) {
            let of_order = |order: &String| {
                let theirs: Vec<Mapping> =
                    now.iter().copied().filter(|one| one.order == order).collect();
                pack(&theirs)
            };
            let records = orders.iter().map(of_order).collect::<Result<Vec<_>, _>>()?;
            let crowd = self.crowds.entry(key).or_default();
            orders.iter().zip(records).for_each(|(order, record)| crowd.put(order, record));
        } else if is_news {
            let record = pack(&now)?;
            self.put(key, &record);
        }
        Ok(Answer::Orders { orders, is_news })
    }

    /// Return true if more orders than allowed have the number for an event that arrives then.
    ///
    /// By arrivals alone, so the sequence of reading doesn't matter: a placeholder that stands for
    /// "none" at thousands of orders means none of them.
    fn is_ambiguous(&self, key: &Hash, arrival_at: i64) -> Result<bool, Fault> {
        let most = self.limits.max_orders;
        let is_known = |one: &Mapping| self.limits.is_known_at(one, arrival_at);
        let Some(crowd) = self.crowds.get(key) else {
            let record = self.table.get(key);
            if record.len() <= most * HEAD_BYTES {
                return Ok(false); // as most have one
            }
            let mappings = unpack(record)?;
            let orders = mappings.iter().filter(|one| is_known(one)).map(|one| one.order);
            return Ok(orders.collect::<HashSet<_>>().len() > most);
        };
        let mut orders = 0;
        for record in crowd.records() {
            orders += usize::from(unpack(record)?.iter().any(is_known));
            if orders > most {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The orders of a number, by first arrival.
    ///
    /// # Errors
    /// `Damaged`: its record can't be decoded.
    pub fn mappings(&self, key: &Hash) -> Result<Vec<Mapping<'_>>, Fault> {
        match self.crowds.get(key) {
            Some(crowd) => crowd.mappings(),
            None => unpack(self.table.get(key)),
        }
    }

    /// Forget orders of some numbers whose day has come by `watermark`.
    pub fn forget(&mut self, watermark: i64) {
        let before = day_of(watermark);
        let places = self.days.take_before(before, LOOKED_AT_ONCE + 2 * self.came);
        self.came = 0;
        if places.is_empty() {
            return;
        }
        let mut crowds: HashMap<u32, Vec<Hash>> = HashMap::new();
        for key in self.crowds.keys() {
            crowds.entry(place_of(key)).or_default().push(*key);
        }
        for place in places {
            let of_table = self.table.at(place).map(|(key, _)| key);
            let of_crowds = crowds.get(&place).into_iter().flatten().copied();
            let keys: Vec<Hash> = of_table.chain(of_crowds).collect();
            let next = keys.into_iter().filter_map(|key| self.look_at(key, before));
            if let Some(day) = next.min() {
                self.days.note(day, place);
            }
        }
    }

    /// Forget the orders of a number that don't count any more on a day; the next day to look at it.
    fn look_at(&mut self, key: Hash, before: i64) -> Option<i64> {
        let looked = self.mappings(&key).and_then(|known| {
            let counts = |one: &Mapping| self.limits.last_day(one) >= before;
            let kept: Vec<Mapping> = known.iter().copied().filter(counts).collect();
            let day = kept.iter().map(|one| self.limits.look_on(one, before)).min();
            let record = if kept.len() < known.len() { Some(pack(&kept)?) } else { None };
            Ok((day, record))
        });
        match looked {
            Ok((day, record)) => {
                if let Some(record) = record {
                    self.put(key, &record);
                }
                day
            }
            Err(fault) => {
                self.unreadable.push((hex(&key), fault.to_string())); // it is kept, and not examined again
                None
            }
        }
    }

    /// Take the numbers that could not be read since the last call: (hash, or how many are missing;
    /// reason).
    pub fn take_unreadable(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.unreadable)
    }

    fn put(&mut self, key: Hash, record: &[u8]) {
        self.take(key, record);
        self.changed.insert(key);
    }

    /// Replace the record of a number, an empty one forgets it; a new number is put on its day.
    pub fn take(&mut self, key: Hash, record: &[u8]) {
        let was_crowd = self.crowds.remove(&key).is_some();
        let crowd = (record.len() > self.limits.crowd_bytes).then(|| Crowd::of(record));
        let is_new = if let Some(Ok(crowd)) = crowd {
            let was_small = !self.table.get(&key).is_empty();
            self.table.put(&key, &[]);
            self.crowds.insert(key, crowd);
            !was_small
        } else {
            self.table.put(&key, record) // a damaged one too: it is kept
        };
        if is_new && !was_crowd {
            self.look_into(key);
        }
    }

    /// Replace the mappings of some orders of a crowd, a record of them; one that can't be read
    /// changes nothing.
    pub fn join(&mut self, key: Hash, record: &[u8]) {
        if let Err(fault) = self.join_whole(key, record) {
            self.unreadable.push((hex(&key), fault.to_string()));
        }
    }

    fn join_whole(&mut self, key: Hash, record: &[u8]) -> Result<(), Fault> {
        if let Some(crowd) = self.crowds.get_mut(&key) {
            return crowd.join(record);
        }
        let known = self.table.get(&key);
        let is_new = known.is_empty();
        let mut crowd = Crowd::of(known)?;
        crowd.join(record)?;
        self.table.put(&key, &[]);
        self.crowds.insert(key, crowd);
        if is_new {
            self.look_into(key);
        }
        Ok(())
    }

    /// Put a new number on its day; one that can't be read is kept, and not examined.
    fn look_into(&mut self, key: Hash) {
        self.came += 1;
        let day = self
            .mappings(&key)
            .map(|known| known.iter().map(|one| self.limits.look_on(one, 0)).min());
        match day {
            Ok(Some(day)) => self.days.note(day, place_of(&key)),
            Ok(None) => {}
            Err(fault) => self.unreadable.push((hex(&key), fault.to_string())),
        }
    }

    /// Return true if there is anything for a delta.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
            || self.queue.has_changed()
            || self.crowds.values().any(Crowd::has_changed)
    }

    /// The registrations that are held, packed: of every snapshot.
    pub fn held(&self) -> Vec<u8> {
        self.queue.packed()
    }

    /// Replace the registrations that are held by those of a snapshot.
    ///
    /// # Errors
    /// `Damaged`: they can't be decoded; nothing is replaced.
    pub fn hold(&mut self, packed: &[u8]) -> Result<(), Fault> {
        let held = Reader::new(packed).all(|from| Registration::read(from).map(Arc::new))?;
        self.queue = Queue::default();
        self.queue.put(&held);
        self.queue.settle();
        Ok(())
    }

    /// The table of all numbers but the crowds: of a base.
    pub fn table(&self) -> &NumberTable {
        &self.table
    }

    /// The calendar of forgetting: of a base.
    pub fn days(&self) -> impl Iterator<Item = (i64, &[u32])> {
        self.days.iter()
    }

    /// The crowds' whole records: of a base.
    ///
    /// # Errors
    /// None, unless a record in memory is damaged.
    pub fn crowds(&self) -> Result<Vec<(Hash, Vec<u8>)>, Fault> {
        let whole = |(key, crowd): (&Hash, &Crowd)| Ok((*key, pack(&crowd.mappings()?)?));
        self.crowds.iter().map(whole).collect::<Result<_, _>>().map(sorted)
    }

    /// The whole records of the numbers that changed since the last snapshot, empty for those that
    /// were forgotten: of a delta.
    ///
    /// # Errors
    /// As of `crowds`.
    pub fn changed(&self) -> Result<Vec<(Hash, Vec<u8>)>, Fault> {
        let record = |key: &Hash| match self.crowds.get(key) {
            Some(crowd) => pack(&crowd.mappings()?),
            None => Ok(self.table.get(key).to_vec()),
        };
        let changed = self.changed.iter().map(|key| Ok((*key, record(key)?)));
        changed.collect::<Result<_, _>>().map(sorted)
    }

    /// The crowds' orders that changed since the last snapshot: of a delta.
    pub fn changed_orders(&self) -> Vec<(Hash, Vec<u8>)> {
        let is_part =
            |key: &Hash, crowd: &Crowd| crowd.has_changed() && !self.changed.contains(key);
        let parts = self.crowds.iter().filter(|(key, crowd)| is_part(key, crowd));
        sorted(parts.map(|(key, crowd)| (*key, crowd.delta())).collect())
    }

    /// Note that a snapshot was made.
    pub fn settle(&mut self) {
        self.changed = HashSet::new(); // its room too: a restart changes millions
        self.queue.settle();
        self.crowds.values_mut().for_each(Crowd::settle);
    }

    /// Take the numbers of a base: its pages with `count` numbers, days and crowds.
    ///
    /// Those that a damaged page has lost are unreadable.
    pub fn restore(
        &mut self,
        pages: Vec<Vec<u8>>,
        count: usize,
        days: impl IntoIterator<Item = (i64, Vec<u32>)>,
        crowds: &[(Hash, &[u8])],
    ) {
        let (table, days) = (NumberTable::of(pages), days.into_iter().collect());
        *self = Numbers { table, days, ..Numbers::new(self.limits) };
        let held = self.table.len();
        if held != count {
            let reason = format!(
                "a base of {count} numbers holds {held}; events that name only one of those \
                 missing wait until it is registered again, seven days at most"
            );
            let missing = format!("{} of a damaged page", held.abs_diff(count));
            self.unreadable.push((missing, reason));
        }
        for (key, record) in crowds {
            match Crowd::of(record) {
                Ok(crowd) => drop(self.crowds.insert(*key, crowd)),
                Err(fault) => {
                    self.table.put(key, record); // it is kept
                    self.unreadable.push((hex(key), fault.to_string()));
                }
            }
        }
    }
}

/// By hash, so that the same events give the same bytes.
fn sorted(mut records: Vec<(Hash, Vec<u8>)>) -> Vec<(Hash, Vec<u8>)> {
    records.sort_unstable_by_key(|(key, _)| *key);
    records
}

fn hex(key: &Hash) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
