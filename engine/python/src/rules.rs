//! Binding of rules: read from `dataflows.core.rules.Rules`, whose conditions are evaluated there.

use std::sync::{Arc, Mutex, PoisonError};

use ordertide_core::fault::Fault;
use ordertide_core::msgpack::{Number, Raw, Value};
use ordertide_core::order::side::Reading;
use ordertide_core::rules::{
    Act, Anchor, Condition, Deadline, Evaluator, Kind, Length, Limit, Rule, Rules, Seen, Verdict,
};
use ordertide_core::statuses::StatusSet;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::working_time::WorkingTime;

type Object<'py> = Bound<'py, PyAny>;

/// The rules of a `Rules` object, for a lifecycle of so many `statuses`.
///
/// # Errors
/// The object is no `dataflows.core.rules.Rules`.
pub fn rules_of(rules: &Object<'_>, statuses: u8) -> PyResult<Rules> {
    let rows = rules.getattr("rules")?.try_iter()?.map(|rule| rule_of(&rule?));
    let rows = rows.collect::<PyResult<Vec<_>>>()?;
    Ok(Rules::new(rows, statuses, rules.getattr("calendars")?.is_truthy()?))
}

fn rule_of(rule: &Object<'_>) -> PyResult<Rule> {
    let get = |name| rule.getattr(name);
    let directions: Vec<bool> = list_of(&get("directions")?, |each| each.extract())?;
    Ok(Rule {
        id: get("id")?.extract::<String>()?.into(),
        per_shipment: get("per_shipment")?.extract()?,
        statuses: statuses_of(&get("statuses")?)?,
        shipment_statuses: statuses_of(&get("shipment_statuses")?)?,
        deadlines: list_of(&get("deadlines")?, deadline_of)?,
        forward: directions.contains(&false),
        back: directions.contains(&true),
        unless: optional(&get("unless")?, anchor_of)?,
        once: optional(&get("once")?, anchor_of)?,
        unscanned: get("unscanned")?.extract()?,
        when: optional(&get("when")?, condition_of)?,
        on_condition: get("on_condition")?.extract()?,
        level: get("level")?.extract()?,
        escalation: optional(&get("escalation")?, limit_of)?,
        action: optional(&get("action")?, act_of)?,
        escalated_action: optional(&get("escalated_action")?, act_of)?,
        pausing: list_of(&get("pausing")?.call_method0("items")?, |each| each.extract())?,
        stale_after_ms: get("stale_after_ms")?.extract()?,
    })
}

fn deadline_of(deadline: &Object<'_>) -> PyResult<Deadline> {
    let anchor = anchor_of(&deadline.getattr("anchor")?)?;
    Ok(Deadline { anchor, after: limit_of(&deadline.getattr("after")?)? })
}

fn anchor_of(anchor: &Object<'_>) -> PyResult<Anchor> {
    let kind: String = anchor.getattr("kind")?.extract()?;
    let statuses: Vec<u8> = list_of(&anchor.getattr("statuses")?, |each| each.extract())?;
    let kind = match (kind.as_str(), statuses.as_slice()) {
        ("milestone", statuses) => Kind::Milestone(statuses.iter().copied().collect()),
        ("announced", [status]) => Kind::Announced(*status),
        ("behind", [status, present]) => Kind::Behind { status: *status, present: *present },
        ("created", []) => Kind::Created,
        ("last_update", []) => Kind::LastUpdate,
        ("promised_at", []) => Kind::PromisedAt,
        ("ship_by", []) => Kind::ShipBy,
        ("planned", []) => Kind::Planned(anchor.getattr("milestone")?.extract()?),
        ("status_since", []) => Kind::StatusSince,
        _ => return Err(PyValueError::new_err(format!("{kind:?} is no kind of anchor"))),
    };
    Ok(Anchor { name: anchor.getattr("name")?.extract()?, kind })
}

fn limit_of(limit: &Object<'_>) -> PyResult<Limit> {
    let calendar = limit.getattr("calendar")?;
    let length = if calendar.is_none() {
        Length::Span(limit.getattr("offset_ms")?.extract()?)
    } else {
        let compiled = calendar.getattr("compiled")?;
        Length::Working {
            calendar: compiled.cast::<WorkingTime>()?.get().0.clone(),
            working_ms: limit.getattr("working_ms")?.extract()?,
            in_hours: limit.getattr("in_hours")?.extract()?,
        }
    };
    Ok(Limit { text: limit.getattr("text")?.extract()?, length })
}

