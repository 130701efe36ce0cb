//! The usual step of an order, and the numbers of a restart, in native code.
//!
//! A fact that comes in sequence, to an order that nothing unusual has happened to, and that opens
//! no alert: most facts are like this. For everything else `Steps.step` answers None, and the
//! Python core does it, which can do this as well and is the reference (dataflows/core/).

mod document;
mod fold;
mod json;
mod msgpack;
mod numbers;
mod order;
mod table;
mod terms;

use std::collections::BTreeMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::document::Origin;
use crate::fold::{Fact, NewSide};
use crate::msgpack::{Unusual, Usual, write_array, write_float, write_int, write_str};
use crate::numbers::Numbers;
use crate::order::Order;
use crate::table::{RuleRow, StatusRow, Table};
use crate::terms::Due;

/// (packed order, its document, the accepted event, version, when to look again, due actions)
type Step<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    i64,
    i64,
    Vec<Due>,
);

/// The steps of one lifecycle and one set of rules.
#[pyclass(frozen)]
struct Steps(Table);

#[pymethods]
impl Steps {
    #[new]
    fn new(statuses: Vec<StatusRow>, rules: Vec<RuleRow>) -> Self {
        Steps(Table::new(statuses, rules))
    }

    /// The order after a fact; None where the Python core has to do it.
    ///
    /// `packed` is None for a new order, `sources` the numbers of the sources known, `fields` the
    /// fact's packed.
    fn step<'py>(
        &self,
        packed: Option<&[u8]>,
        fact: &Bound<'py, PyAny>,
        sources: &Bound<'py, PyDict>,
        fields: Option<&[u8]>,
    ) -> PyResult<Option<Step<'py>>> {
        let py = fact.py();
        let is_own = fact.getattr(pyo3::intern!(py, "command"))?.is_truthy()?
            || fact.getattr(pyo3::intern!(py, "corrects"))?.is_truthy()?;
        let source = fact.getattr(pyo3::intern!(py, "source"))?;
        let Some(number) = sources.get_item(&source)? else {
            return Ok(None);
        };
        let source = source.cast_into::<PyString>()?;
        let name = source.to_str()?;
        if is_own || name.starts_with("rule:") || name.starts_with("action:") {
            return Ok(None);
        }
        let side = fact.getattr(pyo3::intern!(py, "side"))?;
        let Ok(said) = said_of(&side)? else {
            return Ok(None);
        };
        let key = text(fact, pyo3::intern!(py, "key"))?;
        let shipment = text(fact, pyo3::intern!(py, "shipment"))?;
        let topic = text(fact, pyo3::intern!(py, "topic"))?;
        let raw = fact
            .getattr(pyo3::intern!(py, "raw"))?
            .cast_into::<PyBytes>()?;
        let int = |name| fact.getattr(name)?.extract::<i64>();
        let taken = Fact {
            at: int(pyo3::intern!(py, "at"))?,
            arrival_at: int(pyo3::intern!(py, "arrival_at"))?,
            status: int(pyo3::intern!(py, "status"))? as u8,
            shipment: shipment.to_str()?,
            source: number.extract()?,
            hash: fact.getattr(pyo3::intern!(py, "hash"))?.extract()?,
            fields,
            side: said.as_ref().map(|said| NewSide {
                carrier: said.carrier.as_deref(),
                location: said.location.as_deref(),
            }),
        };
        let origin = Origin {
            topic: topic.to_str()?,
            partition: int(pyo3::intern!(py, "partition"))?,
            offset: int(pyo3::intern!(py, "offset"))?,
            raw: raw.as_bytes(),
        };
        let Ok((after, document, accepted, version, next_at, due)) =
            stepped(&self.0, packed, key.to_str()?, &taken, &origin)
        else {
            return Ok(None);
        };
        let bytes = |found: Vec<u8>| PyBytes::new(py, &found);
        Ok(Some((
            bytes(after),
            bytes(document),
            bytes(accepted),
            version,
            next_at,
            due,
        )))
    }

    /// (when to look at a stored order again, its version) where nothing is to be said of it by
    /// `through`: 0 if it has retired then. None where the Python core has to look.
    fn look(&self, packed: &[u8], through: i64) -> Option<(i64, i64)> {
        looked(&self.0, packed, through).ok()
    }

    /// The document of a stored order, `open_alerts` being a list in JSON; None where the Python
    /// core has to write it.
    fn document<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        packed: &[u8],
        open_alerts: &[u8],
    ) -> Option<Bound<'py, PyBytes>> {
        let document = documented(&self.0, key, packed, open_alerts).ok()?;
        Some(PyBytes::new(py, &document))
    }
}

fn documented(table: &Table, key: &str, packed: &[u8], open_alerts: &[u8]) -> Usual<Vec<u8>> {
    let order = Order::read_any(packed)?;
    let terms = terms::terms(&order, table, 0)?; // a condition's due time isn't shown
    document::document(key, &order, table, &terms, open_alerts)
}

