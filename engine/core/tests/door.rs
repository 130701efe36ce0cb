//! The door over its corpus: what it takes, what it leaves, and damage of either.

mod support;

use std::collections::{HashMap, HashSet};

use ordertide_core::door::{Door, Limits, Place, Shared, Table, Type};
use ordertide_core::fact::Fact;
use ordertide_core::msgpack::{Raw, Reader, write_all};
use ordertide_core::resolver::Registration;
use support::{Draws, for_all};

/// Messages that are taken.
const TAKEN: &str = include_str!("corpus/door_taken.ndjson");
/// Messages that are left.
const LEFT: &str = include_str!("corpus/door_left.ndjson");
const ARRIVAL_AT: i64 = 1_772_330_400_000;
const PLACE: Place<'_> = Place { topic: "events", partition: 3, offset: 70_000 };

fn door() -> Door {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<HashSet<_>>();
    let map = |names: &[(&str, &str)]| {
        names.iter().map(|&(name, of)| (name.to_owned(), of.to_owned())).collect()
    };
    let declared: [(&str, Type); 4] = [
        ("cold_chain", Type::Bool),
        ("pieces", Type::Int),
        ("temperature_c", Type::Float),
        ("grade", Type::Text),
    ];
    Door::new(Table {
        statuses: HashMap::from([("PAID".to_owned(), 4), ("NOTE".to_owned(), 5)]),
        is_note: vec![false, false, false, false, false, true],
        placeholders: set(&["n/a", "-"]),
        carriers: map(&[("sfexpress", "sf"), ("顺丰", "sf")]),
        declared: declared.into_iter().map(|(name, of)| (name.to_owned(), of)).collect(),
        readings: set(&["temperature_c"]),
        is_utc: true,
        datums: set(&["WGS84"]),
        default_tenant: "default".to_owned(),
        limits: Limits {
            event_bytes: 5_000,
            levels: 32,
            id_chars: 256,
            code_chars: 64,
            parcels: 250,
            ahead_ms: 86_400_000,
            earliest_at: 946_684_800_000,
            latest_at: 4_102_444_800_000,
            shards: 64,
        },
    })
}

fn shared(door: &Door, message: &[u8]) -> Option<Shared> {
    let event = door.read(message)?;
    let mut shared = Shared::new(door);
    shared.add(event, ARRIVAL_AT, PLACE).then_some(shared)
}

/// All facts of one that names its order; they can be packed and read again.
fn facts(shared: &Shared) -> Vec<Fact> {
    let facts: Vec<Fact> = shared.facts.iter().flatten().map(|fact| (**fact).clone()).collect();
    let mut packed = Vec::new();
    write_all(&mut packed, &facts, |out, fact| fact.write(out));
    assert_eq!(Reader::new(&packed).all(Fact::read).as_ref(), Ok(&facts));
    facts
}

fn has_question(shared: &Shared) -> bool {
    !Raw::of(&shared.questions.list()).expect("questions").list().is_empty()
}

#[test]
fn what_is_plain_is_taken_and_the_facts_can_be_read() {
    let door = door();
    for message in TAKEN.lines() {
        let shared = shared(&door, message.as_bytes()).expect(message);
        let facts = facts(&shared);
        assert_eq!(facts.len() + usize::from(has_question(&shared)), 1, "{message}");
        for fact in facts {
            assert_eq!(fact.raw, message.as_bytes());
            assert_eq!(
                (fact.arrival_at, &*fact.topic, fact.offset),
                (ARRIVAL_AT, "events", 70_000)
            );
        }
    }
}

#[test]
fn what_has_to_be_judged_is_left() {
    let door = door();
    for message in LEFT.lines() {
        assert!(shared(&door, message.as_bytes()).is_none(), "{message}");
    }
    assert!(door.read(b"\xff").is_none() && door.read(b"").is_none());
    assert!(door.read(&[b' '; 5_001]).is_none());
}

#[test]
fn damage_never_panics_and_never_makes_what_cannot_be_read() {
    let door = door();
    let corpus: Vec<&str> = TAKEN.lines().chain(LEFT.lines()).collect();
    for_all(|draws| {
        let message = damaged(draws.one_of(&corpus).as_bytes().to_vec(), draws);
        let Some(shared) = shared(&door, &message) else { return };
        assert!(facts(&shared).iter().all(|fact| fact.raw == message));
        for registered in shared.registrations.iter().flatten() {
            let mut packed = Vec::new();
            registered.write(&mut packed);
            let again = Registration::read(&mut Reader::new(&packed));
            assert_eq!(again.as_ref(), Ok(&**registered));
        }
        assert!(Raw::of(&shared.questions.list()).is_ok());
    });
}

fn damaged(mut message: Vec<u8>, draws: &mut Draws) -> Vec<u8> {
    for _ in 0..draws.below(4) {
        let at = draws.below(message.len() as u64) as usize;
        match draws.below(4) {
            0 => message[at] = draws.next() as u8,
            1 => message[at] ^= 1 << draws.below(8),
            2 => drop(message.splice(at..at, draws.bytes(4))),
            _ => message.truncate(at + 1),
        }
    }
    message
}

#[test]
fn an_event_far_ahead_of_its_arrival_is_left() {
    let door = door();
    let event = door.read(TAKEN.lines().next().expect("a line").as_bytes()).expect("it is plain");
    let earliest = event.at() - 86_400_000;
    assert!(Shared::new(&door).add(event.clone(), earliest, PLACE));
    assert!(!Shared::new(&door).add(event, earliest - 1, PLACE));
}
