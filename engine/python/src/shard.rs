//! Binding of the shard.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use ordertide_core::fact::Fact;
use ordertide_core::fault::{Fault, guarded};
use ordertide_core::msgpack::Reader;
use ordertide_core::order::history::MAX_ENTRIES;
use ordertide_core::shard::explaining;
use ordertide_core::shard::orders::{Cold, Failure};
use ordertide_core::shard::output::{Keyed, Output as Emitted};
use ordertide_core::shard::set_aside::{OrderFault, SetAside};
use ordertide_core::shard::{self, NoState};
use pyo3::exceptions::{PyException, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::door::Facts;
use crate::lifecycle::lifecycle_of;
use crate::rules::{Conditions, rules_of};
use crate::run;

type Row<'py> = (String, Option<Bound<'py, PyBytes>>);
/// An order set aside: key, since when, reason, releases, facts that wait.
type Mark = (String, i64, String, i64, usize);
type Message<'py> = (&'py str, Bound<'py, PyBytes>);

/// Lifecycle and rules in force.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct Definitions {
    definitions: shard::Definitions,
    conditions: Arc<Conditions>,
}

#[pymethods]
impl Definitions {
    #[new]
    fn new(table: &Bound<'_, PyAny>, rules: &Bound<'_, PyAny>) -> PyResult<Self> {
        let lifecycle = lifecycle_of(table)?;
        let statuses = u8::try_from(lifecycle.statuses.len())?;
        let conditions = Arc::new(Conditions::of(rules)?);
        let digest = |of: &Bound<'_, PyAny>| of.getattr("digest")?.extract::<String>();
        let definitions = shard::Definitions {
            table: Arc::new(lifecycle),
            rules: Arc::new(rules_of(rules, statuses)?),
            evaluator: conditions.clone(),
            digest: format!("{}-{}", digest(rules)?, digest(table)?),
        };
        Ok(Definitions { definitions, conditions })
    }

    #[getter]
    fn digest(&self) -> &str {
        &self.definitions.digest
    }

    fn explain<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        facts: &[u8],
        watermark: i64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let facts = run(|| Reader::new(facts).all(Fact::read))?;
        let explain = || explaining::explain(&self.definitions, key, facts, watermark);
        Ok(PyBytes::new(py, &evaluated(&self.conditions, explain)?))
    }
}

/// The orders of one shard.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct Shard {
    shard: Mutex<shard::Shard>,
    conditions: Arc<Conditions>,
}

#[pymethods]
impl Shard {
    #[new]
    fn new(definitions: &Definitions, cold: Py<PyAny>, generation: u64) -> PyResult<Self> {
        let cold = Box::new(PythonsCold(cold));
        let shard = shard::Shard::new(definitions.definitions.clone(), cold, generation);
        let shard = Mutex::new(shard.map_err(no_state)?);
        Ok(Shard { shard, conditions: definitions.conditions.clone() })
    }

    #[getter]
    fn watermark(&self) -> PyResult<i64> {
        Ok(self.lock()?.watermark())
    }

    #[getter]
    fn waiting_count(&self) -> PyResult<u64> {
        Ok(self.lock()?.waiting_count())
    }

    #[getter]
    fn order_count(&self) -> PyResult<usize> {
        Ok(self.lock()?.orders().live().len())
    }

    #[getter]
    fn has_changed(&self) -> PyResult<bool> {
        let shard = self.lock()?;
        let orders = shard.orders();
        let has_orders = !orders.changed().list().is_empty() || !orders.cold_rows().is_empty();
        Ok(has_orders || shard.set_asides().has_changed())
    }

    #[getter]
    fn get_publishing(&self) -> PyResult<bool> {
        Ok(self.lock()?.is_publishing)
    }

    #[setter]
    fn set_publishing(&self, is_publishing: bool) -> PyResult<()> {
        self.lock()?.is_publishing = is_publishing;
        Ok(())
    }

    #[setter]
    fn set_releasing(&self, keys: Vec<String>) -> PyResult<()> {
        self.lock()?.releasing = keys;
        Ok(())
    }

    fn bounds(&self) -> PyResult<(f64, f64, f64)> {
        let shard = self.lock()?;
        let share = |held: usize, most: usize| held as f64 / most as f64;
        let (sources, rules) = (shard.sources(), shard.desk().symbols());
        Ok((
            share(sources.names().len(), sources.limit()),
            share(rules.names().len(), rules.limit()),
            share(shard.orders().most_entries(), MAX_ENTRIES),
        ))
    }

