//! Side: what is known of a parcel besides its history: carrier, location and sensor readings.
//!
//! It is kept by the name that the entry wrote, since the parcel of a name may turn out to be
//! another; here what belongs to one parcel is put together. A correction does not take it back.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::msgpack::{
    Number, Reader, number_of, write_float, write_hash, write_int, write_list, write_map,
    write_text,
};
use crate::order::{Entry, Fields, Order, Text};

const CARRIER: &str = "c";
const LOCATION: &str = "l";
const READINGS: &str = "r";

/// What is known besides of the parcel of one name, as entries with this name said it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// (entry, carrier).
    pub carrier: Option<(i32, Text)>,
    /// (entry, [name, lat, lon, datum]) as msgpack.
    pub location: Option<(i32, Vec<u8>)>,
    /// Sensor readings by name, in the order of their first.
    pub readings: Vec<(String, Reading)>,
    /// The stored names of the three in the order in which they came first: kept for the bytes.
    order: [Option<&'static str>; 3],
}

/// A sensor reading, folded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The lowest value.
    pub min: Number,
    /// The highest value.
    pub max: Number,
    /// The last value.
    pub last: Number,
    /// The entry that read the last.
    pub entry: i32,
}

impl Side {
    /// Read a side as it is stored.
    ///
    /// # Errors
    /// The bytes are damaged.
    pub fn read(from: &mut Reader<'_>) -> Result<Side, Fault> {
        let mut side = Side::default();
        for _ in 0..from.map()? {
            match from.text()? {
                CARRIER => {
                    from.list_with(2)?;
                    side.carrier = Some((from.int()?, from.text()?.into()));
                    side.note(CARRIER);
                }
                LOCATION => {
                    from.list_with(2)?;
                    side.location = Some((from.int()?, from.raw()?.bytes().to_vec()));
                    side.note(LOCATION);
                }
                READINGS => {
                    for _ in 0..from.map()? {
                        let name = from.string()?;
                        side.readings.push((name, Reading::read(from)?));
                    }
                    side.note(READINGS);
                }
                _ => return Err(from.damaged()),
            }
        }
        Ok(side)
    }

    /// Append the side as it is stored.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_map(out, self.order.iter().flatten().count());
        for name in self.order.iter().flatten() {
            write_text(out, name);
            match (*name, &self.carrier, &self.location) {
                (CARRIER, Some((entry, carrier)), _) => {
                    write_list(out, 2);
                    write_int(out, *entry);
                    write_text(out, carrier);
                }
                (LOCATION, _, Some((entry, location))) => {
                    write_list(out, 2);
                    write_int(out, *entry);
                    out.extend_from_slice(location);
                }
                _ => {
                    write_map(out, self.readings.len());
                    for (name, reading) in &self.readings {
                        write_text(out, name);
                        reading.write(out);
                    }
                }
            }
        }
    }

    /// Return true if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.order == [None; 3]
    }

    /// Return true if there are readings.
    pub fn has_readings(&self) -> bool {
        self.order.contains(&Some(READINGS))
    }

    /// Take a carrier that an entry said, unless a later entry said another.
    fn take_carrier(&mut self, order: &Order, entry: i32, carrier: &str) {
        if self.carrier.as_ref().is_none_or(|known| is_later(order, entry, known.0)) {
            self.carrier = Some((entry, carrier.into()));
            self.note(CARRIER);
        }
    }

    /// Take a location that an entry said, unless a later entry said another.
    fn take_location(&mut self, order: &Order, entry: i32, location: &[u8]) {
        if self.location.as_ref().is_none_or(|known| is_later(order, entry, known.0)) {
            self.location = Some((entry, location.to_vec()));
            self.note(LOCATION);
        }
    }

    fn note(&mut self, name: &'static str) {
        if !self.order.contains(&Some(name)) {
            *self.order.iter_mut().find(|place| place.is_none()).expect("three names") = Some(name);
        }
    }
}

