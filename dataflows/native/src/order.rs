//! A packed order (dataflows/core/packing.py has the layout), read and written.

use crate::msgpack::{
    Reader, Unusual, Usual, write_array, write_bytes_head, write_int, write_map, write_str,
};

pub const FORMAT: u8 = 2;
pub const FIELDS: u8 = 18;
pub const NO_STATUS: u8 = 255;
pub const UNSEEN: u8 = 254;
pub const MAX_ENTRIES: usize = 2_000;
pub const MAX_SHIPMENTS: usize = 250;
pub const NO_ENTRY: i64 = -1;
const ENTRY_BYTES: usize = 24;
/// Where the armed deadline lies, as a 64-bit number with this marker.
pub const ARMED_FROM: usize = 4;
pub const UINT64: u8 = 0xcf;

pub const REFUSED: u64 = 1; // marks of an entry
pub const HAS_FIELDS: u64 = 4;

pub const EMBRYO: i64 = 1; // flags
pub const IRREGULAR: i64 = 2;
pub const OUT_OF_SEQUENCE: i64 = 4;
pub const CONFLICTING: i64 = 8;
/// Of these (embryo, irregular, out of sequence) an order may have some and still be usual.
const USUAL_FLAGS: i64 = EMBRYO | IRREGULAR | OUT_OF_SEQUENCE;

pub struct Parcel<'a> {
    pub name: &'a str,
    pub status: u8,
    pub updated_at: i64,
}

impl Parcel<'_> {
    pub fn see(&mut self) {
        if self.status == UNSEEN {
            self.status = NO_STATUS;
        }
    }
}