    fn offer(&self, facts: &Facts) -> PyResult<()> {
        self.lock()?.offer(facts.0.iter().cloned());
        Ok(())
    }

    fn advance(&self, watermark: i64) -> PyResult<Output> {
        self.emit(|shard| shard.advance(watermark))
    }

    fn reevaluate(&self) -> PyResult<Output> {
        self.emit(shard::Shard::reevaluate_all)
    }

    fn release(&self, key: &str) -> PyResult<Output> {
        self.emit(|shard| {
            let mut out = Emitted::default();
            shard.release(key, &mut out)?;
            Ok(out)
        })
    }

    fn put_aside(&self, key: &str, reason: &str, trace: &str) -> PyResult<Output> {
        let (reason, trace) = (reason.to_owned(), trace.to_owned());
        let fault = OrderFault { key: Arc::from(key), reason, trace, is_preview: false };
        self.emit(|shard| shard.put_aside_now(key, fault))
    }

    fn snapshot<'py>(&self, py: Python<'py>, base: bool) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.lock()?.snapshot(base)))
    }

    fn restore(&self, snapshots: Vec<Bound<'_, PyBytes>>) -> PyResult<String> {
        let blobs: Vec<_> = snapshots.iter().map(|blob| blob.as_bytes()).collect();
        self.lock()?.restore(&blobs).map_err(no_state)
    }

    fn take_cold_rows<'py>(&self, py: Python<'py>) -> PyResult<Vec<Row<'py>>> {
        let rows = self.lock()?.orders_mut().take_cold_rows();
        let bytes = |data: Box<[u8]>| PyBytes::new(py, &data);
        Ok(rows.into_iter().map(|(key, data)| (key.to_string(), data.map(bytes))).collect())
    }

    fn order<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.lock()?.orders().live().get(key).map(|data| PyBytes::new(py, data)))
    }

    fn orders<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        for (key, data) in self.lock()?.orders().live() {
            found.set_item(&**key, PyBytes::new(py, data))?;
        }
        Ok(found)
    }

    fn document<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        data: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let shard = self.lock()?;
        let found = run(|| shard.document_of(key, data))?;
        Ok(found.map(|document| PyBytes::new(py, &document)))
    }

    fn set_aside(&self) -> PyResult<Vec<Mark>> {
        let shard = self.lock()?;
        let row = |(key, order): (&Arc<str>, &SetAside)| {
            let (reason, waiting) = (order.reason.clone(), order.facts.len());
            (key.to_string(), order.since_at, reason, order.releases, waiting)
        };
        Ok(shard.set_asides().orders().iter().map(row).collect())
    }
}

impl Shard {
    /// The shard, never waited for: who holds it may be waiting for Python's lock in a callback.
    fn lock(&self) -> PyResult<MutexGuard<'_, shard::Shard>> {
        match self.shard.try_lock() {
            Ok(shard) => Ok(shard),
            Err(TryLockError::Poisoned(shard)) => Ok(shard.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(PyRuntimeError::new_err("shard: another call on it is still running"))
            }
        }
    }

    fn emit(
        &self,
        work: impl FnOnce(&mut shard::Shard) -> Result<Emitted, Failure>,
    ) -> PyResult<Output> {
        let mut shard = self.lock()?;
        evaluated(&self.conditions, || work(&mut shard)).map(Output)
    }
}

/// Evaluate orders: a failure is an exception, that of an interrupted condition the one it ended with.
fn evaluated<T>(
    conditions: &Conditions,
    evaluate: impl FnOnce() -> Result<T, Failure>,
) -> PyResult<T> {
    guarded(evaluate)
        .map_err(|failure| conditions.take_interrupt().unwrap_or_else(|| raised(failure)))
}

/// What a shard emits.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct Output(Emitted);

