//! Limit on the order-level fields that an order holds; what doesn't fit is lost, never the event.
//!
//! Counted is what the events carry, in the order in which they are applied: by arrival, as the
//! limit on the history is. After the first field that doesn't fit all later ones are lost. So it
//! depends on the set of events alone, nothing has to be kept of what was lost, and a full order
//! costs no more than others. Without it four events of 400 kB made a document that no broker takes,
//! and 2,000 of them an order of 800 MB.

use crate::keys::short_hash;
use crate::msgpack::{Raw, write_hash, write_list, write_map, write_text};
use crate::order::extras::LOST;
use crate::order::{Fields, Order, flags};

const FAMILIES: [&str; 3] = ["references", "attributes", "planned"];
/// Of a number, a time, true, false or null; and beside the text of a reference.
const FIXED_BYTES: usize = 8;
/// Packed, no field is smaller than a fifth of what it counts as.
const PACKED_SHARE: usize = 5;

/// The fields of the next entry of an order as they fit; None where all do.
pub fn fitting(order: &Order, fields: &Fields, limit_bytes: usize) -> Option<Fields> {
    if !FAMILIES.iter().any(|family| fields.has(family)) {
        return None;
    }
    if order.has(flags::ORDER_FULL) {
        return Some(kept(fields, &[]));
    }
    if PACKED_SHARE * (packed_bytes(order) + fields.bytes().len()) <= limit_bytes {
        return None;
    }
    let held = order.extras.iter().flat_map(|extras| items(&extras.fields));
    let held_bytes: usize = held.map(|item| item.size_bytes).sum();
    let mut left_bytes = limit_bytes as i64 - held_bytes as i64;
    let items = items(fields);
    for (place, item) in items.iter().enumerate() {
        if item.size_bytes as i64 > left_bytes {
            return Some(kept(fields, &items[..place]));
        }
        left_bytes -= item.size_bytes as i64;
    }
    None
}

/// What is kept of the fields of a refused command, which nothing reads.
pub fn unread(fields: &Fields) -> Fields {
    let mut found = Fields::default();
    found.add(LOST, |out| write_hash(out, hash_of(Some(fields))));
    found
}

/// Hash of fields, to tell a duplicate of an event that lost some from a contradiction.
pub fn hash_of(fields: Option<&Fields>) -> u64 {
    let mut sorted = Vec::new();
    match fields {
        Some(fields) => fields.raw().write_sorted(&mut sorted),
        None => write_map(&mut sorted, 0),
    }
    short_hash(&sorted)
}

/// What counts of fields: a foreign number, an attribute or a planned instant.
struct Item<'a> {
    family: &'static str,
    name: &'a str,
    value: Raw<'a>,
    size_bytes: usize,
}

/// What counts: waybills first, as they announce parcels.
fn items(fields: &Fields) -> Vec<Item<'_>> {
    let mut found = Vec::new();
    let mut kinds = by_name(fields, "references");
    kinds.sort_by_key(|(kind, _)| (*kind != "waybill", *kind));
    for (kind, numbers) in kinds {
        for value in numbers.list().iter() {
            let size_bytes = value.text().map_or(0, str::len) + FIXED_BYTES;
            found.push(Item { family: "references", name: kind, value, size_bytes });
        }
    }
    for family in ["attributes", "planned"] {
        let mut named = by_name(fields, family);
        named.sort_by_key(|(name, _)| *name);
        for (name, value) in named {
            let size_bytes = name.len() + value.text().map_or(FIXED_BYTES, str::len);
            found.push(Item { family, name, value, size_bytes });
        }
    }
    found
}

fn by_name<'a>(fields: &'a Fields, family: &str) -> Vec<(&'a str, Raw<'a>)> {
    fields.get(family).iter().flat_map(|values| values.map().texts()).collect()
}

/// The fields without families, then the items that fit, then the hash of all.
fn kept(fields: &Fields, fitting: &[Item<'_>]) -> Fields {
    let mut found = Fields::default();
    for (name, value) in fields.iter().filter(|(name, _)| !FAMILIES.contains(name)) {
        found.add(name, |out| out.extend_from_slice(value.bytes()));
    }
    for family in FAMILIES {
        let items: Vec<_> = fitting.iter().filter(|item| item.family == family).collect();
        if !items.is_empty() {
            found.add(family, |out| write_family(out, family, &items));
        }
    }
    found.add(LOST, |out| write_hash(out, hash_of(Some(fields))));
    found
}

fn write_family(out: &mut Vec<u8>, family: &str, items: &[&Item<'_>]) {
    let groups: Vec<_> = items.chunk_by(|one, other| one.name == other.name).collect();
    write_map(out, groups.len());
    for group in groups {
        write_text(out, group[0].name);
        if family == "references" {
            write_list(out, group.len());
        }
        group.iter().for_each(|item| out.extend_from_slice(item.value.bytes()));
    }
}

/// Bytes of the packed extras: a map of entry numbers.
fn packed_bytes(order: &Order) -> usize {
    let head = |number: usize| match number {
        0..=0x7F => 1,
        0x80..=0xFF => 2,
        0x100..=0xFFFF => 3,
        _ => 5,
    };
    let map_bytes = if order.extras.len() <= 15 { 1 } else { 3 };
    let each = order.extras.iter();
    map_bytes + each.map(|one| head(one.entry as usize) + one.fields.bytes().len()).sum::<usize>()
}
