//! Rules of an order: when alerts open, escalate and resolve, over a small lifecycle.

use std::sync::{Arc, Mutex};

use ordertide_core::fact::Fact;
use ordertide_core::fault::Fault;
use ordertide_core::instants::{DAY_MS, HOUR_MS};
use ordertide_core::lifecycle::{Lifecycle, Move, Status, Ways};
use ordertide_core::msgpack::{Reader, write_int, write_map, write_text};
use ordertide_core::order::history::add;
use ordertide_core::order::{Fields, Order, RuleFaultKind, flags};
use ordertide_core::rules::{
    Act, Anchor, BEYOND_MS, Condition, Conditions, Deadline, Desk, Evaluator, Intervals, Kind,
    Length, Limit, NEVER, NO_ALERT, OVERDUE, Rule, Rules, Seen, State, Transition, Verdict,
    WARNING, What, WorkingTime,
};
use ordertide_core::statuses::{NO_STATUS, StatusSet};
use ordertide_core::symbols::Symbols;

const PAID: u8 = 0;
const SHIPPED: u8 = 1;
const IN_TRANSIT: u8 = 2;
const CUSTOMS: u8 = 3;
const DELIVERED: u8 = 4;
const START: i64 = 20_000 * DAY_MS;

/// PAID → SHIPPED → DELIVERED, and of parcels IN_TRANSIT ⇄ CUSTOMS → DELIVERED.
fn lifecycle() -> Lifecycle {
    let set = |statuses: &[u8]| statuses.iter().copied().collect::<StatusSet>();
    let ways =
        |next: &[u8], all: &[u8]| Ways { next: set(next), regular: set(all), every: set(all) };
    let row = |code: &str, is_parcels: bool| Status {
        code: code.to_owned(),
        of_order: !is_parcels,
        of_shipment: is_parcels,
        logistics: is_parcels,
        arrives_back: NO_STATUS,
        ..Status::default()
    };
    let statuses = vec![
        Status {
            creates: true,
            order_ways: ways(&[SHIPPED], &[SHIPPED, DELIVERED]),
            ..row("PAID", false)
        },
        Status { order_ways: ways(&[DELIVERED], &[DELIVERED]), ..row("SHIPPED", false) },
        Status {
            moves_order: Some(Move { target: SHIPPED, all_of_them: false, until_all: NO_STATUS }),
            parcel_ways: ways(&[CUSTOMS, DELIVERED], &[IN_TRANSIT, CUSTOMS, DELIVERED]),
            ..row("IN_TRANSIT", true)
        },
        Status {
            parcel_ways: ways(&[IN_TRANSIT], &[IN_TRANSIT, CUSTOMS, DELIVERED]),
            ..row("CUSTOMS", true)
        },
        Status {
            of_order: true,
            of_both: true,
            ends: true,
            retire_after_ms: 30 * DAY_MS,
            moves_order: Some(Move { target: DELIVERED, all_of_them: true, until_all: NO_STATUS }),
            ..row("DELIVERED", true)
        },
    ];
    Lifecycle {
        statuses,
        second_life_after_ms: 1 << 60,
        order_fields_bytes: 250_000,
        whole: set(&[DELIVERED]),
        settles: set(&[DELIVERED]),
        under_way: set(&[SHIPPED]),
        coming_back: NO_STATUS,
        arrived_back: NO_STATUS,
        ..Lifecycle::default()
    }
}

fn limit(offset_ms: i64) -> Limit {
    Limit { text: format!("{}d", offset_ms / DAY_MS), length: Length::Span(offset_ms) }
}

fn counting(name: &str, kind: Kind, after: Limit) -> Vec<Deadline> {
    vec![Deadline { anchor: Anchor { name: name.to_owned(), kind }, after }]
}

fn act(kind: &str) -> Option<Arc<Act>> {
    Some(Arc::new(Act { kind: kind.to_owned(), expires_ms: DAY_MS }))
}

/// Not shipped within a day, overdue after two.
fn unshipped() -> Rule {
    Rule {
        id: "unshipped".into(),
        statuses: [PAID].into_iter().collect(),
        shipment_statuses: (0..=NO_STATUS).collect(),
        deadlines: counting("created", Kind::Created, limit(DAY_MS)),
        forward: true,
        back: true,
        level: WARNING,
        escalation: Some(limit(2 * DAY_MS)),
        action: act("remind"),
        escalated_action: act("call"),
        ..Rule::default()
    }
}

