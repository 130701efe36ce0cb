//! Properties of orders over generated facts: their fold, and their bytes.

mod support;

use std::cell::OnceCell;
use std::sync::Arc;

use ordertide_core::fact::Fact;
use ordertide_core::fault::Fault;
use ordertide_core::instants::{DAY_MS, HOUR_MS};
use ordertide_core::lifecycle::{Lifecycle, Move, NO_STATUS, Status, StatusSet, Ways};
use ordertide_core::msgpack::{Reader, write_int, write_list, write_map, write_text};
use ordertide_core::order::conflicts::{conflicts, winners};
use ordertide_core::order::fold::refold;
use ordertide_core::order::history::{MAX_ENTRIES, Stop, add};
use ordertide_core::order::packing::{FORMAT, armed_at_of, pack, unpack};
use ordertide_core::order::verifying::{differences, stored};
use ordertide_core::order::walk::walk;
use ordertide_core::order::{Entry, Fields, NO_ENTRY, Order, Parcel, flags};
use ordertide_core::symbols::Symbols;
use support::{Draws, for_all};

const START: i64 = 19_000 * DAY_MS;
const PAID: u8 = 0;
const SHIPPED: u8 = 1;
const SCAN: u8 = 2;
const IN_TRANSIT: u8 = 3;
const SENT_BACK: u8 = 4;
const RETURNING: u8 = 5;
const DELIVERED: u8 = 6;
const RETURNED: u8 = 7;
const NOTE: u8 = 8;
const VOIDED: u8 = 9;

/// Edges of orders and of parcels.
const ORDER_EDGES: [(u8, &[u8]); 4] = [
    (PAID, &[SHIPPED]),
    (SHIPPED, &[DELIVERED, RETURNING]),
    (DELIVERED, &[RETURNING]),
    (RETURNING, &[RETURNED]),
];
const PARCEL_EDGES: [(u8, &[u8]); 4] = [
    (IN_TRANSIT, &[SENT_BACK, DELIVERED, VOIDED]),
    (SENT_BACK, &[RETURNED]),
    (DELIVERED, &[SENT_BACK]),
    (VOIDED, &[]),
];

/// A lifecycle with a sign of life, a way back and a note.
fn lifecycle() -> Lifecycle {
    let codes = "PAID SHIPPED SCAN IN_TRANSIT SENT_BACK RETURNING DELIVERED RETURNED NOTE VOIDED";
    let statuses = codes.split(' ').zip(0u8..).map(|(code, status)| Status {
        code: code.to_owned(),
        creates: status == PAID,
        of_order: ![SCAN, IN_TRANSIT, SENT_BACK, VOIDED].contains(&status),
        of_shipment: ![PAID, SHIPPED, RETURNING, NOTE].contains(&status),
        of_both: [DELIVERED, RETURNED].contains(&status),
        logistics: [SCAN, IN_TRANSIT, SENT_BACK, DELIVERED].contains(&status),
        moves_nothing: status == SCAN,
        moves_order: moves(status),
        ends: [DELIVERED, RETURNED].contains(&status),
        ends_parcel: status == VOIDED,
        turns: status == SENT_BACK,
        arrives_back: if status == DELIVERED { RETURNED } else { NO_STATUS },
        is_note: status == NOTE,
        order_ways: ways(&ORDER_EDGES, status),
        parcel_ways: ways(&PARCEL_EDGES, status),
        ..Status::default()
    });
    Lifecycle {
        statuses: statuses.collect(),
        second_life_after_ms: 30 * DAY_MS,
        order_fields_bytes: 200,
        whole: set([DELIVERED]),
        under_way: set([SHIPPED]),
        settles: set([DELIVERED]),
        settles_back: set([RETURNED]),
        can_be_withdrawn: StatusSet::default(),
        coming_back: RETURNING,
        arrived_back: RETURNED,
    }
}

fn set<const N: usize>(statuses: [u8; N]) -> StatusSet {
    statuses.into_iter().collect()
}

fn moves(status: u8) -> Option<Move> {
    let (target, all_of_them) = match status {
        IN_TRANSIT => (SHIPPED, false),
        SENT_BACK => (RETURNING, false),
        DELIVERED => (DELIVERED, true),
        _ => return None,
    };
    let until_all = if all_of_them { SHIPPED } else { NO_STATUS };
    Some(Move { target, all_of_them, until_all })
}

