//! Binding of what concerns one order or event: checks, normal forms, hashes.

use ordertide_core::lifecycle::Lifecycle;
use ordertide_core::normal_form;
use ordertide_core::order::content;
use ordertide_core::order::verifying::{differences, stored};
use pyo3::prelude::*;

use crate::lifecycle::lifecycle_of;
use crate::run;

/// The fold by a lifecycle.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct Fold(Lifecycle);

#[pymethods]
impl Fold {
    #[new]
    fn new(table: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Fold(lifecycle_of(table)?))
    }

    fn differences(&self, key: &str, data: &[u8]) -> PyResult<Vec<&'static str>> {
        run(|| Ok(differences(&stored(key, data)?, &self.0)))
    }
}

/// Check that the bytes of an order can be read.
#[pyfunction]
pub fn check_order(key: &str, data: &[u8]) -> PyResult<()> {
    run(|| stored(key, data).map(drop))
}

/// The normal form of a number of a kind.
#[pyfunction]
pub fn as_kind(kind: &str, number: &str) -> String {
    normal_form::as_kind(kind, number).into_owned()
}

/// Hash of what a message says.
#[pyfunction]
pub fn content_hash(raw: &[u8]) -> PyResult<u64> {
    run(|| content::content_hash(raw))
}