/// A parcel that nothing moved for three days; its time in customs, two days at most, aside.
fn silent() -> Rule {
    Rule {
        id: "silent".into(),
        per_shipment: true,
        statuses: [PAID, SHIPPED].into_iter().collect(),
        deadlines: counting("status_since", Kind::StatusSince, limit(3 * DAY_MS)),
        level: OVERDUE,
        escalation: None,
        pausing: vec![(CUSTOMS, 2 * DAY_MS)],
        ..unshipped()
    }
}

/// A parcel that is under way for three days; its time in customs, two days at most, aside.
fn under_way() -> Rule {
    Rule {
        statuses: [SHIPPED].into_iter().collect(),
        deadlines: counting(
            "milestone SHIPPED",
            Kind::Milestone([SHIPPED].into_iter().collect()),
            limit(3 * DAY_MS),
        ),
        ..silent()
    }
}

/// Reads the attribute `size` and can't evaluate -1.
#[derive(Default)]
struct Sizes(Mutex<usize>);

impl Evaluator for Sizes {
    fn verdict(&self, _: u16, seen: &Seen) -> Result<Verdict, Fault> {
        *self.0.lock().expect("one thread") += 1;
        let size = seen.attributes.iter().find(|(name, _)| *name == "size");
        let size = size.and_then(|(_, value)| value.int()).unwrap_or(0);
        let fault = if size < 0 { "below 0".to_owned() } else { String::new() };
        Ok(Verdict { is_true: size > 0, fault })
    }
}

/// An order, and the rules that evaluate it.
struct Stage {
    desk: Desk,
    order: Order,
    sources: Symbols,
    table: Arc<Lifecycle>,
    asked: Arc<Sizes>,
    said: Vec<Transition>,
    events: u64,
}

impl Stage {
    fn new(rules: Vec<Rule>) -> Self {
        Stage::with(rules, Symbols::new(&[], "rule", 16_000))
    }

    /// With the ids of stored alerts.
    fn with(rules: Vec<Rule>, symbols: Symbols) -> Self {
        let (table, asked) = (Arc::new(lifecycle()), Arc::new(Sizes::default()));
        let has_calendars = rules.iter().any(|rule| rule.calendars().next().is_some());
        let rules = Arc::new(Rules::new(rules, table.statuses.len() as u8, has_calendars));
        let conditions = Conditions::new(asked.clone());
        let desk = Desk::new(rules, table.clone(), conditions, symbols).expect("two names");
        let sources = Symbols::new(&[], "source", 65_535);
        Stage { desk, order: Order::new("o1"), sources, table, asked, said: vec![], events: 0 }
    }

    /// Take an event that arrives when it happens, so long after the start.
    fn hear(&mut self, status: u8, at: i64) -> Option<i64> {
        self.hear_later(status, at, at, None)
    }

    fn hear_later(
        &mut self,
        status: u8,
        at: i64,
        arrival_at: i64,
        fields: Option<Fields>,
    ) -> Option<i64> {
        self.events += 1;
        let fact = Fact {
            key: "o1".to_owned(),
            at: START + at,
            arrival_at: START + arrival_at,
            status,
            source: if self.table[status].of_shipment { "carrier:x" } else { "shop" }.to_owned(),
            event_id: self.events.to_string(),
            hash: self.events,
            counted: true,
            fields,
            ..Fact::default()
        };
        add(&mut self.order, &fact, &self.table, &mut self.sources, false).expect("an event");
        self.settle(arrival_at, arrival_at)
    }

    fn settle(&mut self, limit: i64, floor: i64) -> Option<i64> {
        let settled = self.desk.settle(&mut self.order, START + limit, START + floor);
        let (said, next_at) = settled.expect("an order");
        self.said.extend(said);
        next_at.map(|at| if at == NEVER { NEVER } else { at - START })
    }

    /// What was emitted since the last call, and when, since the start.
    fn told(&mut self) -> Vec<(What, i64)> {
        self.said.drain(..).map(|said| (said.what, said.at - START)).collect()
    }
}

fn fields(name: &str, write: impl FnOnce(&mut Vec<u8>)) -> Option<Fields> {
    let mut out = Vec::new();
    write_map(&mut out, 1);
    write_text(&mut out, name);
    write(&mut out);
    Some(Fields::read(&mut Reader::new(&out)).expect("a map"))
}

fn sized(size: i64) -> Option<Fields> {
    fields("attributes", |out| {
        write_map(out, 1);
        write_text(out, "size");
        write_int(out, size);
    })
}

