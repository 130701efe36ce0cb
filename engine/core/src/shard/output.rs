//! Output: what a shard emits after its clock moved, in JSON as the topics carry it.

use std::ops::Range;
use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::instants;
use crate::json::Json;
use crate::keys::{action_id, content_id};
use crate::lifecycle::Lifecycle;
use crate::order::extras::LOST;
use crate::order::{Order, RuleFaultKind, flags};
use crate::refusal::Refusal;
use crate::rules::{Act, Desk, NO_ALERT, Transition, What};
use crate::shard::documents::{
    alert_id_of, because, document, name_order, published_version, severity,
};
use crate::shard::set_aside::{INTERNAL_FAULT, OrderFault};

/// The place of a message in `Output::written`, by the key of its order.
pub type Keyed = (Arc<str>, Range<usize>);

/// An order to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: Arc<str>,
    /// Its published version.
    pub version: u64,
    /// The place of its document in `Output::written`; None: a tombstone.
    pub document: Option<Range<usize>>,
}

/// What a shard emits, each list in the order in which it was emitted.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// All messages in JSON, one after the other: an allocation each would cost more than the text.
    pub written: Json,
    /// Orders to publish.
    pub changes: Vec<Change>,
    /// Accepted events.
    pub accepted: Vec<Keyed>,
    /// Alert transitions.
    pub alerts: Vec<Keyed>,
    /// Requested actions.
    pub actions: Vec<Keyed>,
    /// Audit entries.
    pub audit: Vec<Keyed>,
    /// Facts that can't be taken, and why.
    pub rejected: Vec<(Arc<Fact>, Refusal)>,
    /// Orders that could not be evaluated.
    pub faults: Vec<OrderFault>,
    /// Ids of the rules whose conditions could not be evaluated.
    pub condition_faults: Vec<String>,
    /// (id of the rule, reason) of deadlines outside the years of their calendar.
    pub outside_calendar: Vec<(String, String)>,
    /// Counts of messages: applied, duplicates, commands refused.
    pub applied: u64,
    /// See `applied`.
    pub duplicates: u64,
    /// See `applied`.
    pub refused: u64,
    /// Events of which some fields didn't fit.
    pub fields_lost: u64,
}

/// How much an output holds: the lengths of its lists, and its counts of messages.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    written: usize,
    changes: usize,
    accepted: usize,
    alerts: usize,
    actions: usize,
    audit: usize,
    rejected: usize,
    faults: usize,
    condition_faults: usize,
    outside_calendar: usize,
    messages: [u64; 4],
}

/// Who learns what becomes of each fact of an arrival.
pub trait Outcomes {
    /// A fact that the order has already.
    fn duplicate(&mut self, fact: &Arc<Fact>);

    /// A fact that can't be taken, and why.
    fn reject(&mut self, fact: &Arc<Fact>, reason: Refusal);

    /// A fact that was applied, or a command that was refused.
    ///
    /// # Errors
    /// It can't be written.
    fn took(&mut self, order: &Order, fact: &Arc<Fact>, is_refused: bool) -> Result<(), Fault>;
}

/// An output with the lifecycle by which it is written.
pub struct Writing<'a> {
    /// The output.
    pub out: &'a mut Output,
    /// The lifecycle.
    pub table: &'a Lifecycle,
}

impl Outcomes for Writing<'_> {
    fn duplicate(&mut self, fact: &Arc<Fact>) {
        self.out.duplicates += u64::from(fact.counted);
    }

    fn reject(&mut self, fact: &Arc<Fact>, reason: Refusal) {
        self.out.rejected.push((fact.clone(), reason));
    }

    fn took(&mut self, order: &Order, fact: &Arc<Fact>, is_refused: bool) -> Result<(), Fault> {
        if fact.command {
            self.verdict(order, fact, is_refused)?;
        }
        if is_refused {
            self.out.refused += u64::from(fact.counted);
            return Ok(());
        }
        self.applied(&order.key, fact, loses_fields(order, fact))
    }
}

