//! Binding of the working time of a calendar.

use std::sync::Arc;

use ordertide_core::rules::{self, Intervals};
use pyo3::prelude::*;

/// Working time of a calendar.
#[pyclass(module = "dataflows.core.compiled", frozen)]
pub struct WorkingTime(pub Arc<rules::WorkingTime>);

#[pymethods]
impl WorkingTime {
    #[new]
    fn new(
        shown: String,
        begins_at: i64,
        ends_at: i64,
        days: Vec<(i64, i64)>,
        hours: Vec<(i64, i64)>,
        cut_off: Vec<i64>,
    ) -> Self {
        let (days, hours) = (Intervals::new(&days), Intervals::new(&hours));
        WorkingTime(Arc::new(rules::WorkingTime {
            shown,
            begins_at,
            ends_at,
            days,
            hours,
            cut_off,
        }))
    }

    fn later(&self, at: i64, working_ms: i64, in_hours: bool) -> i64 {
        self.0.later(at, working_ms, in_hours)
    }

    fn total(&self, in_hours: bool) -> i64 {
        self.0.total(in_hours)
    }

    fn latest(&self, working_ms: i64, in_hours: bool) -> i64 {
        self.0.latest(working_ms, in_hours)
    }
}