#[pymethods]
impl Output {
    #[getter]
    fn changes<'py>(
        &'py self,
        py: Python<'py>,
    ) -> Vec<(&'py str, u64, Option<Bound<'py, PyBytes>>)> {
        let bytes = |place: &Range<usize>| PyBytes::new(py, self.0.message(place));
        let changes = self.0.changes.iter();
        changes.map(|each| (&*each.key, each.version, each.document.as_ref().map(bytes))).collect()
    }

    #[getter]
    fn accepted<'py>(&'py self, py: Python<'py>) -> Vec<Message<'py>> {
        self.messages(py, &self.0.accepted)
    }

    #[getter]
    fn alerts<'py>(&'py self, py: Python<'py>) -> Vec<Message<'py>> {
        self.messages(py, &self.0.alerts)
    }

    #[getter]
    fn actions<'py>(&'py self, py: Python<'py>) -> Vec<Message<'py>> {
        self.messages(py, &self.0.actions)
    }

    #[getter]
    fn audit<'py>(&'py self, py: Python<'py>) -> Vec<Message<'py>> {
        self.messages(py, &self.0.audit)
    }

    #[getter]
    fn rejected<'py>(
        &'py self,
        py: Python<'py>,
    ) -> Vec<(Bound<'py, PyBytes>, &'static str, &'py str)> {
        let row = |(fact, refusal): &'py (Arc<Fact>, _)| {
            let refusal: &ordertide_core::refusal::Refusal = refusal;
            let mut packed = Vec::new();
            fact.write(&mut packed);
            (PyBytes::new(py, &packed), refusal.code, refusal.reason.as_str())
        };
        self.0.rejected.iter().map(row).collect()
    }

    #[getter]
    fn faults(&self) -> Vec<(&str, &str, &str, bool)> {
        let mut found = Vec::with_capacity(self.0.faults.len());
        for fault in &self.0.faults {
            found.push((&*fault.key, &*fault.reason, &*fault.trace, fault.is_preview));
        }
        found
    }

    #[getter]
    fn condition_faults(&self) -> Vec<&str> {
        self.0.condition_faults.iter().map(String::as_str).collect()
    }

    #[getter]
    fn outside_calendar(&self) -> Vec<(&str, &str)> {
        let each = self.0.outside_calendar.iter();
        each.map(|(rule, reason)| (rule.as_str(), reason.as_str())).collect()
    }

    #[getter]
    fn applied(&self) -> u64 {
        self.0.applied
    }

    #[getter]
    fn duplicates(&self) -> u64 {
        self.0.duplicates
    }

    #[getter]
    fn refused(&self) -> u64 {
        self.0.refused
    }

    #[getter]
    fn fields_lost(&self) -> u64 {
        self.0.fields_lost
    }
}

impl Output {
    fn messages<'py>(&'py self, py: Python<'py>, keyed: &'py [Keyed]) -> Vec<Message<'py>> {
        let message = |(key, place): &'py Keyed| (&**key, PyBytes::new(py, self.0.message(place)));
        keyed.iter().map(message).collect()
    }
}

/// The retired orders behind a Python object with `get(key)`.
struct PythonsCold(Py<PyAny>);

impl Cold for PythonsCold {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        Python::attach(|py| {
            let found = self.0.bind(py).call_method1("get", (key,));
            let bytes = found.and_then(|found| {
                found.extract::<Option<Bound<'_, PyBytes>>>().map_err(Into::into)
            });
            let bytes = bytes.map_err(|error| failure_of(py, error))?;
            Ok(bytes.map(|bytes| bytes.as_bytes().to_vec()))
        })
    }
}

/// A fault of the order, unless it is one of the process (`dataflows.core.set_aside.UNBLAMED`).
fn failure_of(py: Python<'_>, error: PyErr) -> Failure {
    let unavailable = py.import("schemas.errors").and_then(|it| it.getattr("StoreUnavailable"));
    let is_unblamed = error.is_instance_of::<PyMemoryError>(py)
        || error.is_instance_of::<PyOSError>(py)
        || !error.is_instance_of::<PyException>(py)
        || unavailable.is_ok_and(|kind| error.is_instance(py, &kind));
    match is_unblamed {
        true => Failure::Process(Box::new(error)),
        false => Failure::Order(Fault::Raised(error.to_string())),
    }
}

fn raised(failure: Failure) -> PyErr {
    match failure {
        Failure::Order(fault) => PyValueError::new_err(fault.to_string()),
        Failure::Process(error) => match error.downcast::<PyErr>() {
            Ok(error) => *error,
            Err(_) => PyValueError::new_err("the evaluation was interrupted"),
        },
    }
}

fn no_state(error: NoState) -> PyErr {
    let message = error.to_string();
    Python::attach(|py| {
        let kind = py.import("schemas.errors").and_then(|it| it.getattr("StateError"));
        match kind.and_then(|kind| kind.call1((message,))) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    })
}