impl Writing<'_> {
    /// Write a fact that was applied to an order; `loses_fields` where some of it didn't fit.
    ///
    /// # Errors
    /// It can't be written.
    pub fn applied(
        &mut self,
        key: &Arc<str>,
        fact: &Fact,
        loses_fields: bool,
    ) -> Result<(), Fault> {
        self.out.applied += u64::from(fact.counted);
        self.out.fields_lost += u64::from(loses_fields);
        if fact.corrects != 0 {
            let (event, corrects) = (hex(fact.hash), hex(fact.corrects));
            let detail = [("corrects", corrects.as_str()), ("event", &event)];
            self.tell(key, fact, "event.corrected", &detail)?;
        }
        let accepted = accepted_event(&mut self.out.written, fact, self.table)?;
        self.out.accepted.push((key.clone(), accepted));
        Ok(())
    }

    /// Write a command and its verdict to the audit log.
    fn verdict(&mut self, order: &Order, fact: &Fact, is_refused: bool) -> Result<(), Fault> {
        let command = self.table.code(fact.status).ok_or(Fault::Status(fact.status))?;
        let event = hex(fact.hash);
        let status = self.table.code(order.status).unwrap_or("none");
        let detail = [("command", command), ("event", &event), ("status", status)];
        let what = if is_refused { "command.refused" } else { "command.accepted" };
        self.tell(&order.key, fact, what, &detail)
    }

    /// Write to the audit log what a fact did, and who sent it.
    fn tell(
        &mut self,
        key: &str,
        fact: &Fact,
        what: &str,
        detail: &[(&'static str, &str)],
    ) -> Result<(), Fault> {
        let entry = Audit {
            operator: fact.operator.as_deref(),
            ip: fact.ip.as_deref(),
            source: Some(&fact.source),
            ..Audit::new(key, what, fact.arrival_at, detail)
        };
        let entry = entry.write(&mut self.out.written)?;
        self.out.audit.push((Arc::from(key), entry));
        Ok(())
    }
}

impl Output {
    /// Create an empty output with room for messages of so many bytes.
    pub fn with_room(size_bytes: usize) -> Output {
        Output { written: Json::with_room(size_bytes), ..Output::default() }
    }

    /// The message at a place.
    pub fn message(&self, place: &Range<usize>) -> &[u8] {
        &self.written.0[place.clone()]
    }

    /// How much there is, for `put_back`.
    pub fn counts(&self) -> Counts {
        Counts {
            written: self.written.0.len(),
            changes: self.changes.len(),
            accepted: self.accepted.len(),
            alerts: self.alerts.len(),
            actions: self.actions.len(),
            audit: self.audit.len(),
            rejected: self.rejected.len(),
            faults: self.faults.len(),
            condition_faults: self.condition_faults.len(),
            outside_calendar: self.outside_calendar.len(),
            messages: [self.applied, self.duplicates, self.refused, self.fields_lost],
        }
    }

    /// Drop what came after there was so much.
    pub fn put_back(&mut self, before: &Counts) {
        self.written.0.truncate(before.written);
        self.changes.truncate(before.changes);
        self.accepted.truncate(before.accepted);
        self.alerts.truncate(before.alerts);
        self.actions.truncate(before.actions);
        self.audit.truncate(before.audit);
        self.rejected.truncate(before.rejected);
        self.faults.truncate(before.faults);
        self.condition_faults.truncate(before.condition_faults);
        self.outside_calendar.truncate(before.outside_calendar);
        [self.applied, self.duplicates, self.refused, self.fields_lost] = before.messages;
    }

    /// Publish an order in a state of a generation.
    ///
    /// # Errors
    /// It can't be written.
    pub fn publish(
        &mut self,
        order: &mut Order,
        desk: &Desk,
        generation: u64,
    ) -> Result<(), Fault> {
        let start = self.written.0.len();
        document(&mut self.written, order, desk, generation)?;
        self.change(order, generation, Some(self.written.since(start)));
        Ok(())
    }

    /// Publish that an order has retired.
    pub fn retire(&mut self, order: &Order, generation: u64) {
        self.change(order, generation, None);
    }

    fn change(&mut self, order: &Order, generation: u64, document: Option<Range<usize>>) {
        let version = published_version(generation, order.version);
        self.changes.push(Change { key: order.key.clone(), version, document });
    }

    /// Write to the audit log that an order was set aside.
    ///
    /// # Errors
    /// The instant can't be written.
    pub fn set_aside(&mut self, key: &Arc<str>, at: i64, reason: &str) -> Result<(), Fault> {
        let detail = [("code", INTERNAL_FAULT), ("reason", reason)];
        let entry = Audit::new(key, "order.set_aside", at, &detail).write(&mut self.written)?;
        self.audit.push((key.clone(), entry));
        Ok(())
    }

    /// Write to the audit log that an order set aside is evaluated again.
    ///
    /// # Errors
    /// The instant can't be written.
    pub fn released(&mut self, key: &Arc<str>, at: i64) -> Result<(), Fault> {
        let entry = Audit::new(key, "order.released", at, &[]).write(&mut self.written)?;
        self.audit.push((key.clone(), entry));
        Ok(())
    }

    /// Publish a transition, and write it to the audit log.
    ///
    /// # Errors
    /// It can't be written.
    pub fn say(&mut self, order: &Order, desk: &Desk, said: &Transition) -> Result<(), Fault> {
        let key = order.key.clone();
        let rule = desk.id_of(said.rule);
        let source = format!("rule:{rule}");
        let audit = match (&said.what, &said.act) {
            (What::Fault(kind), _) => {
                self.count_fault(*kind, rule, &said.reason);
                if said.reason.is_empty() {
                    return Ok(());
                }
                fault_entry(&mut self.written, &key, *kind, rule, &source, said)?
            }
            (What::Missed, _) => missed_entry(&mut self.written, order, desk, &source, said)?,
            (What::Action, Some(act)) => {
                let id = action_id(&order.key, rule, order.hash_of(said.anchor), &act.kind);
                let action = action_of(&mut self.written, order, desk, said, act, &id)?;
                let detail = [("action_id", id.as_str()), ("kind", &act.kind)];
                let entry = Audit {
                    source: Some(&source),
                    action: Some(&action),
                    ..Audit::new(&key, "action.requested", said.at, &detail)
                };
                let entry = entry.write(&mut self.written)?;
                self.actions.push((key.clone(), action));
                entry
            }
            _ => {
                let id = alert_id_of(order, desk, said)?;
                let alert = alert_of(&mut self.written, order, desk, said, &id)?;
                let detail = [("alert_id", id.as_str())];
                let what = format!("alert.{}", state_of(said.what));
                let entry = Audit {
                    source: Some(&source),
                    alert: Some(&alert),
                    ..Audit::new(&key, &what, said.at, &detail)
                };
                let entry = entry.write(&mut self.written)?;
                self.alerts.push((key.clone(), alert));
                entry
            }
        };
        self.audit.push((key, audit));
        Ok(())
    }

    fn count_fault(&mut self, kind: RuleFaultKind, rule: &str, reason: &str) {
        match kind {
            RuleFaultKind::Condition => self.condition_faults.push(rule.to_owned()),
            RuleFaultKind::OutsideYears => {
                self.outside_calendar.push((rule.to_owned(), reason.to_owned()));
            }
        }
    }
}

/// An audit entry; its id is a hash of what it says.
struct Audit<'a> {
    key: &'a str,
    what: &'a str,
    at: i64,
    detail: &'a [(&'static str, &'a str)], // by name
    alert: Option<&'a Range<usize>>,       // places in what is written
    action: Option<&'a Range<usize>>,
    operator: Option<&'a str>,
    ip: Option<&'a str>,
    source: Option<&'a str>,
}

