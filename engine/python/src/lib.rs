//! Python module `dataflows.core.compiled`: a thin binding of `ordertide_core`.
//!
//! `dataflows/core/compiled.pyi` documents it. Here stand conversions alone; whatever raises in the
//! core is an exception, a panic too.

mod door;
mod lifecycle;
mod numbers;
mod orders;
mod rules;
mod shard;
mod working_time;

use mimalloc::MiMalloc;
use ordertide_core::fault::{Fault, guarded};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Run a part of the core: its fault is a ValueError, a panic a RuntimeError.
fn run<T>(evaluate: impl FnOnce() -> Result<T, Fault>) -> PyResult<T> {
    guarded(evaluate).map_err(|fault| match fault {
        Fault::Panic(_) => PyRuntimeError::new_err(fault.to_string()),
        _ => PyValueError::new_err(fault.to_string()),
    })
}

/// The compiled core.
#[pymodule]
mod compiled {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::door::{Door, Facts, Read, Registrations, shard_of};

    #[pymodule_export]
    use super::orders::{Fold, as_kind, check_order, content_hash};

    #[pymodule_export]
    use super::numbers::{Numbers, hash_of};

    #[pymodule_export]
    use super::working_time::WorkingTime;

    #[pymodule_export]
    use super::shard::{Definitions, Output, Shard};

    #[pymodule_export]
    const LOOKED_AT_ONCE: usize = ordertide_core::resolver::LOOKED_AT_ONCE;

    #[pymodule_export]
    const BEYOND_MS: i64 = ordertide_core::rules::BEYOND_MS;

    /// CRC-32 of the sources that this module was compiled from.
    #[pyfunction]
    fn sources() -> u32 {
        env!("ORDERTIDE_SOURCES").parse().expect("build.rs writes a number")
    }

    /// Panic, to test what becomes of it.
    #[pyfunction]
    fn panic(message: String) -> PyResult<()> {
        super::run(|| panic!("{message}"))
    }
}