fn ways(edges: &[(u8, &[u8])], status: u8) -> Ways {
    let next = |from: u8| edges.iter().find(|edge| edge.0 == from).map_or(&[][..], |edge| edge.1);
    let mut reached: Vec<u8> = next(status).to_vec();
    let mut place = 0;
    while place < reached.len() {
        let more = next(reached[place]).iter().filter(|status| !reached.contains(status));
        reached.extend(more.copied().collect::<Vec<_>>());
        place += 1;
    }
    let regular: StatusSet = reached.into_iter().collect();
    Ways { next: next(status).iter().copied().collect(), regular, every: regular }
}

/// Fields that announce a parcel or say something of the order.
fn drawn_fields(draws: &mut Draws) -> Option<Fields> {
    let mut fields = Fields::default();
    match draws.below(10) {
        0 => fields.add("references", |out| {
            write_map(out, 1);
            write_text(out, ["waybill", "return_waybill", "erp"][draws.below(3) as usize]);
            write_list(out, 1);
            write_text(out, ["A", "b", "C-1"][draws.below(3) as usize]);
        }),
        1 => fields.add("replaces", |out| write_text(out, ["A", "B"][draws.below(2) as usize])),
        2 => fields.add("parcels_expected", |out| write_int(out, 1 + draws.below(2) as i64)),
        3 => fields.add("attributes", |out| {
            write_map(out, 1);
            write_text(out, "gift");
            write_text(out, &"x".repeat(draws.below(120) as usize));
        }),
        _ => return None,
    }
    Some(fields)
}

/// One of few instants, statuses and names, so that they meet.
fn drawn_fact(draws: &mut Draws, number: u64) -> Fact {
    let at = START + draws.below(4) as i64 * HOUR_MS + draws.one_of(&[0, 0, 0, 40 * DAY_MS]);
    let (shipment, waybill) =
        draws.one_of(&[("", ""), ("", ""), ("A", ""), ("", "A"), ("b", "B"), ("", "C1")]);
    let code = draws.one_of(&[PAID, SHIPPED, SCAN, IN_TRANSIT, SENT_BACK, DELIVERED, NOTE, VOIDED]);
    let is_retraction = draws.below(12) == 0;
    Fact {
        key: "o1".to_owned(),
        arrival_at: START + 40 * DAY_MS + number as i64,
        at,
        status: code,
        shipment: shipment.to_owned(),
        waybill: waybill.to_owned(),
        source: draws.one_of(&["shop", "carrier:sf", "rule:x"]).to_owned(),
        event_id: format!("e{number}"),
        hash: number + 1,
        raw: format!("{{\"n\":{number}}}").into_bytes(),
        counted: true,
        corrects: if is_retraction { 1 + draws.below(number + 1) } else { 0 },
        fields: drawn_fields(draws),
        via: (draws.below(12) == 0).then(|| ("waybill".to_owned(), "A".to_owned())),
        sent_at: (draws.below(20) == 0).then_some(0),
        ..Fact::default()
    }
}

fn drawn_facts(draws: &mut Draws, most: u64) -> Vec<Fact> {
    (0..1 + draws.below(most)).map(|number| drawn_fact(draws, number)).collect()
}

fn order_of(facts: &[Fact], table: &Lifecycle) -> Order {
    let (mut order, mut sources) = (Order::new("o1"), Symbols::new(&[], "source", 9));
    for fact in facts {
        add(&mut order, fact, table, &mut sources, false).expect("there is room");
    }
    order
}

#[test]
fn a_step_equals_a_full_fold_after_every_event() {
    let table = lifecycle();
    for_all(|draws| {
        let (mut order, mut sources) = (Order::new("o1"), Symbols::new(&[], "source", 9));
        for fact in drawn_facts(draws, 14) {
            add(&mut order, &fact, &table, &mut sources, false).expect("there is room");
            let walked = walk(&order, &table).to_vec();
            let mut again = order.clone();
            again.walked = OnceCell::new();
            assert_eq!(walk(&again, &table), walked);
            refold(&mut again, &table);
            assert_eq!(pack(&again), pack(&order));
        }
    });
}

