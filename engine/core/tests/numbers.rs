//! Properties of the resolver's numbers, over generated input.

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use ordertide_core::fault::Fault;
use ordertide_core::instants::DAY_MS;
use ordertide_core::resolver::{
    Answer, HASH_BYTES, Hash, Limits, NumberTable, Numbers, Question, Registration, hash_of,
};

use support::{Draws, for_all};

const BEGIN: i64 = 19_000 * DAY_MS;

fn limits(crowd_bytes: usize) -> Limits {
    Limits {
        forget_after_ms: 180 * DAY_MS,
        forget_unused_after_ms: 1_096 * DAY_MS,
        shared_within_ms: 3 * DAY_MS,
        max_orders: 4,
        crowd_bytes,
    }
}

/// A number of few, so that they meet, and an instant and arrival around the limits of days.
fn drawn_event(draws: &mut Draws) -> (&'static str, &'static str, i64, i64) {
    let number = draws.one_of(&["W1", "W1", "W2", "SO-1"]);
    let carrier = draws.one_of(&["", "", "sf", "sto"]);
    let day = draws.one_of(&[0, 1, 3, 4, 100, 179, 180, 181, 300, 1_096, 1_097]);
    let lag = draws.one_of(&[0, 0, 0, 1, 100, 181]);
    let at = BEGIN + day * DAY_MS + draws.below(2) as i64;
    (number, carrier, at, at + lag * DAY_MS)
}

/// One step: register, ask or forget. What came of it.
fn step(numbers: &mut Numbers, draws: &mut Draws) -> Option<Answer> {
    let (number, carrier, at, arrival_at) = drawn_event(draws);
    let order = draws.one_of(&["o1", "o2", "o3", "o4", "o5", "o6"]);
    match draws.below(5) {
        0 => numbers.forget(arrival_at),
        1 | 2 => numbers.register(number, order, carrier, at, arrival_at).expect("plausible"),
        _ => {
            let asked = Question { number, carrier, at, arrival_at };
            return Some(numbers.answer(&asked, arrival_at).expect("plausible"));
        }
    }
    None
}

fn state(numbers: &Numbers) -> Vec<(Hash, Vec<u8>)> {
    let mut found: Vec<_> =
        numbers.table().iter().map(|(key, rest)| (key, rest.to_vec())).collect();
    found.extend(numbers.crowds().expect("whole"));
    found.sort();
    found
}

fn based_on(numbers: &Numbers, crowd_bytes: usize) -> Numbers {
    let crowds = numbers.crowds().expect("whole");
    let crowds: Vec<_> = crowds.iter().map(|(key, record)| (*key, record.as_slice())).collect();
    let days = numbers.days().map(|(day, places)| (day, places.to_vec()));
    let mut again = Numbers::new(limits(crowd_bytes));
    again.restore(numbers.table().pages().to_vec(), numbers.table().len(), days, &crowds);
    again
}

#[test]
fn a_table_holds_what_a_map_would_hold() {
    for_all(|draws| {
        let (mut table, mut expected) = (NumberTable::default(), HashMap::new());
        for _ in 0..200 {
            // Few different bytes: then a hash often stands inside another record too.
            let mut bits = draws.next() & 0x3FF;
            let key: Hash = std::array::from_fn(|_| {
                bits >>= 1;
                (bits & 1) as u8
            });
            let record = if draws.below(4) == 0 { vec![] } else { [&key[..], &key[..5]].concat() };
            let is_new = !record.is_empty() && !expected.contains_key(&key);
            assert_eq!(table.put(&key, &record), is_new);
            if record.is_empty() {
                expected.remove(&key);
            } else {
                expected.insert(key, record.clone());
            }
            assert_eq!(table.get(&key), record);
        }
        assert_eq!(table.len(), expected.len());
        let again = NumberTable::of(table.pages().to_vec());
        for found in [table, again] {
            let held: HashMap<_, _> =
                found.iter().map(|(key, rest)| (key, rest.to_vec())).collect();
            assert_eq!(held, expected);
        }
    });
}

#[test]
fn pages_are_split_one_by_one_and_stay_short() {
    let (mut table, mut draws) = (NumberTable::default(), Draws::of(20_161_004));
    let keys: Vec<Hash> = (0..5_000).map(|_| hash_of(&draws.next().to_string())).collect();
    for (count, key) in keys.iter().enumerate() {
        let pages = table.pages().len();
        assert!(table.put(key, b"5 raw"));
        assert!(table.pages().len() <= pages + 1);
        assert!(count < 16 * table.pages().len());
    }
    assert!(keys.iter().all(|key| table.get(key) == b"5 raw"));
    let longest = table.pages().iter().map(Vec::len).max().expect("pages");
    assert!(longest / (HASH_BYTES + 4 + 5) < 4 * 16, "an unsplit page has twice as many");
}

#[test]
fn a_crowd_is_answered_as_any_number_is() {
    for_all(|draws| {
        let seed = draws.next();
        let found = [0, 100, usize::MAX].map(|crowd_bytes| {
            let (mut numbers, mut draws) = (Numbers::new(limits(crowd_bytes)), Draws::of(seed));
            let answers: Vec<_> = (0..60).map(|_| step(&mut numbers, &mut draws)).collect();
            (answers, state(&numbers))
        });
        assert!(found.iter().all(|each| *each == found[0]));
    });
}