impl<'a> Audit<'a> {
    fn new(
        key: &'a str,
        what: &'a str,
        at: i64,
        detail: &'a [(&'static str, &'a str)],
    ) -> Audit<'a> {
        Audit {
            key,
            what,
            at,
            detail,
            alert: None,
            action: None,
            operator: None,
            ip: None,
            source: None,
        }
    }

    fn id(&self) -> String {
        let at = self.at.to_string();
        let told: Vec<_> =
            self.detail.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut parts = vec!["audit", self.key, self.what, &at];
        parts.extend(told.iter().map(String::as_str));
        content_id(&parts)
    }

    /// Append the entry; its place.
    fn write(&self, json: &mut Json) -> Result<Range<usize>, Fault> {
        let start = json.0.len();
        json.open();
        json.name("audit_id");
        json.text(&self.id());
        json.name("at");
        json.instant(self.at)?;
        json.name("what");
        json.text(self.what);
        name_order(json, self.key);
        json.name("detail");
        json.open();
        for (name, value) in self.detail {
            json.name(name);
            json.text(value);
        }
        json.close();
        for (name, written) in [("alert", self.alert), ("action", self.action)] {
            if let Some(written) = written {
                json.name(name);
                json.again(written);
            }
        }
        for (name, text) in [("operator", self.operator), ("ip", self.ip), ("source", self.source)]
        {
            if let Some(text) = text {
                json.name(name);
                json.text(text);
            }
        }
        json.close();
        Ok(json.since(start))
    }
}