/// What the fold says, without the places of the entries in the history.
fn said(order: &Order) -> impl PartialEq + std::fmt::Debug {
    let mut parcels: Vec<_> = order
        .parcels
        .iter()
        .filter(|parcel| parcel.is_known())
        .map(|parcel| (parcel.name.clone(), parcel.status, parcel.ended_at, parcel.updated_at))
        .collect();
    parcels.sort();
    let firsts: Vec<_> =
        order.firsts.iter().map(|first| (first.status, order.at(first.entry))).collect();
    let seen = flags::IRREGULAR | flags::OUT_OF_SEQUENCE | flags::CORRECTED | flags::EMBRYO;
    (order.status, order.flags & seen, order.latest, order.created_at, parcels, firsts)
}

#[test]
fn every_permutation_of_events_ends_in_the_same_order() {
    let table = Lifecycle { order_fields_bytes: 1 << 20, ..lifecycle() };
    for_all(|draws| {
        let mut facts = drawn_facts(draws, 14);
        let first = order_of(&facts, &table);
        for place in (1..facts.len()).rev() {
            facts.swap(place, draws.below(place as u64 + 1) as usize);
        }
        assert_eq!(said(&order_of(&facts, &table)), said(&first));
    });
}

#[test]
fn pings_are_thinned_and_stay_their_own_duplicates() {
    let table = lifecycle();
    let scan = |number: u64| Fact {
        at: START + number as i64 * 1_000,
        arrival_at: START + number as i64 * 1_000,
        status: if number == 0 { PAID } else { SCAN },
        fields: None,
        ..drawn_fact(&mut Draws::of(1), number)
    };
    let facts: Vec<Fact> = (0..3_000).map(scan).collect();
    let order = order_of(&facts, &table);
    assert_eq!(order.version, 3_000);
    assert!(
        order.history.len() < MAX_ENTRIES && order.history.len() + order.thinned.len() == 3_000
    );
    assert!(
        facts.iter().all(|fact| order.find(fact.hash).is_some() != order.was_thinned(fact.hash))
    );
}

#[test]
fn unpacking_gives_back_what_was_packed() {
    let table = lifecycle();
    for_all(|draws| {
        let mut order = order_of(&drawn_facts(draws, 30), &table);
        order.armed_at = draws.one_of(&[0, 1, 255, START]);
        let packed = pack(&order);
        let again = unpack("o1", &packed).expect("it was packed");
        assert_eq!(pack(&again), packed);
        assert_eq!((again.latest, again.created_at), (order.latest, order.created_at));
        assert_eq!(armed_at_of(&packed), Ok(order.armed_at));
        assert_eq!(walk(&again, &table), walk(&order, &table));
    });
}

#[test]
fn an_order_of_another_format_is_refused() {
    let mut packed = pack(&Order::new("o1"));
    packed[3] = FORMAT + 1;
    let refused = unpack("o1", &packed).expect_err("it is of another format");
    let reason = format!("order o1: stored in format {}; this version reads format", FORMAT + 1);
    assert_eq!(refused.to_string(), format!("{reason} {FORMAT}"));
    assert!(matches!(unpack("o1", b"\xDC"), Err(Fault::Format { stored: 0, .. })));
}

#[test]
fn damaged_bytes_are_a_fault_and_never_a_panic() {
    let table = lifecycle();
    for_all(|draws| {
        let packed = pack(&order_of(&drawn_facts(draws, 6), &table));
        let end = draws.below(packed.len() as u64) as usize;
        assert!(unpack("o1", &packed[..end]).is_err());
        let mut damaged = packed.clone();
        damaged[end] = draws.next() as u8;
        if let Ok(order) = unpack("o1", &damaged) {
            unpack("o1", &pack(&order)).expect("what was read can be packed");
        }
        let _ = unpack("o1", &draws.bytes(60));
        let _ = Fact::read(&mut Reader::new(&draws.bytes(60)));
    });
}

