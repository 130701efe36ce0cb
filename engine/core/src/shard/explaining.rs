//! Explaining: the state of every rule for an order, from its events alone.

use crate::fact::Fact;
use crate::fault::Fault;
use crate::json::Json;
use crate::order::packing::unpack;
use crate::rules::{Explained, NO_ALERT};
use crate::shard::documents::{name_of, severity};
use crate::shard::orders::Failure;
use crate::shard::{Definitions, NoState, Shard};

/// The state of every rule for the order `key` at `watermark`: a list in JSON, empty without events.
///
/// `facts` are its events; those that arrived after `watermark` are left out. The rules and the
/// lifecycle count as in force since the first of them.
///
/// # Errors
/// The order can't be evaluated.
pub fn explain(
    definitions: &Definitions,
    key: &str,
    facts: Vec<Fact>,
    watermark: i64,
) -> Result<Vec<u8>, Failure> {
    let shard = Shard::new(definitions.clone(), Box::new(()), 0);
    let mut shard = shard.map_err(|error: NoState| Fault::Raised(error.to_string()))?;
    shard.is_publishing = false;
    shard.offer(facts.into_iter().filter(|fact| fact.key == key && fact.arrival_at <= watermark));
    shard.advance(watermark)?;
    if let Some(order) = shard.set_asides().orders().get(key) {
        return Err(Fault::Raised(order.reason.clone()).into());
    }
    let is_retired = !shard.held.is_live(key);
    let found = shard.held.find(key, |data| unpack(key, data))?;
    let Some(mut order) = found else { return Ok(b"[]".to_vec()) };
    let states = shard.desk.explain(&mut order, watermark, is_retired)?;
    let mut json = Json::with_room(states.len() * 200);
    json.list(&states, |json, state| {
        let name = name_of(&order, state.parcel)?;
        explained(json, &shard, name, state)
    })?;
    Ok(json.0)
}

fn explained(
    json: &mut Json,
    shard: &Shard,
    parcel: Option<&str>,
    state: &Explained,
) -> Result<(), Fault> {
    let rule = shard.desk.rule(state.rule);
    json.open();
    json.name("rule");
    json.text(&rule.id);
    json.name("state");
    json.text(state.state.code());
    json.name("shipment");
    json.optional(parcel);
    json.name("severity");
    json.optional((rule.level != NO_ALERT).then(|| severity(rule.level)));
    json.name("detail");
    json.text(&state.detail);
    for (name, at) in [
        ("anchor_at", state.anchor_at),
        ("due_at", state.due_at),
        ("escalates_at", state.escalates_at),
        ("opened_at", state.opened_at),
        ("paused_until", state.paused_until),
    ] {
        json.name(name);
        json.instant_or_null(at)?;
    }
    json.close();
    Ok(())
}
