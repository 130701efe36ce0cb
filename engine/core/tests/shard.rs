//! A shard: a panic in the evaluation of one order sets that order aside and no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ordertide_core::fact::Fact;
use ordertide_core::fault::Fault;
use ordertide_core::lifecycle::{Lifecycle, Status};
use ordertide_core::rules::{Evaluator, Rules, Seen, Verdict};
use ordertide_core::shard::orders::{Cold, Failure};
use ordertide_core::shard::output::Output;
use ordertide_core::shard::{Definitions, Shard};
use ordertide_core::statuses::NO_STATUS;

const DAY_MS: i64 = 86_400_000;
const ARRIVAL_AT: i64 = 20_000 * DAY_MS;

struct NoConditions;

impl Evaluator for NoConditions {
    fn verdict(&self, _: u16, _: &Seen) -> Result<Verdict, Fault> {
        Ok(Verdict::default())
    }
}

/// Retired orders whose look-up panics for one order, and ends the process's epoch for another.
struct Panicking;

impl Cold for Panicking {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        match key {
            "panics" => panic!("index 7 of {key}"),
            "unreadable" => Err(Failure::Process(Box::new("disk gone"))),
            _ => Ok(None),
        }
    }
}

/// No retired orders; counts how often it is asked.
struct Counting(Arc<AtomicUsize>);

impl Cold for Counting {
    fn get(&self, _: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }
}

fn shard() -> Shard {
    shard_over(Panicking)
}

fn shard_over(cold: impl Cold + 'static) -> Shard {
    let paid = Status {
        code: "PAID".to_owned(),
        creates: true,
        of_order: true,
        arrives_back: NO_STATUS,
        ..Status::default()
    };
    let table =
        Lifecycle { statuses: vec![paid], order_fields_bytes: 1 << 16, ..Lifecycle::default() };
    let definitions = Definitions {
        table: Arc::new(table),
        rules: Arc::new(Rules::new(Vec::new(), 1, false)),
        evaluator: Arc::new(NoConditions),
        digest: "digest".to_owned(),
    };
    Shard::new(definitions, Box::new(cold), 0).expect("few rules")
}

fn paid(key: &str) -> Fact {
    Fact {
        key: key.to_owned(),
        arrival_at: ARRIVAL_AT,
        at: ARRIVAL_AT,
        source: "shop".to_owned(),
        event_id: "e1".to_owned(),
        hash: 1,
        raw: b"{}".to_vec(),
        counted: true,
        ..Fact::default()
    }
}

fn advanced(shard: &mut Shard) -> Output {
    shard.advance(ARRIVAL_AT).expect("no order ends the epoch")
}

#[test]
fn a_panic_sets_its_order_aside_and_names_its_place() {
    let mut shard = shard();
    shard.offer([paid("before"), paid("panics"), paid("after")]);
    let out = advanced(&mut shard);
    let [fault] = &out.faults[..] else { panic!("{:?}", out.faults) };
    assert_eq!(&*fault.key, "panics");
    let reason = "panic in the compiled core: index 7 of panics (core/tests/shard.rs:";
    assert!(fault.reason.starts_with(reason), "{}", fault.reason);
    assert_eq!(out.applied, 2);
    assert!(shard.orders().is_live("before") && shard.orders().is_live("after"));
    assert_eq!(shard.waiting_count(), 1, "its fact waits with it");
}

#[test]
fn an_order_set_aside_is_so_after_a_restart_too() {
    let mut shard = shard();
    shard.offer([paid("panics")]);
    advanced(&mut shard);
    let base = shard.snapshot(true);
    let mut again = self::shard();
    again.restore(&[&base]).expect("a state of this lifecycle");
    assert!(again.set_asides().has("panics"));
    assert!(advanced(&mut again).faults.is_empty());
    assert_eq!(again.waiting_count(), 1);
}

#[test]
fn what_no_order_is_to_blame_for_ends_the_advance() {
    let mut shard = shard();
    shard.offer([paid("unreadable")]);
    let Err(Failure::Process(error)) = shard.advance(ARRIVAL_AT) else { panic!("it goes on") };
    assert_eq!(error.downcast_ref(), Some(&"disk gone"));
}

#[test]
fn the_retired_orders_are_asked_once_for_a_new_order() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut shard = shard_over(Counting(asked.clone()));
    shard.offer([paid("new")]);
    let shown = shard.advance(ARRIVAL_AT - 1).expect("no order ends the epoch");
    assert_eq!((shown.changes.len(), shown.applied), (1, 0), "it is shown ahead of the clock");
    assert_eq!(advanced(&mut shard).applied, 1);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
