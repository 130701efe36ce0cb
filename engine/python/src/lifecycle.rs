//! Hand-over of the lifecycle: read from the attributes of `dataflows.core.lifecycle.Lifecycle`.

use std::collections::HashSet;

use ordertide_core::lifecycle::{Lifecycle, Move, Status, StatusSet, Ways};
use pyo3::prelude::*;

type Statuses = HashSet<u8>;
type PythonsMove = (u8, bool, u8);

/// Columns of the Python table, by status.
#[derive(FromPyObject)]
struct Columns {
    codes: Vec<String>,
    creates: Vec<bool>,
    logistics: Vec<bool>,
    moves_nothing: Vec<bool>,
    of_order: Vec<bool>,
    of_shipment: Vec<bool>,
    of_both: Vec<bool>,
    retire_after_ms: Vec<i64>,
    moves_order: Vec<Option<PythonsMove>>,
    ends: Vec<bool>,
    ends_parcel: Vec<bool>,
    ends_with: Vec<Statuses>,
    turns: Vec<bool>,
    arrives_back: Vec<u8>,
    withdraws: Vec<Statuses>,
    regular_after: Vec<Statuses>,
    open_until: Vec<Statuses>,
    is_milestone: Vec<bool>,
    is_note: Vec<bool>,
    irregular: Vec<Statuses>,
    order_ways: WaysByStatus,
    shipment_ways: WaysByStatus,
}

/// Ways of the Python table, by status.
#[derive(FromPyObject)]
struct WaysByStatus {
    next: Vec<Statuses>,
    regular: Vec<Statuses>,
    every: Vec<Statuses>,
}

/// What the Python table says of all statuses.
#[derive(FromPyObject)]
struct Whole {
    second_life_after_ms: i64,
    order_fields_bytes: usize,
    can_be_withdrawn: Statuses,
    whole: Statuses,
    under_way: Statuses,
    settles: Statuses,
    settles_back: Statuses,
    coming_back: u8,
    arrived_back: u8,
}

/// The lifecycle that Python compiled.
pub fn lifecycle_of(table: &Bound<'_, PyAny>) -> PyResult<Lifecycle> {
    let (columns, whole): (Columns, Whole) = (table.extract()?, table.extract()?);
    Ok(Lifecycle {
        statuses: (0..columns.codes.len()).map(|rank| row(&columns, rank)).collect(),
        second_life_after_ms: whole.second_life_after_ms,
        order_fields_bytes: whole.order_fields_bytes,
        can_be_withdrawn: set(&whole.can_be_withdrawn),
        whole: set(&whole.whole),
        under_way: set(&whole.under_way),
        settles: set(&whole.settles),
        settles_back: set(&whole.settles_back),
        coming_back: whole.coming_back,
        arrived_back: whole.arrived_back,
    })
}

fn row(columns: &Columns, rank: usize) -> Status {
    Status {
        code: columns.codes[rank].clone(),
        creates: columns.creates[rank],
        logistics: columns.logistics[rank],
        moves_nothing: columns.moves_nothing[rank],
        of_order: columns.of_order[rank],
        of_shipment: columns.of_shipment[rank],
        of_both: columns.of_both[rank],
        retire_after_ms: columns.retire_after_ms[rank],
        moves_order: columns.moves_order[rank].map(|(target, all_of_them, until_all)| Move {
            target,
            all_of_them,
            until_all,
        }),
        ends: columns.ends[rank],
        ends_parcel: columns.ends_parcel[rank],
        ends_with: set(&columns.ends_with[rank]),
        turns: columns.turns[rank],
        arrives_back: columns.arrives_back[rank],
        withdraws: set(&columns.withdraws[rank]),
        regular_after: set(&columns.regular_after[rank]),
        open_until: set(&columns.open_until[rank]),
        is_milestone: columns.is_milestone[rank],
        is_note: columns.is_note[rank],
        irregular: set(&columns.irregular[rank]),
        order_ways: ways(&columns.order_ways, rank),
        parcel_ways: ways(&columns.shipment_ways, rank),
    }
}

fn ways(by_status: &WaysByStatus, rank: usize) -> Ways {
    Ways {
        next: set(&by_status.next[rank]),
        regular: set(&by_status.regular[rank]),
        every: set(&by_status.every[rank]),
    }
}

fn set(statuses: &Statuses) -> StatusSet {
    statuses.iter().copied().collect()
}
