//! Desk: the rules in force, and what they need to be evaluated for orders.

use std::sync::Arc;

use super::conditions::Conditions;
use super::parcel_byte;
use super::row::{Rule, Rules};
use crate::lifecycle::Lifecycle;
use crate::order::{OpenAlert, Order};
use crate::refusal::Refusal;
use crate::symbols::Symbols;

/// The rules in force, and the numbers under which alerts are stored.
#[derive(Debug)]
pub struct Desk {
    rules: Arc<Rules>,
    table: Arc<Lifecycle>,
    conditions: Conditions,
    symbols: Symbols,
    numbers: Vec<u16>,           // of each rule its symbol
    by_symbol: Vec<Option<u16>>, // of each symbol its rule, if that is in force
}

impl Desk {
    /// Create the desk of `rules`; `symbols` are the rule ids of stored alerts, new rules are added.
    ///
    /// # Errors
    /// There are too many names.
    pub fn new(
        rules: Arc<Rules>,
        table: Arc<Lifecycle>,
        conditions: Conditions,
        mut symbols: Symbols,
    ) -> Result<Self, Refusal> {
        let numbered = rules.all().iter().map(|rule| symbols.number(&rule.id));
        let numbers = numbered.collect::<Result<_, _>>()?;
        let by_symbol = symbols.names().iter().map(|name| rules.by_id(name)).collect();
        Ok(Desk { rules, table, conditions, symbols, numbers, by_symbol })
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The lifecycle in force.
    pub fn table(&self) -> &Lifecycle {
        &self.table
    }

    /// The rule ids of stored alerts, by number.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// What evaluates conditions.
    pub(super) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// A rule by its index among those in force.
    pub fn rule(&self, index: u16) -> &Rule {
        &self.rules.all()[usize::from(index)]
    }

    /// The symbol under which alerts of a rule are stored.
    pub fn symbol_of(&self, rule: u16) -> u16 {
        self.numbers[usize::from(rule)]
    }

    /// The rule of a symbol; None if it has left the rules file.
    pub fn rule_of(&self, symbol: u16) -> Option<&Rule> {
        let index = self.by_symbol.get(usize::from(symbol)).copied().flatten();
        index.map(|index| self.rule(index))
    }

    /// The open alert of a rule and a parcel, or the order.
    pub(super) fn alert_of<'a>(
        &self,
        order: &'a Order,
        rule: u16,
        parcel: Option<u8>,
    ) -> Option<&'a OpenAlert> {
        let (symbol, parcel) = (self.symbol_of(rule), parcel_byte(parcel));
        order.alerts.iter().find(|alert| alert.rule == symbol && alert.parcel == parcel)
    }

    /// The id of the rule of a symbol.
    pub fn id_of(&self, symbol: u16) -> &str {
        &self.symbols.names()[usize::from(symbol)]
    }
}