impl Reading {
    fn read(from: &mut Reader<'_>) -> Result<Reading, Fault> {
        from.list_with(4)?;
        let mut number = || number_of(from.value()?).ok_or_else(|| from.damaged());
        let (min, max, last) = (number()?, number()?, number()?);
        Ok(Reading { min, max, last, entry: from.int()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 4);
        for number in [self.min, self.max, self.last] {
            write_number(out, number);
        }
        write_int(out, self.entry);
    }

    /// This one with another of the same sensor; `is_later` where the other was read last.
    fn with(self, other: Reading, is_later: bool) -> Reading {
        let is = |one: Number, two: Number, order| one.compare(two) == Some(order);
        let later = if is_later { other } else { self };
        Reading {
            min: if is(other.min, self.min, Ordering::Less) { other.min } else { self.min },
            max: if is(other.max, self.max, Ordering::Greater) { other.max } else { self.max },
            ..later
        }
    }
}

/// Name the entries that said something by their new numbers; the last one before, if it went.
pub fn renumber(side: &mut Side, new: &[Option<i32>]) {
    let carrier = side.carrier.iter_mut().map(|(entry, _)| entry);
    let location = side.location.iter_mut().map(|(entry, _)| entry);
    let readings = side.readings.iter_mut().map(|(_, reading)| &mut reading.entry);
    carrier.chain(location).chain(readings).for_each(|entry| *entry = nearest(*entry, new));
}

/// The new number of an entry, or of the last one before it that stays.
fn nearest(entry: i32, new: &[Option<i32>]) -> i32 {
    (0..=entry).rev().find_map(|entry| *new.get(entry as usize)?).unwrap_or(0)
}

/// Append a number.
pub fn write_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Float(float) => write_float(out, float),
        Number::Int(whole) => match i64::try_from(whole) {
            Ok(whole) => write_int(out, whole),
            Err(_) => write_hash(out, whole as u64),
        },
    }
}

/// What is known of a parcel; None if nothing.
pub fn side_of(order: &Order, parcel: u8) -> Option<Cow<'_, Side>> {
    let mut sides = order.side.iter().enumerate().filter_map(|(name, side)| {
        let side = side.as_ref().filter(|side| !side.is_empty())?;
        (order.parcel_of.get(name) == Some(&parcel)).then_some(side)
    });
    let first = sides.next()?;
    let mut united = Cow::Borrowed(first);
    for side in sides {
        unite(order, united.to_mut(), side);
    }
    Some(united)
}

fn unite(order: &Order, held: &mut Side, more: &Side) {
    if let Some((entry, carrier)) = &more.carrier {
        held.take_carrier(order, *entry, carrier);
    }
    if let Some((entry, location)) = &more.location {
        held.take_location(order, *entry, location);
    }
    for (name, reading) in &more.readings {
        add_reading(order, held, name, *reading);
    }
}

fn add_reading(order: &Order, side: &mut Side, name: &str, more: Reading) {
    side.note(READINGS);
    match side.readings.iter_mut().find(|(known, _)| known == name) {
        Some((_, held)) => {
            let is_later = stamp(order, more.entry) >= stamp(order, held.entry);
            *held = held.with(more, is_later);
        }
        None => side.readings.push((name.to_owned(), more)),
    }
}

/// Return true if an entry comes after another one, by time and hash.
fn is_later(order: &Order, entry: i32, other: i32) -> bool {
    (order.at(entry), order.hash_of(entry)) >= (order.at(other), order.hash_of(other))
}

/// What readings are sorted by: as the walk is.
fn stamp(order: &Order, entry: i32) -> (i64, u8, String, i64, u64) {
    let entry = order.entry(entry);
    let name = order.sent_name(entry.name).into_owned();
    (entry.at, entry.status, name, entry.arrival_at, entry.hash)
}

/// Keep what a fact says of its parcel: the latest carrier and location, readings folded.
///
/// With each of them goes the number of the entry that said it, which is in the history.
///
/// # Errors
/// Something has another type than the door gives it.
pub fn keep_side(order: &mut Order, fact: &Fact, entry: &Entry) -> Result<(), Fault> {
    let number = usize::from(entry.name);
    if order.side.len() <= number {
        order.side.resize(number + 1, None);
    }
    let mut side = order.side[number].take().unwrap_or_default();
    let kept = keep(order, &mut side, fact, entry.number);
    order.side[number] = Some(side);
    kept
}

fn keep(order: &Order, side: &mut Side, fact: &Fact, entry: i32) -> Result<(), Fault> {
    let (mut carrier, mut location, mut readings) = (None, None, None);
    for (name, said) in fact.side.iter().flat_map(Fields::iter) {
        let place = match name {
            "carrier" => &mut carrier,
            "location" => &mut location,
            "readings" => &mut readings,
            _ => continue,
        };
        place.get_or_insert(said);
    }
    if let Some(carrier) = carrier {
        side.take_carrier(order, entry, carrier.text().ok_or(Fault::Kind("carrier"))?);
    }
    if let Some(location) = location {
        side.take_location(order, entry, location.bytes());
    }
    for (name, value) in readings.iter().flat_map(|readings| readings.map().texts()) {
        let value = number_of(value.value()).ok_or(Fault::Kind("readings"))?;
        let reading = Reading { min: value, max: value, last: value, entry };
        add_reading(order, side, name, reading);
    }
    Ok(())
}
