//! Messages with the same (source, event_id): which one wins, and whether they contradict
//! (docs/semantics.md, "Events and arrival").

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::HashMap;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::normal_form::{as_number, as_waybill};
use crate::order::content::content_hash;
use crate::order::limits::hash_of;
use crate::order::{Fields, Order, extras};

/// The facts of one arrival, by what becomes of them.
#[derive(Debug, Default, PartialEq)]
pub struct Rivals<'a> {
    /// Those that win, in their order. A loser that contradicts its winner follows it, so that the
    /// order is flagged.
    pub chosen: Cow<'a, [Arc<Fact>]>,
    /// Duplicates that say the same as their winner.
    pub duplicates: Vec<Arc<Fact>>,
}

/// Choose the winners among the facts of one arrival.
pub fn winners(group: &[Arc<Fact>]) -> Result<Rivals<'_>, Fault> {
    if let [_] = group {
        return Ok(Rivals { chosen: Cow::Borrowed(group), duplicates: Vec::new() });
    }
    let mut places: HashMap<u64, usize> = HashMap::default();
    let mut by_hash: Vec<Vec<Arc<Fact>>> = Vec::new();
    for fact in group {
        let place = *places.entry(fact.hash).or_insert(by_hash.len());
        if place == by_hash.len() {
            by_hash.push(Vec::new());
        }
        by_hash[place].push(fact.clone());
    }
    let (mut chosen, mut duplicates) = (Vec::new(), Vec::new());
    for rivals in by_hash {
        if rivals.len() == 1 {
            chosen.extend(rivals);
            continue;
        }
        let hashed = rivals.into_iter().map(|fact| Ok((content_hash(&fact.raw)?, fact)));
        let mut rivals = hashed.collect::<Result<Vec<_>, Fault>>()?;
        rivals.sort_by_key(|(hash, _)| *hash);
        let mut rivals = rivals.into_iter().map(|(_, fact)| fact);
        let Some(winner) = rivals.next() else { continue };
        chosen.push(winner.clone());
        for rival in rivals {
            let kept = if says_same(&winner, &rival) { &mut duplicates } else { &mut chosen };
            kept.push(rival);
        }
    }
    Ok(Rivals { chosen: Cow::Owned(chosen), duplicates })
}

/// Whether two facts say the same of everything that the order keeps.
fn says_same(one: &Fact, other: &Fact) -> bool {
    let said = |fact: &Fact| (fact.sent_at.unwrap_or(fact.at), fact.status);
    said(one) == said(other)
        && sent_name(one) == sent_name(other)
        && are_equal(one.fields.as_ref(), other.fields.as_ref(), &[])
}

/// The parcel's name as sent, in its normal form.
fn sent_name(fact: &Fact) -> Cow<'_, str> {
    if fact.waybill.is_empty() { as_number(&fact.shipment) } else { as_waybill(&fact.waybill) }
}

/// Whether fields are equal, but for some names that only `held` has.
fn are_equal(said: Option<&Fields>, held: Option<&Fields>, but_for: &[&str]) -> bool {
    let kept = held.into_iter().flat_map(Fields::iter).filter(|(name, _)| !but_for.contains(name));
    let count = said.map_or(0, |said| said.map().len());
    let mut equal = 0;
    for (name, value) in kept {
        let other = said.and_then(|said| said.get(name));
        if !other.is_some_and(|other| other.is_equal(value)) {
            return false;
        }
        equal += 1;
    }
    equal == count
}

/// Whether a duplicate contradicts the entry that the order holds.
pub fn conflicts(order: &Order, fact: &Fact) -> bool {
    let Some(number) = order.find(fact.hash) else {
        return false; // a ping that was thinned out: nothing is kept to compare with
    };
    let (entry, held) = (order.entry(number), order.extras_of(number));
    let of = |name: &str| held.and_then(|held| held.get(name));
    let sent_at = of(extras::SENT_AT).and_then(|at| at.int()).unwrap_or(entry.at);
    if (sent_at, entry.status) != (fact.sent_at.unwrap_or(fact.at), fact.status)
        || order.sent_name(entry.name) != sent_name(fact)
    {
        return true;
    }
    match of(extras::LOST) {
        Some(lost) => lost.hash() != Some(hash_of(fact.fields.as_ref())),
        None => !are_equal(fact.fields.as_ref(), held, &extras::NO_FIELDS),
    }
}
