//! Order-level fields, read from the entries that carry them: the last of the walk wins.

use std::cell::OnceCell;

use crate::lifecycle::Lifecycle;
use crate::msgpack::Raw;
use crate::normal_form::as_kind;
use crate::order::extras::{CAME_BY, CORRECTED_HASH, LOST, SENT_AT};
use crate::order::walk::walk;
use crate::order::{Fields, NO_ENTRY, Order, flags, marks};

/// What an entry's extras hold that no document shows.
const NOT_SHOWN: [&str; 5] = [CORRECTED_HASH, CAME_BY, SENT_AT, LOST, "replaces"];

/// All order-level fields of an order; `attributes`, `planned` and `references` are united.
#[derive(Clone, Debug, Default)]
pub struct OrderFields<'a> {
    plain: Vec<(&'a str, Raw<'a>)>,
    /// Attributes by name.
    pub attributes: Vec<(&'a str, Raw<'a>)>,
    /// Planned instants by status.
    pub planned: Vec<(&'a str, Raw<'a>)>,
    /// Foreign numbers by kind, each as it was written first, sorted.
    pub references: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> OrderFields<'a> {
    /// The value of a field that is not united.
    pub fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.plain.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Unite the fields of an entry, but for its numbers, with those before; false if some of them
    /// are not shown.
    fn unite(&mut self, fields: &'a Fields) -> bool {
        let mut is_whole = true;
        for (name, value) in fields.iter() {
            match name {
                "attributes" => {
                    value.map().texts().for_each(|each| set(&mut self.attributes, each))
                }
                "planned" => value.map().texts().for_each(|each| set(&mut self.planned, each)),
                "references" => {}
                name if NOT_SHOWN.contains(&name) => is_whole = false,
                _ => set(&mut self.plain, (name, value)),
            }
        }
        is_whole
    }
}

/// A kind of foreign numbers, and of each number its normal form and how it was written first.
type Numbers<'a> = (&'a str, Vec<(String, &'a str)>);

/// The fields that count of an order with one entry that has extras, without its walk; None where it
/// has more, or entries that don't count.
fn only<'a>(order: &'a Order, table: &Lifecycle) -> Option<Option<&'a Fields>> {
    let [only] = order.extras.as_slice() else { return None };
    if order.has(flags::HAS_HIDDEN | flags::HAS_CORRECTIONS) || order.course.life != NO_ENTRY {
        return None;
    }
    let entry = order.entry(only.entry);
    let counts = !entry.has(marks::REFUSED) && !table[entry.status].is_note;
    Some((counts && entry.has(marks::HAS_FIELDS)).then_some(&only.fields))
}

/// The fields of the entries that carry some, in the order of the walk.
fn carrying<'a>(order: &'a Order, table: &Lifecycle) -> impl Iterator<Item = &'a Fields> {
    let entries = walk(order, table).iter().filter(|entry| entry.has(marks::HAS_FIELDS));
    entries.filter_map(|entry| order.extras_of(entry.number))
}

/// All order-level fields.
pub fn fields_of<'a>(order: &'a Order, table: &Lifecycle) -> OrderFields<'a> {
    let mut united = OrderFields::default();
    if order.extras.is_empty() {
        return united;
    }
    let (only, several) = (only(order, table), OnceCell::new());
    let carried = match &only {
        Some(only) => only.as_slice(),
        None => several.get_or_init(|| carrying(order, table).collect::<Vec<_>>()),
    };
    let mut is_whole = true;
    for fields in carried {
        is_whole &= united.unite(fields);
    }
    if let ([only], true) = (carried, is_whole) {
        // The usual case: the order's creation says it all, and is shown as it came.
        united.references = as_sent(only);
        return united;
    }
    let mut numbers = Vec::new();
    for references in carried.iter().filter_map(|fields| fields.get("references")) {
        references.map().texts().for_each(|each| add(&mut numbers, each));
    }
    united.references = numbers
        .into_iter()
        .map(|(kind, held)| {
            let mut written: Vec<_> = held.into_iter().map(|(_, number)| number).collect();
            written.sort_unstable();
            (kind, written)
        })
        .collect();
    united
}

/// Foreign numbers of one entry, as it has them.
fn as_sent(fields: &Fields) -> Vec<(&str, Vec<&str>)> {
    let references = fields.get("references");
    let kinds = references.iter().flat_map(|kinds| kinds.map().texts());
    kinds
        .map(|(kind, numbers)| (kind, numbers.list().iter().filter_map(Raw::text).collect()))
        .collect()
}

/// The order's attributes, by name.
pub fn attributes_of<'a>(order: &'a Order, table: &Lifecycle) -> Vec<(&'a str, Raw<'a>)> {
    if !order.extras.iter().any(|extras| extras.fields.has("attributes")) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for fields in carrying(order, table) {
        let attributes = fields.get("attributes");
        let each = attributes.iter().flat_map(|attributes| attributes.map().texts());
        each.for_each(|each| set(&mut found, each));
    }
    found
}

/// Set a name's value; a new name comes last.
fn set<'a>(held: &mut Vec<(&'a str, Raw<'a>)>, (name, value): (&'a str, Raw<'a>)) {
    match held.iter_mut().find(|(known, _)| *known == name) {
        Some(known) => known.1 = value,
        None => held.push((name, value)),
    }
}

/// Add foreign numbers to those that are known, each once, as it was written first.
fn add<'a>(held: &mut Vec<Numbers<'a>>, (kind, numbers): (&'a str, Raw<'a>)) {
    let place = held.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
        held.push((kind, Vec::new()));
        held.len() - 1
    });
    let known = &mut held[place].1;
    for number in numbers.list().iter().filter_map(Raw::text) {
        let normal = as_kind(kind, number);
        if !known.iter().any(|(each, _)| *each == normal) {
            known.push((normal.into_owned(), number));
        }
    }
}