fn condition_of(condition: &Object<'_>) -> PyResult<Condition> {
    let named = |variable| condition.call_method1("names_of", (variable,))?.extract();
    Ok(Condition {
        text: condition.getattr("text")?.extract()?,
        reads_fields: condition.getattr("reads_fields")?.extract()?,
        of_order: named("order")?,
        of_reading: named("reading")?,
        of_nothing: verdict_of(&condition.getattr("of_nothing")?)?,
    })
}

fn act_of(act: &Object<'_>) -> PyResult<Arc<Act>> {
    let (kind, expires_ms) = (act.getattr("kind")?.extract()?, act.getattr("expires_ms")?);
    Ok(Arc::new(Act { kind, expires_ms: expires_ms.extract()? }))
}

fn verdict_of(verdict: &Object<'_>) -> PyResult<Verdict> {
    let (is_true, fault) = verdict.extract()?;
    Ok(Verdict { is_true, fault })
}

fn statuses_of(statuses: &Object<'_>) -> PyResult<StatusSet> {
    Ok(list_of(statuses, |each| each.extract::<u8>())?.into_iter().collect())
}

fn optional<'py, T>(
    value: &Object<'py>,
    read: impl FnOnce(&Object<'py>) -> PyResult<T>,
) -> PyResult<Option<T>> {
    if value.is_none() { Ok(None) } else { read(value).map(Some) }
}

fn list_of<'py, T>(
    values: &Object<'py>,
    read: impl Fn(&Object<'py>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    values.try_iter()?.map(|value| read(&value?)).collect()
}

/// The conditions of a `Rules` object.
pub struct Conditions {
    conditions: Vec<Option<Py<PyAny>>>,
    interrupt: Mutex<Option<PyErr>>,
}

impl Conditions {
    /// The conditions of a `Rules` object.
    ///
    /// # Errors
    /// The object is no `dataflows.core.rules.Rules`.
    pub fn of(rules: &Object<'_>) -> PyResult<Self> {
        let condition = |rule: &Object<'_>| {
            optional(&rule.getattr("when")?, |condition| Ok(condition.clone().unbind()))
        };
        let conditions = list_of(&rules.getattr("rules")?, condition)?;
        Ok(Conditions { conditions, interrupt: Mutex::default() })
    }

    /// Take the exception, such as KeyboardInterrupt, that an evaluation ended with.
    pub fn take_interrupt(&self) -> Option<PyErr> {
        self.interrupt.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn evaluate(&self, py: Python<'_>, rule: u16, seen: &Seen) -> PyResult<Verdict> {
        let Some(condition) = &self.conditions[usize::from(rule)] else {
            return Ok(Verdict { is_true: true, fault: String::new() });
        };
        let (fields, attributes, readings) = (PyDict::new(py), PyDict::new(py), PyDict::new(py));
        for (name, value) in &seen.fields {
            fields.set_item(name, value)?;
        }
        for (name, value) in &seen.attributes {
            attributes.set_item(name, object_of(py, *value)?)?;
        }
        for (name, reading) in seen.readings() {
            readings.set_item(name, reading_of(py, reading)?)?;
        }
        let seen = (fields, attributes, readings);
        verdict_of(condition.bind(py).call_method1("of_order", seen)?.as_any())
    }
}

impl Evaluator for Conditions {
    fn verdict(&self, rule: u16, seen: &Seen) -> Result<Verdict, Fault> {
        Python::attach(|py| self.evaluate(py, rule, seen)).map_err(|error| {
            self.interrupt.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
            Fault::Interrupted
        })
    }
}

fn reading_of<'py>(py: Python<'py>, reading: &Reading) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    for (name, number) in [("min", reading.min), ("max", reading.max), ("last", reading.last)] {
        match number {
            Number::Int(number) => found.set_item(name, number)?,
            Number::Float(number) => found.set_item(name, number)?,
        }
    }
    Ok(found)
}

/// A stored value as Python has it.
///
/// # Errors
/// Python is out of memory, or a key of a map is none.
pub fn object_of<'py>(py: Python<'py>, value: Raw<'_>) -> PyResult<Object<'py>> {
    Ok(match value.value() {
        Value::Nil => py.None().into_bound(py),
        Value::Bool(is_true) => is_true.into_pyobject(py)?.to_owned().into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::Big(number) => number.into_pyobject(py)?.into_any(),
        Value::Float(number) => number.into_pyobject(py)?.into_any(),
        Value::Text(text) => text.into_pyobject(py)?.into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::List(list) => {
            let elements = list.iter().map(|each| object_of(py, each));
            PyList::new(py, elements.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Value::Map(map) => {
            let found = PyDict::new(py);
            for (key, value) in map.iter() {
                found.set_item(object_of(py, key)?, object_of(py, value)?)?;
            }
            found.into_any()
        }
    })
}
