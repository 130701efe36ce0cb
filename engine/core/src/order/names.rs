//! Names of parcels: which entries speak of which parcel (docs/semantics.md, "Parcels and their
//! names").
//!
//! An entry names a parcel by a shipment, a waybill or both. Which parcel that is follows from all
//! entries that count: a shipment that was once named together with a waybill is that waybill's.

use std::borrow::Cow;
use std::rc::Rc;

use foldhash::{HashMap, HashSet};

use crate::msgpack::Raw;
use crate::normal_form::{WAYBILL_KINDS, as_kind, as_number, as_waybill};
use crate::order::Fields;

/// An entry of the walk, as far as names go: as written, and its fields.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// Its number.
    pub entry: i32,
    /// The shipment that it names; "" without.
    pub shipment: &'a str,
    /// The waybill that it names; "" without.
    pub waybill: &'a str,
    /// Its extras.
    pub fields: Option<&'a Fields>,
}

impl<'a> Named<'a> {
    /// The parcels that it announces, as written.
    pub fn announced(&self) -> impl Iterator<Item = &'a str> {
        announced(self.fields)
    }

    /// What its `replaces` names, as written; None without.
    pub fn replaces(&self) -> Option<&'a str> {
        self.fields?.get("replaces")?.text().filter(|name| !name.is_empty())
    }

    /// The parcels that it names or announces, in the normal form.
    fn successors(&self) -> HashSet<String> {
        let own = Some(self.waybill).filter(|waybill| !waybill.is_empty());
        own.into_iter().chain(self.announced()).map(|name| as_waybill(name).into_owned()).collect()
    }
}

/// The parcels that fields announce, as written: waybills first.
pub fn announced(fields: Option<&Fields>) -> impl Iterator<Item = &str> {
    let references = references_of(fields);
    WAYBILL_KINDS.iter().flat_map(move |kind| numbers_of(references, kind))
}

fn references_of(fields: Option<&Fields>) -> Option<Raw<'_>> {
    fields?.get("references")
}

/// The numbers of a kind, as written.
fn numbers_of<'a>(
    references: Option<Raw<'a>>,
    kind: &str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let numbers = references.and_then(|references| references.map().get(kind));
    numbers.into_iter().flat_map(|numbers| numbers.list().iter()).filter_map(Raw::text)
}

/// The entry that replaces a parcel, and the parcels that it names or announces.
struct Replacement {
    entry: i32,
    successors: Rc<HashSet<String>>,
}

/// What the entries of a walk say of parcels' names.
#[derive(Default)]
pub struct Names {
    joins: HashMap<String, Vec<String>>,
    replaced: HashMap<String, Replacement>,
    places: HashMap<i32, usize>,
    waybills: HashSet<String>,
    returns: HashSet<String>,
}

impl Names {
    /// Read the names of all entries of `walk`, in its order.
    pub fn of<'a>(walk: impl Iterator<Item = Named<'a>>) -> Names {
        let mut names = Names::default();
        let mut replacing: Vec<Named<'_>> = Vec::new();
        for (place, named) in walk.enumerate() {
            names.places.insert(named.entry, place);
            names.read(&named);
            replacing.extend(Some(named).filter(|named| named.replaces().is_some()));
        }
        for named in replacing {
            let successors = Rc::new(named.successors());
            for name in names.replaced_by(&named) {
                let by = Replacement { entry: named.entry, successors: Rc::clone(&successors) };
                names.replaced.insert(name, by);
            }
        }
        names
    }

    fn read(&mut self, named: &Named<'_>) {
        if !named.waybill.is_empty() {
            let waybill = as_waybill(named.waybill).into_owned();
            if !named.shipment.is_empty() {
                let joins = self.joins.entry(as_number(named.shipment).into_owned());
                joins.or_default().push(waybill.clone());
            }
            self.waybills.insert(waybill);
        }
        self.waybills.extend(named.announced().map(|name| as_waybill(name).into_owned()));
        let returning = numbers_of(references_of(named.fields), WAYBILL_KINDS[1]);
        self.returns.extend(returning.map(|name| as_waybill(name).into_owned()));
    }

    /// The parcels that the `replaces` of an entry may mean, by either name; not its own.
    pub fn replaced_by(&self, named: &Named<'_>) -> HashSet<String> {
        let Some(replaces) = named.replaces() else { return HashSet::default() };
        let shipment = as_number(replaces);
        let joined = self.joins.get(&*shipment).into_iter().flatten().cloned();
        let mut found: HashSet<String> = joined.collect();
        found.insert(as_waybill(replaces).into_owned());
        found.insert(shipment.into_owned());
        found.remove("");
        let own = named.successors();
        found.retain(|name| !own.contains(name));
        found
    }

    /// The normal form of the parcel that an entry names so; "" for the unnamed one.
    pub fn parcel<'a>(&'a self, shipment: &'a str, waybill: &'a str) -> Cow<'a, str> {
        if !waybill.is_empty() {
            return as_waybill(waybill);
        }
        let name = as_number(shipment);
        if name.is_empty() {
            return name;
        }
        if let Some(joins) = self.joins.get(&*name) {
            return Cow::Borrowed(self.joined(joins));
        }
        let short = as_waybill(&name);
        if self.waybills.contains(&*short) { Cow::Owned(short.into_owned()) } else { name }
    }

    /// The waybill of a shipment: the last one joined with it that another didn't replace.
    fn joined<'a>(&self, joins: &'a [String]) -> &'a str {
        let lasting = joins.iter().rev().find(|join| !self.is_replaced_by_one_of(join, joins));
        lasting.unwrap_or(&joins[joins.len() - 1])
    }

    fn is_replaced_by_one_of(&self, waybill: &String, waybills: &[String]) -> bool {
        self.replaced.get(waybill).is_some_and(|by| {
            waybills.iter().any(|other| other != waybill && by.successors.contains(other))
        })
    }

    /// Whether an entry names a parcel as one of its own for the way back.
    pub fn is_return(&self, name: &str) -> bool {
        self.returns.contains(name)
    }

    /// Whether a parcel that becomes known with `entry` had been replaced by then.
    pub fn is_replaced_before(&self, name: &str, entry: i32) -> bool {
        let by = self.replaced.get(name);
        by.is_some_and(|by| self.places[&by.entry] <= self.places[&entry])
    }
}

/// A number by which an event is resolved: kind and normal form; a return's waybill is a waybill.
pub type Number = (String, String);

/// All numbers that entries name.
pub fn numbers_named<'a>(named: impl Iterator<Item = Named<'a>>) -> HashSet<Number> {
    let mut found = HashSet::default();
    for one in named {
        if !one.waybill.is_empty() {
            found.insert((WAYBILL_KINDS[0].to_owned(), as_waybill(one.waybill).into_owned()));
        }
        let references = references_of(one.fields);
        for (kind, numbers) in references.into_iter().flat_map(|all| all.map().texts()) {
            let known = if WAYBILL_KINDS.contains(&kind) { WAYBILL_KINDS[0] } else { kind };
            for number in numbers.list().iter().filter_map(Raw::text) {
                found.insert((known.to_owned(), as_kind(kind, number).into_owned()));
            }
        }
    }
    found
}