#[test]
fn a_base_and_the_deltas_after_it_are_the_numbers() {
    for_all(|draws| {
        let crowd_bytes = draws.one_of(&[0, 100, usize::MAX]);
        let mut numbers = Numbers::new(limits(crowd_bytes));
        let mut again = based_on(&numbers, crowd_bytes);
        for _ in 0..80 {
            step(&mut numbers, draws);
            if draws.below(3) == 0 {
                for (key, record) in numbers.changed().expect("whole") {
                    again.take(key, &record);
                }
                for (key, record) in numbers.changed_orders() {
                    again.join(key, &record);
                }
                numbers.settle();
                assert!(!numbers.has_changed());
                assert_eq!(state(&again), state(&numbers));
            }
            if draws.below(9) == 0 {
                again = based_on(&numbers, crowd_bytes);
                numbers.settle();
            }
        }
        for day in 0..40 {
            numbers.forget(BEGIN + (3_000 + day) * DAY_MS);
        }
        assert!(numbers.is_empty(), "all are forgotten in the end");
    });
}

#[test]
fn a_damaged_record_concerns_its_number_alone() {
    for_all(|draws| {
        let mut numbers = Numbers::new(limits(draws.one_of(&[0, 30, 2_000])));
        let record = draws.bytes(60);
        numbers.take(hash_of("W1"), &record);
        numbers.register("W2", "o1", "", BEGIN, BEGIN).expect("another number");
        let asked = |number| Question { number, carrier: "", at: BEGIN, arrival_at: BEGIN };
        let _ = numbers.answer(&asked("W1"), BEGIN);
        let _ = numbers.register("W1", "o1", "", BEGIN, BEGIN);
        let expected = Answer::Orders { orders: vec!["o1".to_owned()], is_news: true };
        assert_eq!(numbers.answer(&asked("W2"), BEGIN), Ok(expected));
        for day in 0..40 {
            numbers.forget(BEGIN + (3_000 + 30 * day) * DAY_MS);
        }
        assert!(numbers.mappings(&hash_of("W2")).expect("whole").is_empty());
    });
}

#[test]
fn of_a_damaged_page_the_records_before_the_damage_are_kept() {
    for_all(|draws| {
        let mut table = NumberTable::default();
        for number in 0..12 {
            table.put(&hash_of(&format!("W{number}")), b"record");
        }
        let mut page = table.pages()[0].clone();
        let at = draws.below(page.len() as u64) as usize;
        if draws.below(2) == 0 {
            page.truncate(at);
        } else {
            page[at] ^= 1 + draws.below(255) as u8;
        }
        let kept: Vec<_> = table.iter().take(at / (HASH_BYTES + 4 + 6)).collect();
        let again = NumberTable::of(vec![page]);
        assert_eq!(again.iter().take(kept.len()).collect::<Vec<_>>(), kept);
        assert_eq!(again.iter().count(), again.len());
        assert!(again.iter().all(|(_, record)| !record.is_empty()));
    });
    assert!(NumberTable::of(vec![]).is_empty());
}

#[test]
fn the_last_of_a_thousand_orders_changes_its_own_mapping_alone() {
    let mut numbers = Numbers::new(limits(2_000));
    let register = |numbers: &mut Numbers, order: i64| {
        let at = BEGIN + order;
        numbers.register("N/A", &format!("o{order}"), "", at, at).expect("plausible");
    };
    (0..1_000).for_each(|order| register(&mut numbers, order));
    numbers.settle();
    register(&mut numbers, 1_000);
    assert!(numbers.changed().expect("whole").is_empty());
    let [(_, record)] = numbers.changed_orders().try_into().expect("one");
    assert_eq!(record.len(), 24 + "o1000".len());
    assert_eq!(numbers.most_orders(), 1_001);
    numbers.register("N/A", "o7", "", BEGIN + 8, BEGIN + 8).expect("plausible");
    assert_eq!(numbers.changed_orders().len(), 1, "it says nothing new");
    assert_eq!(numbers.len(), 1);
}

#[test]
fn what_is_held_is_registered_by_arrival_and_ends_after_an_instant_that_is_awaited() {
    for_all(|draws| {
        let mut offered: Vec<_> = (0..draws.below(30))
            .map(|order| {
                let (number, carrier, at, arrival_at) = drawn_event(draws);
                let (number, carrier) = (number.to_owned(), carrier.to_owned());
                let order = format!("o{order}");
                Arc::new(Registration { arrival_at, number, order, carrier, at })
            })
            .collect();
        let (mut held, mut alone) = (Numbers::new(limits(200)), Numbers::new(limits(200)));
        for part in offered.chunks(7) {
            held.offer(part);
        }
        let mut again = Numbers::new(limits(200));
        again.hold(&held.held()).expect("whole");
        assert!(held.has_changed() != offered.is_empty() && !again.has_changed());
        offered.sort();
        for each in &offered {
            let Registration { number, order, carrier, at, arrival_at } = &**each;
            alone.register(number, order, carrier, *at, *arrival_at).expect("plausible");
        }
        let mut left = offered.as_slice();
        let waits = |number: &str| Ok::<_, Fault>(number == "W2");
        while let Some((at, numbers)) = held.register_through(i64::MAX, waits).unwrap().ended {
            let taken = left.partition_point(|each| each.arrival_at <= at);
            let mut awaited = left[..taken].iter().filter(|each| each.number == "W2");
            assert!(awaited.all(|each| each.arrival_at == at), "it ends after the first instant");
            assert_eq!(numbers, ["W2"]);
            left = &left[taken..];
            assert_eq!(held.next_arrival(), left.first().map(|each| each.arrival_at));
        }
        assert!(left.iter().all(|each| each.number != "W2"));
        again.register_through(i64::MAX, |_| Ok::<_, Fault>(false)).unwrap();
        assert_eq!(state(&held), state(&alone));
        assert_eq!(state(&again), state(&alone));
    });
}