#[test]
fn a_fact_is_read_as_it_was_written() {
    for_all(|draws| {
        let fact = drawn_fact(draws, 3);
        let mut written = Vec::new();
        fact.write(&mut written);
        assert_eq!(Fact::read(&mut Reader::new(&written)), Ok(fact));
    });
}

#[test]
fn an_entry_keeps_all_its_marks_and_numbers() {
    for_all(|draws| {
        let entry = Entry {
            number: 0,
            at: draws.below(1 << 42) as i64,
            status: draws.next() as u8,
            name: draws.next() as u8,
            marks: draws.below(1 << 12) as u16,
            arrival_at: draws.below(1 << 42) as i64,
            source: draws.next() as u16,
            hash: draws.next(),
        };
        assert_eq!(Entry::of(0, &entry.words()), entry);
    });
}

#[test]
fn forgetting_keeps_what_the_fold_does_not_compute() {
    let mut order = Order::new("o1");
    order.flags |= flags::MISSED;
    order.parcels = vec![Parcel { updated_at: 9, ..Parcel::new("A") }];
    order.promised_at = 9;
    order.forget();
    assert!(order.has(flags::MISSED));
    assert_eq!(order.parcels, [Parcel::new("A")]);
    assert_eq!((order.promised_at, order.latest_entry), (0, NO_ENTRY));
}

#[test]
fn of_rivals_one_wins_and_a_copy_that_says_something_else_contradicts_it() {
    let table = lifecycle();
    let fact = Arc::new(drawn_fact(&mut Draws::of(2), 0));
    let copy = Arc::new(Fact { raw: br#"{ "n": 0, "personal": 1 }"#.to_vec(), ..(*fact).clone() });
    let other = Arc::new(Fact { status: VOIDED, raw: b"{}".to_vec(), ..(*fact).clone() });
    let group = [fact.clone(), copy.clone(), other.clone()];
    let chosen = winners(&group).expect("it is JSON");
    assert_eq!((chosen.chosen.len(), chosen.duplicates.len()), (2, 1));
    let order = order_of(std::slice::from_ref(&fact), &table);
    assert!(!conflicts(&order, &copy));
    assert!(conflicts(&order, &other));
    assert!(winners(&[fact, Arc::new(Fact { raw: b"{".to_vec(), ..(*other).clone() })]).is_err());
}

#[test]
fn fields_of_another_type_than_the_doors_are_a_fault() {
    let mut fields = Fields::default();
    fields.add("references", |out| {
        write_map(out, 1);
        write_text(out, "waybill");
        write_int(out, 5);
    });
    let drawn = drawn_fact(&mut Draws::of(3), 0);
    assert_eq!(fault_of(Fact { fields: Some(fields), ..drawn }), Fault::Kind("references"));
}

#[test]
fn an_instant_that_an_entry_has_no_room_for_is_a_fault() {
    let drawn = drawn_fact(&mut Draws::of(3), 0);
    for at in [-1, 1 << 42] {
        assert_eq!(fault_of(Fact { at, ..drawn.clone() }), Fault::Unstorable(at));
        assert_eq!(fault_of(Fact { arrival_at: at, ..drawn.clone() }), Fault::Unstorable(at));
    }
}

fn fault_of(fact: Fact) -> Fault {
    let (mut order, mut sources) = (Order::new("o1"), Symbols::new(&[], "source", 9));
    match add(&mut order, &fact, &lifecycle(), &mut sources, false) {
        Err(Stop::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_that_is_not_what_its_history_says_differs() {
    let table = lifecycle();
    for_all(|draws| {
        let packed = pack(&order_of(&drawn_facts(draws, 9), &table));
        let mut order = stored("o1", &packed).expect("it was packed");
        assert!(differences(&order, &table).is_empty());
        order.status ^= 1;
        order.promised_at = 7;
        assert_eq!(differences(&order, &table), ["status", "promised_at"]);
    });
    let mut order = order_of(&drawn_facts(&mut Draws::of(1), 3), &table);
    order.history.clear();
    order.latest_entry = NO_ENTRY;
    order.created_entry = NO_ENTRY;
    let refused = stored("o1", &pack(&order)).expect_err("it has no entry");
    assert_eq!(refused.to_string(), "its history has 0 bytes, not 24 an entry");
}
