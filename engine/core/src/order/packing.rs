//! An order as bytes: MessagePack, an array of 23 items whose second is the armed deadline.
//!
//! The history comes last: three little-endian 64-bit words an entry (`Words`).

use std::sync::Arc;

use crate::fault::Fault;
use crate::msgpack::{
    Reader, write_all, write_bool, write_bytes_head, write_hash, write_int, write_list, write_map,
    write_optional, write_text,
};
use crate::order::side::Side;
use crate::order::{
    Course, Done, Extras, Fields, First, MovedBy, NO_ENTRY, OpenAlert, Opening, Order, Parcel,
    Words,
};

/// Number of the format.
pub const FORMAT: u8 = 4;
const ITEMS: u8 = 23;
const HEAD: [u8; 4] = [0xDC, 0, ITEMS, FORMAT];
const ENTRY_BYTES: usize = 24;
/// Marker of the armed deadline, which has all its bytes: it is replaced in place.
const INT64: u8 = 0xD3;
const ARMED_AT: std::ops::Range<usize> = HEAD.len() + 1..HEAD.len() + 9;

/// The order as bytes.
pub fn pack(order: &Order) -> Vec<u8> {
    let mut out = Vec::new();
    pack_into(&mut out, order);
    out
}

/// Append the order as bytes.
pub fn pack_into(out: &mut Vec<u8>, order: &Order) {
    out.reserve(order.history.len() * ENTRY_BYTES + 512);
    out.extend_from_slice(&HEAD);
    out.push(INT64);
    out.extend_from_slice(&order.armed_at.to_be_bytes());
    write_int(out, order.status);
    write_int(out, order.flags);
    write_hash(out, order.version);
    write_int(out, order.latest_entry);
    write_int(out, order.created_entry);
    write_int(out, order.promised_at);
    write_int(out, order.ship_by);
    write_int(out, order.period);
    write_course(out, &order.course);
    write_all(out, &order.parcels, write_parcel);
    write_all(out, &order.names, |out, (shipment, waybill)| {
        write_list(out, 2);
        write_text(out, shipment);
        write_text(out, waybill);
    });
    write_all(out, &order.parcel_of, |out, parcel| write_int(out, *parcel));
    write_all(out, &order.derived, |out, moved| {
        write_list(out, 2);
        write_int(out, moved.status);
        write_int(out, moved.entry);
    });
    write_map(out, order.firsts.len());
    for first in &order.firsts {
        write_int(out, first.status);
        write_int(out, first.entry);
    }
    write_all(out, &order.alerts, write_alert);
    write_all(out, &order.done, |out, done| {
        write_list(out, 3);
        write_int(out, done.rule);
        write_int(out, done.parcel);
        write_int(out, done.anchor);
    });
    write_all(out, &order.openings, |out, opening| {
        write_list(out, 3);
        write_int(out, opening.rule);
        write_int(out, opening.parcel);
        write_int(out, opening.at);
    });
    write_map(out, order.extras.len());
    for extras in &order.extras {
        write_int(out, extras.entry);
        out.extend_from_slice(extras.fields.bytes());
    }
    write_all(out, &order.side, |out, side| {
        write_optional(out, side.as_ref(), |out, side| side.write(out));
    });
    write_bytes_head(out, order.thinned.len() * 8);
    order.thinned.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
    write_bytes_head(out, order.history.len() * ENTRY_BYTES);
    for word in order.history.iter().flatten() {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn write_course(out: &mut Vec<u8>, course: &Course) {
    write_list(out, 9);
    write_int(out, course.status_entry);
    write_bool(out, course.is_derived);
    write_bool(out, course.had_gone);
    write_int(out, course.derived);
    write_int(out, course.onward);
    write_int(out, course.expected);
    write_int(out, course.life);
    write_all(out, &course.partial, |out, entry| write_int(out, *entry));
    write_int(out, course.opened_by);
}

fn write_parcel(out: &mut Vec<u8>, parcel: &Parcel) {
    write_list(out, 7);
    write_text(out, &parcel.name);
    write_text(out, &parcel.spelling);
    write_int(out, parcel.status);
    write_int(out, parcel.updated_at);
    write_int(out, parcel.marks);
    write_int(out, parcel.ended_at);
    write_int(out, parcel.announced);
}

fn write_alert(out: &mut Vec<u8>, alert: &OpenAlert) {
    write_list(out, 10);
    write_int(out, alert.rule);
    write_int(out, alert.level);
    write_int(out, alert.deadline);
    write_bool(out, alert.is_flapping);
    write_int(out, alert.parcel);
    write_int(out, alert.anchor);
    write_int(out, alert.opened_at);
    write_int(out, alert.due_at);
    write_int(out, alert.escalated_at);
    write_int(out, alert.last_wanted_at);
}

/// The order that `pack` made into `data`. A fault is damage, or a format that is unknown.
pub fn unpack(key: impl Into<Arc<str>>, data: &[u8]) -> Result<Order, Fault> {
    let mut order = Order::new(key);
    unpack_into(&mut order, data)?;
    Ok(order)
}

/// Unpack into a renewed order, which keeps the room of its lists.
///
/// # Errors
/// See `unpack`; the order is of no use then.
pub fn unpack_into(order: &mut Order, data: &[u8]) -> Result<(), Fault> {
    if !data.starts_with(&HEAD) {
        let stored = data.get(HEAD.len() - 1).copied().unwrap_or(0);
        return Err(Fault::Format { key: order.key.to_string(), stored, read: FORMAT });
    }
    let mut from = Reader::new(data);
    from.list()?;
    from.int::<u8>()?;
    order.armed_at = from.int()?;
    order.status = from.int()?;
    order.flags = from.int()?;
    order.version = from.hash()?;
    order.latest_entry = from.int()?;
    order.created_entry = from.int()?;
    order.promised_at = from.int()?;
    order.ship_by = from.int()?;
    order.period = from.int()?;
    read_course(&mut from, &mut order.course)?;
    from.all_into(&mut order.parcels, read_parcel)?;
    from.all_into(&mut order.names, |from| {
        from.list_with(2)?;
        Ok((from.text()?.into(), from.text()?.into()))
    })?;
    from.all_into(&mut order.parcel_of, Reader::int)?;
    from.all_into(&mut order.derived, |from| {
        from.list_with(2)?;
        Ok(MovedBy { status: from.int()?, entry: from.int()? })
    })?;
    from.pairs_into(&mut order.firsts, |from| {
        Ok(First { status: from.int()?, entry: from.int()? })
    })?;
    from.all_into(&mut order.alerts, read_alert)?;
    from.all_into(&mut order.done, |from| {
        from.list_with(3)?;
        Ok(Done { rule: from.int()?, parcel: from.int()?, anchor: from.int()? })
    })?;
    from.all_into(&mut order.openings, |from| {
        from.list_with(3)?;
        Ok(Opening { rule: from.int()?, parcel: from.int()?, at: from.int()? })
    })?;
    from.pairs_into(&mut order.extras, |from| {
        Ok(Extras { entry: from.int()?, fields: Fields::read(from)? })
    })?;
    from.all_into(&mut order.side, |from| from.optional(Side::read))?;
    order.thinned.extend(words_of(from.bytes()?));
    read_history(&mut from, &mut order.history)?;
    complete(order, &from)
}

fn read_course(from: &mut Reader<'_>, course: &mut Course) -> Result<(), Fault> {
    from.list_with(9)?;
    course.status_entry = from.int()?;
    course.is_derived = from.bool()?;
    course.had_gone = from.bool()?;
    course.derived = from.int()?;
    course.onward = from.int()?;
    course.expected = from.int()?;
    course.life = from.int()?;
    from.all_into(&mut course.partial, Reader::int)?;
    course.opened_by = from.int()?;
    Ok(())
}

fn read_parcel(from: &mut Reader<'_>) -> Result<Parcel, Fault> {
    from.list_with(7)?;
    Ok(Parcel {
        name: from.text()?.into(),
        spelling: from.text()?.into(),
        status: from.int()?,
        updated_at: from.int()?,
        marks: from.int()?,
        ended_at: from.int()?,
        announced: from.int()?,
    })
}

fn read_alert(from: &mut Reader<'_>) -> Result<OpenAlert, Fault> {
    from.list_with(10)?;
    Ok(OpenAlert {
        rule: from.int()?,
        level: from.int()?,
        deadline: from.int()?,
        is_flapping: from.bool()?,
        parcel: from.int()?,
        anchor: from.int()?,
        opened_at: from.int()?,
        due_at: from.int()?,
        escalated_at: from.int()?,
        last_wanted_at: from.int()?,
    })
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
}

fn read_history(from: &mut Reader<'_>, history: &mut Vec<Words>) -> Result<(), Fault> {
    let bytes = from.bytes()?;
    if bytes.len() % ENTRY_BYTES != 0 {
        return Err(Fault::History(bytes.len()));
    }
    if !from.is_done() {
        return Err(from.damaged());
    }
    let entry = |bytes: &[u8]| -> Words {
        let mut words = words_of(bytes);
        std::array::from_fn(|_| words.next().expect("24 bytes"))
    };
    history.reserve(bytes.len() / ENTRY_BYTES + 1); // one more is to come
    history.extend(bytes.chunks_exact(ENTRY_BYTES).map(entry));
    Ok(())
}

/// Compute what is not stored.
fn complete(order: &mut Order, from: &Reader<'_>) -> Result<(), Fault> {
    let word = |entry: i32| -> Result<u64, Fault> {
        if entry == NO_ENTRY {
            return Ok(0);
        }
        let words = usize::try_from(entry).ok().and_then(|entry| order.history.get(entry));
        Ok(words.ok_or_else(|| from.damaged())?[0])
    };
    (order.latest, order.created_at) =
        (word(order.latest_entry)? >> 14, (word(order.created_entry)? >> 22) as i64);
    Ok(())
}

/// Replace the armed deadline of an order that `pack_into` has just packed.
pub fn arm(data: &mut [u8], armed_at: i64) {
    data[ARMED_AT].copy_from_slice(&armed_at.to_be_bytes());
}

/// The armed deadline of a packed order in ms, without reading the rest; 0 for none.
pub fn armed_at_of(data: &[u8]) -> Result<i64, Fault> {
    let rest = data.get(HEAD.len()..).unwrap_or_default();
    let mut from = Reader::new(rest);
    from.int()
}