fn text<'py>(
    fact: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyString>> {
    Ok(fact.getattr(name)?.cast_into::<PyString>()?)
}

/// What a fact says of its parcel, packed.
struct Said {
    carrier: Option<String>,
    location: Option<Vec<u8>>,
}

fn said_of(side: &Bound<PyAny>) -> PyResult<Result<Option<Said>, Unusual>> {
    if side.is_none() {
        return Ok(Ok(None));
    }
    let side = side.cast::<PyDict>()?;
    let mut said = Said {
        carrier: None,
        location: None,
    };
    for (name, value) in side {
        match name.cast::<PyString>()?.to_str()? {
            "carrier" => said.carrier = Some(value.extract()?),
            "location" => match packed_list(value.cast::<PyList>()?)? {
                Ok(packed) => said.location = Some(packed),
                Err(unusual) => return Ok(Err(unusual)),
            },
            _ => return Ok(Err(Unusual)), // readings are folded
        }
    }
    Ok(Ok(Some(said)))
}

/// A list of texts, numbers and None, packed.
fn packed_list(list: &Bound<PyList>) -> PyResult<Result<Vec<u8>, Unusual>> {
    let mut out = Vec::with_capacity(64);
    write_array(&mut out, list.len());
    for value in list {
        if value.is_none() {
            out.push(0xc0);
        } else if let Ok(text) = value.cast::<PyString>() {
            write_str(&mut out, text.to_str()?);
        } else if let Ok(number) = value.cast_exact::<pyo3::types::PyFloat>() {
            write_float(&mut out, number.extract()?);
        } else if let Ok(number) = value.cast_exact::<pyo3::types::PyInt>() {
            write_int(&mut out, number.extract()?);
        } else {
            return Ok(Err(Unusual));
        }
    }
    Ok(Ok(out))
}

fn looked(table: &Table, packed: &[u8], through: i64) -> Usual<(i64, i64)> {
    if packed.get(order::ARMED_FROM) != Some(&order::UINT64) {
        return Err(Unusual); // there is no room for another deadline
    }
    let mut order = Order::read(packed)?;
    let heard_at = order.reopen()?;
    let retires_at = terms::retires_at(&order, table, heard_at)?;
    let terms = terms::terms(&order, table, heard_at)?;
    let limit = through.min(retires_at);
    let (next_at, due) = terms::judged(&mut order, table, &terms, limit)?;
    if !due.is_empty() {
        return Err(Unusual);
    }
    let is_live = retires_at > through;
    Ok((
        if is_live { next_at.min(retires_at) } else { 0 },
        order.version,
    ))
}

type Stepped = (Vec<u8>, Vec<u8>, Vec<u8>, i64, i64, Vec<Due>);

fn stepped(
    table: &Table,
    packed: Option<&[u8]>,
    key: &str,
    fact: &Fact,
    origin: &Origin,
) -> Result<Stepped, Unusual> {
    let mut order = packed.map_or_else(|| Ok(Order::new()), Order::read)?;
    fold::add(&mut order, fact, table)?;
    let terms = terms::terms(&order, table, fact.arrival_at)?;
    let (next_at, due) = terms::judged(&mut order, table, &terms, fact.arrival_at)?;
    let next_at = next_at.min(terms::retires_at(&order, table, fact.arrival_at)?);
    let document = document::document(key, &order, table, &terms, b"[]")?;
    let accepted = document::accepted(key, &order, fact.shipment, table, origin)?;
    Ok((
        order.pack(),
        document,
        accepted,
        order.version,
        next_at,
        due,
    ))
}

/// (pages, count, how many are new, their places by the day on which to look at them)
type Put<'py> = (
    Vec<Bound<'py, PyBytes>>,
    usize,
    usize,
    BTreeMap<u16, Bound<'py, PyBytes>>,
);

/// A table of numbers with (hash, record) put into it one after another.
#[pyfunction]
fn put_numbers<'py>(
    py: Python<'py>,
    pages: Vec<Bound<'py, PyBytes>>,
    count: usize,
    changed: Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>,
) -> PyResult<Put<'py>> {
    let mut numbers = Numbers {
        pages: pages.iter().map(|page| page.as_bytes().to_vec()).collect(),
        count,
        came: 0,
        days: BTreeMap::new(),
    };
    for (key, record) in &changed {
        numbers
            .put(key.as_bytes(), record.as_bytes())
            .map_err(|_| PyValueError::new_err("the table of numbers is damaged"))?;
    }
    let bytes = |found: &[u8]| PyBytes::new(py, found);
    let pages = numbers.pages.iter().map(|page| bytes(page)).collect();
    let days = numbers.days.iter();
    let days = days.map(|(day, places)| (*day, bytes(places))).collect();
    Ok((pages, numbers.count, numbers.came, days))
}

#[pymodule]
fn ordertide_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Steps>()?;
    module.add_function(wrap_pyfunction!(put_numbers, module)?)
}