/// What is known of a parcel besides: (entry, carrier), (entry, location), readings.
#[derive(Default, Clone, Copy)]
pub struct Side<'a> {
    pub carrier: Option<(i64, &'a str)>,
    pub location: Option<(i64, &'a [u8])>,
    pub readings: Option<&'a [u8]>,
}

/// An open alert, as far as it is looked at here.
pub struct Open {
    pub rule: i64,
    pub level: usize,
    pub parcel: i64,
}

#[derive(Default)]
pub struct Order<'a> {
    pub armed_at: i64,
    pub status: u8,
    pub flags: i64,
    pub version: i64,
    pub latest_entry: i64,
    pub created_entry: i64,
    pub latest: i64,
    pub created_at: i64,
    pub promised_at: i64,
    pub ship_by: i64,
    pub period: i64,
    pub parcels: Vec<Parcel<'a>>,
    pub derived: Vec<(u8, i64)>,
    pub firsts: Vec<(u8, i64)>,
    pub alerts: Vec<Open>,
    pub done: Vec<(i64, i64, i64)>,
    pub extras: Option<(i64, &'a [u8])>,
    pub sides: Vec<Option<Side<'a>>>,
    pub history: &'a [u8],
    /// The entry that this step adds.
    pub added: [u64; 3],
    pub entries: usize,
}

impl<'a> Order<'a> {
    pub fn new() -> Self {
        Order {
            status: NO_STATUS,
            flags: EMBRYO,
            latest_entry: NO_ENTRY,
            created_entry: NO_ENTRY,
            ..Default::default()
        }
    }

    /// An order to be worked on: those with open alerts, or with flags that aren't usual, are not.
    pub fn read(data: &'a [u8]) -> Usual<Self> {
        let order = Order::read_any(data)?;
        if order.flags & !USUAL_FLAGS != 0 || !order.alerts.is_empty() {
            return Err(Unusual);
        }
        Ok(order)
    }

    /// An order to be shown: those with missed deadlines, corrections or events of the engine's own
    /// are unusual.
    pub fn read_any(data: &'a [u8]) -> Usual<Self> {
        let mut from = Reader::new(data);
        if from.array()? != usize::from(FIELDS) || from.small()? != FORMAT {
            return Err(Unusual);
        }
        let mut order = Order {
            armed_at: from.int()?,
            status: from.small()?,
            flags: from.int()?,
            version: from.int()?,
            latest_entry: from.int()?,
            created_entry: from.int()?,
            promised_at: from.int()?,
            ship_by: from.int()?,
            period: from.int()?,
            ..Default::default()
        };
        if order.flags & !(USUAL_FLAGS | CONFLICTING) != 0 {
            return Err(Unusual);
        }
        for _ in 0..from.array()? {
            from.array()?;
            let (name, status, updated_at) = (from.str()?, from.small()?, from.int()?);
            order.parcels.push(Parcel {
                name,
                status,
                updated_at,
            });
        }
        for _ in 0..from.array()? {
            from.array()?;
            order.derived.push((from.small()?, from.int()?));
        }
        for _ in 0..from.map()? {
            order.firsts.push((from.small()?, from.int()?));
        }
        for _ in 0..from.array()? {
            from.array()?;
            let (rule, packed, parcel) = (from.int()?, from.int()?, from.int()?);
            let (_anchor, _opened_at) = (from.int()?, from.int()?);
            let level = (packed & 0xf) as usize;
            order.alerts.push(Open {
                rule,
                level,
                parcel,
            });
        }
        for _ in 0..from.array()? {
            from.array()?;
            order.done.push((from.int()?, from.int()?, from.int()?));
        }
        match from.map()? {
            0 => {}
            1 => order.extras = Some((from.int()?, from.raw()?)),
            _ => return Err(Unusual),
        }
        for _ in 0..from.array()? {
            order.sides.push(read_side(&mut from)?);
        }
        order.history = from.bytes()?;
        order.entries = order.history.len() / ENTRY_BYTES;
        if order.latest_entry != NO_ENTRY {
            order.latest = (order.word(order.latest_entry, 0)? >> 14) as i64;
        }
        if order.created_entry != NO_ENTRY {
            order.created_at = order.at(order.created_entry)?;
        }
        match order.extras {
            // What a refused command said counts for nothing.
            Some((entry, _)) if order.word(entry, 0)? & REFUSED != 0 => Err(Unusual),
            _ => Ok(order),
        }
    }

    /// Take the last entry for the one that was just added. Gives its arrival.
    pub fn reopen(&mut self) -> Usual<i64> {
        let last = self.entries.checked_sub(1).ok_or(Unusual)?;
        for word in 0..3 {
            self.added[word] = self.word(last as i64, word)?;
        }
        self.history = &self.history[..last * ENTRY_BYTES];
        self.entries = last;
        Ok((self.added[1] >> 22) as i64)
    }

    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.history.len() + 512);
        out.extend_from_slice(&[0xdc, 0, FIELDS, FORMAT, UINT64]);
        out.extend_from_slice(&self.armed_at.to_be_bytes()); // always 8 bytes: it is overwritten
        for number in [
            i64::from(self.status),
            self.flags,
            self.version,
            self.latest_entry,
            self.created_entry,
            self.promised_at,
            self.ship_by,
            self.period,
        ] {
            write_int(&mut out, number);
        }
        write_array(&mut out, self.parcels.len());
        for parcel in &self.parcels {
            write_array(&mut out, 3);
            write_str(&mut out, parcel.name);
            write_int(&mut out, i64::from(parcel.status));
            write_int(&mut out, parcel.updated_at);
        }
        write_array(&mut out, self.derived.len());
        for &(status, entry) in &self.derived {
            write_array(&mut out, 2);
            write_int(&mut out, i64::from(status));
            write_int(&mut out, entry);
        }
        write_map(&mut out, self.firsts.len());
        for &(status, entry) in &self.firsts {
            write_int(&mut out, i64::from(status));
            write_int(&mut out, entry);
        }
        write_array(&mut out, 0); // alerts
        write_array(&mut out, self.done.len());
        for &(rule, shipment, entry) in &self.done {
            write_array(&mut out, 3);
            write_int(&mut out, rule);
            write_int(&mut out, shipment);
            write_int(&mut out, entry);
        }
        write_map(&mut out, usize::from(self.extras.is_some()));
        if let Some((entry, fields)) = self.extras {
            write_int(&mut out, entry);
            out.extend_from_slice(fields);
        }
        write_array(&mut out, self.sides.len());
        for side in &self.sides {
            write_side(&mut out, side.as_ref());
        }
        write_bytes_head(&mut out, self.history.len() + ENTRY_BYTES);
        out.extend_from_slice(self.history);
        for word in self.added {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// A word of an entry of the history: 0 time, status, parcel, marks; 1 arrival, source; 2 hash.
    pub fn word(&self, entry: i64, word: usize) -> Usual<u64> {
        let entry = usize::try_from(entry).map_err(|_| Unusual)?;
        if entry == self.entries {
            return Ok(self.added[word]);
        }
        let at = entry * ENTRY_BYTES + word * 8;
        let bytes = self.history.get(at..at + 8).ok_or(Unusual)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| Unusual)?))
    }

    pub fn at(&self, entry: i64) -> Usual<i64> {
        Ok((self.word(entry, 0)? >> 22) as i64)
    }

    pub fn holds(&self, event_hash: u64) -> bool {
        let hash = event_hash.to_le_bytes();
        self.history
            .chunks_exact(ENTRY_BYTES)
            .any(|entry| entry[16..] == hash)
    }

    pub fn first(&self, status: u8) -> Option<i64> {
        self.firsts
            .iter()
            .find(|first| first.0 == status)
            .map(|first| first.1)
    }

    pub fn reach(&mut self, status: u8, entry: i64) {
        if self.first(status).is_none() {
            self.firsts.push((status, entry));
        }
    }

    /// The number of a parcel, a new one if it is new.
    pub fn number(&mut self, name: &'a str) -> usize {
        if let Some(number) = self.parcels.iter().position(|parcel| parcel.name == name) {
            return number;
        }
        self.parcels.push(Parcel {
            name,
            status: UNSEEN,
            updated_at: 0,
        });
        self.parcels.len() - 1
    }

    pub fn side(&self, number: usize) -> Side<'a> {
        self.sides
            .get(number)
            .copied()
            .flatten()
            .unwrap_or_default()
    }
}

fn read_side<'a>(from: &mut Reader<'a>) -> Usual<Option<Side<'a>>> {
    let raw = from.raw()?;
    if raw == [0xc0] {
        return Ok(None);
    }
    let mut inner = Reader::new(raw);
    let mut side = Side::default();
    for _ in 0..inner.map()? {
        match inner.str()? {
            "c" => {
                inner.array()?;
                side.carrier = Some((inner.int()?, inner.str()?));
            }
            "l" => {
                inner.array()?;
                side.location = Some((inner.int()?, inner.raw()?));
            }
            "r" => side.readings = Some(inner.raw()?),
            _ => return Err(Unusual),
        }
    }
    Ok(Some(side))
}

fn write_side(out: &mut Vec<u8>, side: Option<&Side>) {
    let Some(side) = side else {
        out.push(0xc0);
        return;
    };
    let count = usize::from(side.carrier.is_some())
        + usize::from(side.location.is_some())
        + usize::from(side.readings.is_some());
    write_map(out, count);
    if let Some((entry, carrier)) = side.carrier {
        write_str(out, "c");
        write_array(out, 2);
        write_int(out, entry);
        write_str(out, carrier);
    }
    if let Some((entry, location)) = side.location {
        write_str(out, "l");
        write_array(out, 2);
        write_int(out, entry);
        out.extend_from_slice(location);
    }
    if let Some(readings) = side.readings {
        write_str(out, "r");
        out.extend_from_slice(readings);
    }
}