/// Return true if fields of a fact that was applied didn't fit into the order.
pub fn loses_fields(order: &Order, fact: &Fact) -> bool {
    let extras = || order.find(fact.hash).and_then(|entry| order.extras_of(entry));
    order.has(flags::ORDER_FULL) && extras().is_some_and(|fields| fields.has(LOST))
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn state_of(what: What) -> &'static str {
    match what {
        What::Opened => "opened",
        What::Escalated => "escalated",
        _ => "resolved",
    }
}

/// The fact as orders.events keeps it.
fn accepted_event(json: &mut Json, fact: &Fact, table: &Lifecycle) -> Result<Range<usize>, Fault> {
    let start = json.0.len();
    json.open();
    name_order(json, &fact.key);
    json.name("arrival_at");
    json.instant(fact.arrival_at)?;
    json.name("event_hash");
    json.hash(fact.hash);
    json.name("status");
    json.text(table.code(fact.status).ok_or(Fault::Status(fact.status))?);
    json.name("at");
    json.instant(fact.at)?;
    json.name("shipment");
    json.text(&fact.shipment);
    json.name("topic");
    json.text(&fact.topic);
    json.name("partition");
    json.int(fact.partition);
    json.name("offset");
    json.int(fact.offset);
    json.name("event");
    json.raw(&fact.raw);
    json.close();
    Ok(json.since(start))
}

/// A transition as it is published.
fn alert_of(
    json: &mut Json,
    order: &Order,
    desk: &Desk,
    said: &Transition,
    id: &str,
) -> Result<Range<usize>, Fault> {
    let start = json.0.len();
    json.open();
    json.name("alert_id");
    json.text(id);
    name_order(json, &order.key);
    json.name("rule");
    json.text(desk.id_of(said.rule));
    json.name("severity");
    json.text(severity(said.level));
    json.name("state");
    json.text(state_of(said.what));
    json.name("at");
    json.instant(said.at)?;
    json.name("because");
    because(json, order, desk, said)?;
    json.name("flapping");
    json.bool(said.is_flapping);
    json.close();
    Ok(json.since(start))
}

/// A requested action as it is published.
fn action_of(
    json: &mut Json,
    order: &Order,
    desk: &Desk,
    said: &Transition,
    act: &Act,
    id: &str,
) -> Result<Range<usize>, Fault> {
    let has_alert = desk.rule_of(said.rule).is_some_and(|rule| rule.level != NO_ALERT);
    let start = json.0.len();
    json.open();
    json.name("action_id");
    json.text(id);
    name_order(json, &order.key);
    json.name("kind");
    json.text(&act.kind);
    json.name("rule");
    json.text(desk.id_of(said.rule));
    json.name("at");
    json.instant(said.at)?;
    json.name("expires_at");
    json.instant(said.at.saturating_add(act.expires_ms))?;
    json.name("alert_id");
    match has_alert {
        true => json.text(&alert_id_of(order, desk, said)?),
        false => json.null(),
    }
    json.name("because");
    because(json, order, desk, said)?;
    json.close();
    Ok(json.since(start))
}

/// A deadline that was long past when its anchor arrived.
fn missed_entry(
    json: &mut Json,
    order: &Order,
    desk: &Desk,
    source: &str,
    said: &Transition,
) -> Result<Range<usize>, Fault> {
    let due_at = instants::format(said.due_at)?;
    let due_at = String::from_utf8_lossy(&due_at);
    let anchor = hex(order.hash_of(said.anchor));
    let detail =
        [("anchor_event", anchor.as_str()), ("due_at", &due_at), ("rule", desk.id_of(said.rule))];
    let entry = Audit::new(&order.key, "deadline.missed", said.at, &detail);
    Audit { source: Some(source), ..entry }.write(json)
}

/// A rule that could not be evaluated for an order: its condition, or its deadline.
fn fault_entry(
    json: &mut Json,
    key: &str,
    kind: RuleFaultKind,
    rule: &str,
    source: &str,
    said: &Transition,
) -> Result<Range<usize>, Fault> {
    let what = match kind {
        RuleFaultKind::Condition => "condition.fault",
        RuleFaultKind::OutsideYears => "deadline.outside_calendar",
    };
    let detail = [("reason", said.reason.as_str()), ("rule", rule)];
    Audit { source: Some(source), ..Audit::new(key, what, said.at, &detail) }.write(json)
}
