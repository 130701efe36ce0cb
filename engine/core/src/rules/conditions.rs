//! Conditions of rules, in CEL. They are evaluated outside this crate, by an `Evaluator`; verdicts
//! are remembered by what the condition reads.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use foldhash::HashMap;

use crate::fault::Fault;
use crate::keys::split_order_key;
use crate::lifecycle::Lifecycle;
use crate::msgpack::{Number, Raw};
use crate::order::Order;
use crate::order::fields::{attributes_of, fields_of};
use crate::order::side::{Reading, Side, side_of};

/// The most verdicts that are remembered; all are forgotten at once then.
const REMEMBERED: usize = 8_192;

/// A condition.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its text, on one line.
    pub text: String,
    /// It reads fields of the order, not its attributes alone.
    pub reads_fields: bool,
    /// The names that it reads of `order`; None where it may read any.
    pub of_order: Option<Vec<String>>,
    /// The names that it reads of `reading`; None where it may read any.
    pub of_reading: Option<Vec<String>>,
    /// Its verdict on an order without attributes and readings, where it reads these alone.
    pub of_nothing: Verdict,
}

/// Whether a condition is true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is.
    pub is_true: bool,
    /// Why it could not be evaluated; empty if it was.
    pub fault: String,
}

/// What a condition sees of an order and a parcel.
#[derive(Clone, Debug, Default)]
pub struct Seen<'a> {
    /// Fields of the order, only those that it has; the carrier as it was sent.
    pub fields: Vec<(&'static str, Cow<'a, str>)>,
    /// Attributes of the order; they hide fields of the same name.
    pub attributes: Vec<(&'a str, Raw<'a>)>,
    /// What is known of the parcel besides: its readings.
    pub side: Option<Cow<'a, Side>>,
}

impl Seen<'_> {
    /// Readings of the parcel by name.
    pub fn readings(&self) -> &[(String, Reading)] {
        self.side.as_ref().map_or(&[], |side| &side.readings)
    }
}

/// Evaluates conditions.
pub trait Evaluator: Send + Sync {
    /// The verdict of the condition of a rule, named by its index among the rules in force.
    ///
    /// # Errors
    /// The evaluation was interrupted; what a condition itself raises is part of the verdict.
    fn verdict(&self, rule: u16, seen: &Seen) -> Result<Verdict, Fault>;
}

/// An evaluator that remembers its verdicts.
pub struct Conditions {
    evaluator: Arc<dyn Evaluator>,
    remembered: RefCell<HashMap<Vec<u8>, Verdict>>,
}

impl std::fmt::Debug for Conditions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Conditions({} remembered)", self.remembered.borrow().len())
    }
}

impl Conditions {
    /// Create one that has evaluated nothing yet.
    pub fn new(evaluator: Arc<dyn Evaluator>) -> Self {
        Conditions { evaluator, remembered: RefCell::default() }
    }

    /// The verdict of the condition of a rule on an order and a parcel.
    ///
    /// # Errors
    /// As of `Evaluator::verdict`.
    pub fn verdict(
        &self,
        rule: u16,
        condition: &Condition,
        order: &Order,
        table: &Lifecycle,
        parcel: Option<u8>,
    ) -> Result<Verdict, Fault> {
        let seen = condition.seen(order, table, parcel);
        if seen.attributes.is_empty() && seen.readings().is_empty() && !condition.reads_fields {
            return Ok(condition.of_nothing.clone());
        }
        let key = condition.key(rule, &seen);
        if let Some(verdict) = self.remembered.borrow().get(&key) {
            return Ok(verdict.clone());
        }
        let verdict = self.evaluator.verdict(rule, &seen)?;
        let mut remembered = self.remembered.borrow_mut();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, verdict.clone());
        Ok(verdict)
    }
}

impl Condition {
    fn seen<'a>(&self, order: &'a Order, table: &'a Lifecycle, parcel: Option<u8>) -> Seen<'a> {
        let side = parcel.and_then(|number| side_of(order, number));
        let attributes = attributes_of(order, table);
        let fields = if self.reads_fields {
            order_fields(order, table, side.as_deref())
        } else {
            Vec::new()
        };
        Seen { fields, attributes, side }
    }

    /// What the condition reads, as bytes.
    fn key(&self, rule: u16, seen: &Seen) -> Vec<u8> {
        let reads = |names: &Option<Vec<String>>, name: &str| {
            names.as_ref().is_none_or(|names| names.iter().any(|each| each == name))
        };
        let mut key = rule.to_le_bytes().to_vec();
        for (name, value) in seen.fields.iter().filter(|_| self.reads_fields) {
            if reads(&self.of_order, name) {
                add(&mut key, b'f', name, value.as_bytes());
            }
        }
        for (name, value) in &seen.attributes {
            if reads(&self.of_order, name) {
                add(&mut key, b'a', name, value.bytes());
            }
        }
        for (name, reading) in seen.readings() {
            if reads(&self.of_reading, name) {
                add(&mut key, b'r', name, &[]);
                for number in [reading.min, reading.max, reading.last] {
                    match number {
                        Number::Int(number) => add(&mut key, b'i', "", &number.to_le_bytes()),
                        Number::Float(number) => {
                            add(&mut key, b'd', "", &number.to_bits().to_le_bytes());
                        }
                    }
                }
            }
        }
        key
    }
}

/// What conditions may read of the order itself; fields that are not known are left out.
///
/// The carrier is the parcel's, if one is known.
fn order_fields<'a>(
    order: &'a Order,
    table: &'a Lifecycle,
    side: Option<&Side>,
) -> Vec<(&'static str, Cow<'a, str>)> {
    let (tenant, order_id) = split_order_key(&order.key);
    let known = fields_of(order, table);
    let text = |name| known.get(name).and_then(Raw::text).map(Cow::Borrowed);
    let carrier = side
        .and_then(|side| side.carrier.as_ref())
        .map(|(_, carrier)| Cow::Owned(carrier.as_str().to_owned()));
    let fields = [
        ("tenant", Some(Cow::Borrowed(tenant))),
        ("order_id", Some(Cow::Borrowed(order_id))),
        ("status", table.code(order.status).map(Cow::Borrowed)),
        ("carrier", carrier.or_else(|| text("carrier"))),
        ("customer_id", text("customer_id")),
        ("supplier_id", text("supplier_id")),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Append a named value to a key; lengths keep it apart from the next one.
fn add(key: &mut Vec<u8>, kind: u8, name: &str, value: &[u8]) {
    key.push(kind);
    for part in [name.as_bytes(), value] {
        key.extend_from_slice(&(part.len() as u32).to_le_bytes());
        key.extend_from_slice(part);
    }
}
