//! Binding of the door.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ordertide_core::door::{self, FIELDS, Limits, Place, Plain, Shared, Table, Type};
use ordertide_core::fact::Fact;
use ordertide_core::fault::{Fault, guarded};
use ordertide_core::msgpack::{Reader, write_all};
use ordertide_core::resolver::Registration;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::run;

/// `dataflows.core.door.PlainForm`.
#[derive(FromPyObject)]
struct Form {
    fields: HashSet<String>,
    statuses: HashMap<String, u8>,
    is_note: Vec<bool>,
    placeholders: HashSet<String>,
    carriers: HashMap<String, String>,
    declared: HashMap<String, String>,
    readings: HashSet<String>,
    zone: String,
    datums: HashSet<String>,
    default_tenant: String,
    event_bytes: usize,
    levels: usize,
    id_chars: usize,
    code_chars: usize,
    parcels: i64,
    ahead_ms: i64,
    earliest_at: i64,
    latest_at: i64,
    shards: u8,
}

/// The door: reads plain events.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct Door(door::Door);

#[pymethods]
impl Door {
    #[new]
    fn new(form: Form) -> PyResult<Self> {
        let read: HashSet<String> = FIELDS.into_iter().map(str::to_owned).collect();
        if let Some(name) = read.symmetric_difference(&form.fields).next() {
            let message = format!("field {name:?}: an event or the compiled door lacks it");
            return Err(PyValueError::new_err(message));
        }
        let declared = form.declared.into_iter().map(|(name, of)| Ok((name, type_of(&of)?)));
        Ok(Door(door::Door::new(Table {
            statuses: form.statuses,
            is_note: form.is_note,
            placeholders: form.placeholders,
            carriers: form.carriers,
            declared: declared.collect::<PyResult<_>>()?,
            readings: form.readings,
            is_utc: form.zone == "UTC",
            datums: form.datums,
            default_tenant: form.default_tenant,
            limits: Limits {
                event_bytes: form.event_bytes,
                levels: form.levels,
                id_chars: form.id_chars,
                code_chars: form.code_chars,
                parcels: form.parcels,
                ahead_ms: form.ahead_ms,
                earliest_at: form.earliest_at,
                latest_at: form.latest_at,
                shards: form.shards,
            },
        })))
    }

    fn read(slf: &Bound<'_, Self>, values: Vec<Option<Bound<'_, PyBytes>>>) -> PyResult<Read> {
        let (door, mut panics) = (&slf.get().0, Vec::new());
        let mut plain = |value: &Bound<'_, PyBytes>| {
            guarded(|| Ok(door.read(value.as_bytes()))).unwrap_or_else(|fault: Fault| {
                panics.push(place_of(&fault));
                None
            })
        };
        let events = values.iter().map(|value| value.as_ref().and_then(&mut plain)).collect();
        Ok(Read { door: slf.clone().unbind(), events, panics })
    }
}

/// The place of a panic alone: its message may quote the event.
fn place_of(fault: &Fault) -> String {
    let text = fault.to_string();
    text.rsplit_once('(').map_or("the core", |(_, place)| place.trim_end_matches(')')).to_owned()
}

fn type_of(name: &str) -> PyResult<Type> {
    match name {
        "bool" => Ok(Type::Bool),
        "int" => Ok(Type::Int),
        "float" => Ok(Type::Float),
        "str" => Ok(Type::Text),
        _ => Err(PyValueError::new_err(format!("{name:?} is no type of an attribute"))),
    }
}

/// Facts of orders of one shard.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct Facts(pub(crate) Vec<Arc<Fact>>);

#[pymethods]
impl Facts {
    #[new]
    fn new(packed: &[u8]) -> PyResult<Self> {
        let facts = run(|| Reader::new(packed).all(Fact::read))?;
        Ok(Facts(facts.into_iter().map(Arc::new).collect()))
    }

    fn packed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut out = Vec::new();
        write_all(&mut out, &self.0, |out, fact| fact.write(out));
        PyBytes::new(py, &out)
    }
}

/// Registrations of numbers of one shard.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct Registrations(pub(crate) Vec<Arc<Registration>>);

#[pymethods]
impl Registrations {
    #[new]
    fn new(packed: &[u8]) -> PyResult<Self> {
        let read = |from: &mut Reader<'_>| Registration::read(from).map(Arc::new);
        Ok(Registrations(run(|| Reader::new(packed).all(read))?))
    }

    fn packed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut out = Vec::new();
        write_all(&mut out, &self.0, |out, each| each.write(out));
        PyBytes::new(py, &out)
    }
}

/// (facts by shard, registrations by shard, questions, indices of what is left).
type Taken<'py> =
    (Vec<(usize, Facts)>, Vec<(usize, Registrations)>, Bound<'py, PyBytes>, Vec<usize>);

/// The plain events of some messages.
#[pyclass(module = "dataflows.core.compiled")]
pub struct Read {
    door: Py<Door>,
    events: Vec<Option<Plain>>,
    panics: Vec<String>,
}

#[pymethods]
impl Read {
    #[getter]
    fn panics(&self) -> Vec<&str> {
        self.panics.iter().map(String::as_str).collect()
    }

    #[getter]
    fn recorded_at(&self) -> Vec<Option<i64>> {
        self.events.iter().map(|event| event.as_ref().map(|event| event.recorded_at)).collect()
    }

    fn take<'py>(
        &mut self,
        py: Python<'py>,
        topic: &str,
        partition: i64,
        offsets: Vec<i64>,
        arrivals: Vec<Option<i64>>,
    ) -> PyResult<Taken<'py>> {
        let events = std::mem::take(&mut self.events);
        if offsets.len() != events.len() || arrivals.len() != events.len() {
            return Err(PyValueError::new_err("an offset and an arrival for each message"));
        }
        let mut shared = Shared::new(&self.door.get().0);
        let left = run(|| {
            let mut left = Vec::new();
            let places = offsets.into_iter().zip(arrivals);
            for (index, (event, (offset, arrival_at))) in events.into_iter().zip(places).enumerate()
            {
                let place = Place { topic, partition, offset };
                if let (Some(event), Some(arrival_at)) = (event, arrival_at) {
                    if !shared.add(event, arrival_at, place) {
                        left.push(index);
                    }
                }
            }
            Ok::<_, Fault>(left)
        })?;
        let questions = PyBytes::new(py, &shared.questions.list());
        let facts = by_shard(shared.facts, Facts);
        Ok((facts, by_shard(shared.registrations, Registrations), questions, left))
    }
}

/// What shards get, by shard; those that get nothing are left out.
fn by_shard<T, P>(shared: Vec<Vec<T>>, piece: impl Fn(Vec<T>) -> P) -> Vec<(usize, P)> {
    let shards = shared.into_iter().enumerate().filter(|(_, items)| !items.is_empty());
    shards.map(|(shard, items)| (shard, piece(items))).collect()
}

/// The shard, of so many, of a key.
#[pyfunction]
pub fn shard_of(key: &str, shards: u8) -> u8 {
    ordertide_core::keys::shard_of(key, shards)
}