#[test]
fn an_alert_opens_when_it_is_due_escalates_and_resolves() {
    let mut stage = Stage::new(vec![unshipped()]);
    assert_eq!(stage.hear(PAID, 0), Some(DAY_MS));
    assert_eq!(stage.settle(DAY_MS - 1, 0), Some(DAY_MS));
    assert_eq!(stage.settle(DAY_MS, 0), Some(2 * DAY_MS));
    assert_eq!(stage.told(), [(What::Opened, DAY_MS), (What::Action, DAY_MS)]);
    assert_eq!(stage.settle(2 * DAY_MS, 0), Some(NEVER));
    assert_eq!(stage.told(), [(What::Escalated, 2 * DAY_MS), (What::Action, 2 * DAY_MS)]);
    assert_eq!(stage.order.version, 3);
    stage.hear(SHIPPED, 3 * DAY_MS);
    assert_eq!(stage.told(), [(What::Resolved, 3 * DAY_MS)]);
    assert!(stage.order.alerts.is_empty());
}

#[test]
fn what_was_long_due_opens_and_escalates_at_once_at_the_arrival() {
    let mut stage = Stage::new(vec![unshipped()]);
    stage.hear_later(PAID, 0, 5 * DAY_MS, None);
    let whats: Vec<What> = stage.said.iter().map(|said| said.what).collect();
    assert_eq!(whats, [What::Opened, What::Action, What::Escalated, What::Action]);
    let because = stage.desk.because(&stage.order, &stage.said[2]);
    assert_eq!((because.anchor, because.limit, because.last_event), ("created", "2d", "PAID"));
    assert_eq!((because.anchor_at, because.due_at), (START, START + 2 * DAY_MS));
}

#[test]
fn a_deadline_that_was_stale_is_missed_once() {
    let stale = Rule { stale_after_ms: Some(DAY_MS), ..unshipped() };
    let mut stage = Stage::new(vec![stale]);
    stage.hear_later(PAID, 0, 5 * DAY_MS, None);
    stage.settle(6 * DAY_MS, 5 * DAY_MS);
    assert_eq!(stage.told(), [(What::Missed, 5 * DAY_MS)]);
    assert!(stage.order.has(flags::MISSED));
    assert_eq!(stage.desk.armed(&mut stage.order), Ok(vec![]));
}

#[test]
fn the_clock_of_a_parcel_stops_in_customs_for_two_days_at_most() {
    let mut stage = Stage::new(vec![under_way()]);
    stage.hear(PAID, 0);
    stage.hear(SHIPPED, 0);
    assert_eq!(stage.hear(IN_TRANSIT, HOUR_MS), Some(3 * DAY_MS));
    assert_eq!(stage.hear(CUSTOMS, DAY_MS), Some(5 * DAY_MS));
    assert_eq!(stage.hear(IN_TRANSIT, DAY_MS + HOUR_MS), Some(3 * DAY_MS + HOUR_MS));
}

#[test]
fn the_third_opening_within_14_days_flaps_and_acts_no_more() {
    let rule = Rule { action: act("ask"), level: WARNING, pausing: vec![], ..silent() };
    let mut stage = Stage::new(vec![rule]);
    stage.hear(PAID, 0);
    for (round, status) in [IN_TRANSIT, CUSTOMS, IN_TRANSIT].into_iter().enumerate() {
        let at = round as i64 * 4 * DAY_MS;
        stage.hear(status, at);
        stage.settle(at + 3 * DAY_MS, at);
    }
    let told: Vec<_> = stage.said.iter().map(|said| (said.what, said.is_flapping)).collect();
    let plain = [(What::Opened, false), (What::Action, false), (What::Resolved, false)];
    assert_eq!(told, [plain.as_slice(), plain.as_slice(), &[(What::Opened, true)]].concat());
    stage.told();
    assert_eq!(state(&mut stage, 11 * DAY_MS).0, State::Flapping);
    // It stays open until it wasn't wanted for 14 days.
    assert_eq!(stage.hear(CUSTOMS, 12 * DAY_MS), Some(15 * DAY_MS));
    assert_eq!(state(&mut stage, 12 * DAY_MS).0, State::Flapping);
    assert_eq!(stage.told(), []);
    assert_eq!(stage.hear(DELIVERED, 13 * DAY_MS), Some(43 * DAY_MS));
    assert_eq!(stage.told(), [(What::Resolved, 13 * DAY_MS)]);
}

