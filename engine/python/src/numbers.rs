//! Binding of the resolver's numbers.

use std::collections::BTreeMap;

use ordertide_core::fault::Fault;
use ordertide_core::resolver::{self, Answer, Hash, Limits, Question};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::door::Registrations;
use crate::run;

type Records<'py> = Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>;
type Days<'py> = BTreeMap<i64, Bound<'py, PyBytes>>;
type Base<'py> = (Vec<Bound<'py, PyBytes>>, usize, Days<'py>, Records<'py>);
/// (instant after which it ended, numbers of that instant for which something waits), (number, fault).
type Registered = (Option<(i64, Vec<String>)>, Vec<(String, String)>);
type OrderOfNumber = (String, String, i64, i64, u16, u16, bool);

/// Numbers of one shard.
#[pyclass(module = "dataflows.core.compiled")]
pub struct Numbers(resolver::Numbers);

#[pymethods]
impl Numbers {
    #[new]
    fn new(
        forget_after_ms: i64,
        forget_unused_after_ms: i64,
        shared_within_ms: i64,
        max_orders: usize,
        crowd_bytes: usize,
    ) -> Self {
        Numbers(resolver::Numbers::new(Limits {
            forget_after_ms,
            forget_unused_after_ms,
            shared_within_ms,
            max_orders,
            crowd_bytes,
        }))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn most_orders(&self) -> usize {
        self.0.most_orders()
    }

    #[getter]
    fn has_changed(&self) -> bool {
        self.0.has_changed()
    }

    #[getter]
    fn next_arrival(&mut self) -> Option<i64> {
        self.0.next_arrival()
    }

    fn offer(&mut self, registrations: &Registrations) {
        self.0.offer(&registrations.0);
    }

    fn register_through(
        &mut self,
        through: i64,
        waiting: &Bound<'_, PyDict>,
    ) -> PyResult<Registered> {
        let found = if waiting.is_empty() {
            self.0.register_through(through, |_| Ok(false))
        } else {
            self.0.register_through(through, |number| waiting.contains(number))
        }?;
        let faults = found.faults.into_iter().map(|(number, fault)| (number, fault.to_string()));
        Ok((found.ended, faults.collect()))
    }

    fn answer(
        &mut self,
        number: &str,
        carrier: &str,
        at: i64,
        arrival_at: i64,
        given_at: i64,
    ) -> PyResult<Option<(Vec<String>, bool)>> {
        let asked = Question { number, carrier, at, arrival_at };
        Ok(match run(|| self.0.answer(&asked, given_at))? {
            Answer::Ambiguous => None,
            Answer::Unknown => Some((Vec::new(), false)),
            Answer::Orders { orders, is_news } => Some((orders, is_news)),
        })
    }

    fn get(&self, key: Hash) -> PyResult<Vec<OrderOfNumber>> {
        let known = run(|| self.0.mappings(&key))?;
        let row = |one: resolver::Mapping| {
            let texts = (one.order.to_owned(), one.carrier.to_owned());
            let instants = (one.valid_from, one.arrival_at);
            (texts.0, texts.1, instants.0, instants.1, one.used_day, one.heard_day, one.is_unused)
        };
        Ok(known.into_iter().map(row).collect())
    }

    fn forget(&mut self, watermark: i64) -> PyResult<()> {
        run(|| {
            self.0.forget(watermark);
            Ok(())
        })
    }

    fn take_unreadable(&mut self) -> Vec<(String, String)> {
        self.0.take_unreadable()
    }

    fn held<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.held())
    }

    fn hold(&mut self, packed: &[u8]) -> PyResult<()> {
        run(|| self.0.hold(packed))
    }

    fn base<'py>(&mut self, py: Python<'py>) -> PyResult<Base<'py>> {
        let table = self.0.table();
        let pages = table.pages().iter().map(|page| PyBytes::new(py, page)).collect();
        let found = (pages, table.len(), days_of(py, &self.0), self.crowds(py)?);
        self.0.settle();
        Ok(found)
    }

    fn delta<'py>(&mut self, py: Python<'py>) -> PyResult<(Records<'py>, Records<'py>)> {
        let changed = run(|| self.0.changed())?;
        let found = (bytes_of(py, changed), bytes_of(py, self.0.changed_orders()));
        self.0.settle();
        Ok(found)
    }

    fn records<'py>(&self, py: Python<'py>) -> PyResult<Records<'py>> {
        let small = self.0.table().iter().map(|(key, record)| (key, record.to_vec()));
        let mut found = bytes_of(py, small.collect());
        found.extend(self.crowds(py)?);
        Ok(found)
    }

    fn days<'py>(&self, py: Python<'py>) -> Days<'py> {
        days_of(py, &self.0)
    }

    fn restore(
        &mut self,
        pages: Vec<Bound<'_, PyBytes>>,
        count: usize,
        days: BTreeMap<i64, Bound<'_, PyBytes>>,
        crowds: Vec<(Hash, Bound<'_, PyBytes>)>,
    ) -> PyResult<()> {
        let pages = pages.iter().map(|page| page.as_bytes().to_vec()).collect();
        let crowds: Vec<_> = crowds.iter().map(|(key, record)| (*key, record.as_bytes())).collect();
        run(|| {
            let days = days.iter().map(|(&day, places)| Ok((day, places_of(places.as_bytes())?)));
            let days = days.collect::<Result<Vec<_>, Fault>>()?;
            self.0.restore(pages, count, days, &crowds);
            Ok(())
        })
    }

    fn apply(
        &mut self,
        changed: Vec<(Hash, Bound<'_, PyBytes>)>,
        crowds: Vec<(Hash, Bound<'_, PyBytes>)>,
    ) -> PyResult<()> {
        run(|| {
            for (key, record) in &changed {
                self.0.take(*key, record.as_bytes());
            }
            crowds.iter().for_each(|(key, record)| self.0.join(*key, record.as_bytes()));
            Ok(())
        })
    }
}

impl Numbers {
    fn crowds<'py>(&self, py: Python<'py>) -> PyResult<Records<'py>> {
        Ok(bytes_of(py, run(|| self.0.crowds())?))
    }
}

fn bytes_of(py: Python<'_>, records: Vec<(Hash, Vec<u8>)>) -> Records<'_> {
    let pair = |(key, record): (Hash, Vec<u8>)| (PyBytes::new(py, &key), PyBytes::new(py, &record));
    records.into_iter().map(pair).collect()
}

fn days_of<'py>(py: Python<'py>, numbers: &resolver::Numbers) -> Days<'py> {
    let bytes =
        |places: &[u32]| places.iter().flat_map(|each| each.to_le_bytes()).collect::<Vec<_>>();
    numbers.days().map(|(day, places)| (day, PyBytes::new(py, &bytes(places)))).collect()
}

fn places_of(bytes: &[u8]) -> Result<Vec<u32>, Fault> {
    let places = bytes.chunks_exact(4);
    if !places.remainder().is_empty() {
        return Err(Fault::Damaged { at: bytes.len() / 4 * 4, length: bytes.len() });
    }
    let place = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
    Ok(places.map(place).collect())
}

/// The hash of a number's key.
#[pyfunction]
pub fn hash_of<'py>(py: Python<'py>, number: &str) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &resolver::hash_of(number))
}