#[test]
fn a_condition_is_evaluated_once_for_the_same_attributes() {
    let condition = Condition {
        text: "order.size > 0".to_owned(),
        reads_fields: false,
        of_order: Some(vec!["size".to_owned()]),
        of_reading: Some(vec![]),
        of_nothing: Verdict::default(),
    };
    let rule = Rule {
        when: Some(condition),
        on_condition: true,
        escalation: Some(limit(DAY_MS)),
        ..unshipped()
    };
    let mut stage = Stage::new(vec![rule]);
    stage.hear(PAID, 0);
    assert_eq!(stage.told(), []);
    assert_eq!(*stage.asked.0.lock().expect("one thread"), 0);
    stage.hear_later(PAID, 1, HOUR_MS, sized(5));
    assert_eq!(stage.told(), [(What::Opened, HOUR_MS), (What::Action, HOUR_MS)]);
    stage.hear_later(PAID, 2, 2 * HOUR_MS, sized(5));
    assert_eq!(*stage.asked.0.lock().expect("one thread"), 1);
    // The escalation counts from the opening.
    assert_eq!(stage.settle(HOUR_MS + DAY_MS, 2 * HOUR_MS), Some(NEVER));
    let because = stage.desk.because(&stage.order, &stage.said[0]);
    assert_eq!((because.anchor, because.anchor_at), ("condition", START + HOUR_MS));
    assert_eq!(stage.told()[0], (What::Escalated, HOUR_MS + DAY_MS));
}

#[test]
fn a_fault_of_a_condition_is_audited_once_and_changes_no_document() {
    let condition = Condition {
        text: "order.size > 0".to_owned(),
        reads_fields: false,
        of_order: None,
        of_reading: None,
        of_nothing: Verdict::default(),
    };
    let mut stage = Stage::new(vec![Rule { when: Some(condition), ..unshipped() }]);
    stage.hear_later(PAID, 0, 0, sized(-1));
    stage.hear_later(PAID, 1, 1, None);
    let reasons: Vec<_> = stage.said.iter().map(|said| (said.what, &*said.reason)).collect();
    let fault = What::Fault(RuleFaultKind::Condition);
    assert_eq!(reasons, [(fault, "below 0"), (fault, "")]);
    assert_eq!(stage.order.version, 2);
}

#[test]
fn outside_the_years_of_its_calendar_a_rule_has_no_deadline() {
    let calendar = Arc::new(WorkingTime {
        shown: "calendar.office (1970 to 1970)".to_owned(),
        begins_at: 0,
        ends_at: 365 * DAY_MS,
        days: Intervals::new(&[(0, DAY_MS)]),
        hours: Intervals::new(&[]),
        cut_off: vec![],
    });
    let length = Length::Working { calendar, working_ms: DAY_MS, in_hours: false };
    let after = Limit { text: "1wd".to_owned(), length };
    assert_eq!(after.due_at(START), BEYOND_MS);
    let rule = Rule {
        deadlines: counting("created", Kind::Created, after),
        escalation: None,
        ..unshipped()
    };
    let mut stage = Stage::new(vec![rule]);
    assert_eq!(stage.hear(PAID, 0), Some(NEVER));
    assert_eq!(
        stage.said[0].reason,
        "its deadline is outside the years of calendar.office (1970 to 1970); name more years there"
    );
    assert_eq!(stage.desk.is_outside_calendar(&mut stage.order), Ok(true));
    assert_eq!(state(&mut stage, 0).0, State::OutsideCalendar);
    assert_eq!(stage.desk.armed(&mut stage.order), Ok(vec![]));
}

#[test]
fn a_warning_ahead_of_a_promise_takes_half_of_the_time_promised_at_most() {
    let rule = Rule {
        deadlines: counting("promised_at", Kind::PromisedAt, limit(-5 * DAY_MS)),
        escalation: None,
        ..unshipped()
    };
    let mut stage = Stage::new(vec![rule]);
    let promised = fields("promised_at", |out| write_int(out, START + 4 * DAY_MS));
    assert_eq!(stage.hear_later(PAID, 0, 0, promised), Some(2 * DAY_MS));
}

#[test]
fn an_order_retires_but_for_its_open_alerts() {
    let late = Rule {
        statuses: [DELIVERED].into_iter().collect(),
        deadlines: counting(
            "milestone DELIVERED",
            Kind::Milestone([DELIVERED].into_iter().collect()),
            limit(30 * DAY_MS),
        ),
        escalation: None,
        ..unshipped()
    };
    let mut stage = Stage::new(vec![]);
    stage.hear(PAID, 0);
    assert_eq!(stage.hear(DELIVERED, DAY_MS), Some(31 * DAY_MS));
    assert_eq!(stage.settle(31 * DAY_MS, DAY_MS), None);
    let mut stage = Stage::new(vec![late]);
    stage.hear(PAID, 0);
    stage.hear(DELIVERED, DAY_MS);
    assert_eq!(stage.settle(31 * DAY_MS, DAY_MS), Some(NEVER));
    assert_eq!(stage.told()[0], (What::Opened, 31 * DAY_MS));
}

#[test]
fn an_alert_whose_rule_has_left_the_file_resolves_and_names_it() {
    let mut stage = Stage::new(vec![unshipped()]);
    stage.hear(PAID, 0);
    stage.settle(2 * DAY_MS, 0);
    let mut after = Stage::with(vec![], stage.desk.symbols().clone());
    after.order = Order { terms: None, ..stage.order };
    after.settle(3 * DAY_MS, 3 * DAY_MS);
    let resolved = &after.said[0];
    assert_eq!((resolved.what, resolved.level), (What::Resolved, OVERDUE));
    assert_eq!(after.desk.id_of(resolved.rule), "unshipped");
    let because = after.desk.because(&after.order, resolved);
    assert_eq!((because.anchor, because.limit), ("rule removed", ""));
    assert_eq!(because.anchor_at, START + 2 * DAY_MS);
}

fn state(stage: &mut Stage, at: i64) -> (State, String) {
    let found = stage.desk.explain(&mut stage.order, START + at, false).expect("an order");
    let [found] = &found[..] else { panic!("{found:?}") };
    (found.state, found.detail.clone())
}

#[test]
fn an_explanation_names_the_state_and_what_decided_it() {
    let mut stage = Stage::new(vec![unshipped()]);
    assert_eq!(state(&mut stage, 0), (State::Embryo, String::new()));
    stage.hear(PAID, 0);
    let found = stage.desk.explain(&mut stage.order, START, false).expect("an order");
    assert_eq!((found[0].state, found[0].due_at), (State::Armed, START + DAY_MS));
    assert_eq!(found[0].escalates_at, START + 2 * DAY_MS);
    stage.settle(DAY_MS, 0);
    assert_eq!(state(&mut stage, DAY_MS), (State::Open, "created".to_owned()));
    let retired = stage.desk.explain(&mut stage.order, START, true).expect("an order");
    assert_eq!(retired[0].state, State::Retired);
    stage.hear(SHIPPED, 2 * DAY_MS);
    assert_eq!(state(&mut stage, 2 * DAY_MS), (State::Status, "SHIPPED".to_owned()));
}

#[test]
fn an_explanation_of_a_rule_that_only_acts_names_its_request() {
    let mut stage = Stage::new(vec![Rule { level: NO_ALERT, escalation: None, ..unshipped() }]);
    stage.hear(PAID, 0);
    assert_eq!(state(&mut stage, 0).0, State::Armed);
    stage.settle(DAY_MS, 0);
    assert_eq!(state(&mut stage, DAY_MS).0, State::Acted);
}

#[test]
fn an_explanation_of_a_stale_deadline_names_it_missed() {
    let mut stage = Stage::new(vec![Rule { stale_after_ms: Some(DAY_MS), ..unshipped() }]);
    stage.hear_later(PAID, 0, 5 * DAY_MS, None);
    assert_eq!(state(&mut stage, 5 * DAY_MS).0, State::Missed);
}

#[test]
fn an_explanation_names_until_when_the_clock_stands_still() {
    let mut stage = Stage::new(vec![under_way()]);
    for (status, at) in [(PAID, 0), (SHIPPED, 0), (IN_TRANSIT, HOUR_MS), (CUSTOMS, DAY_MS)] {
        stage.hear(status, at);
    }
    let until = |stage: &mut Stage, at: i64| {
        let found = stage.desk.explain(&mut stage.order, START + at, false).expect("an order");
        (found[0].paused_until, found[0].due_at - START)
    };
    assert_eq!(until(&mut stage, DAY_MS), (START + 3 * DAY_MS, 5 * DAY_MS));
    assert_eq!(until(&mut stage, 3 * DAY_MS), (0, 5 * DAY_MS));
}
