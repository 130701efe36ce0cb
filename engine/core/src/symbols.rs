//! Symbol tables: long names as small numbers, in the order in which they were first seen.

use std::sync::Arc;

use foldhash::HashMap;

use crate::refusal::Refusal;

/// The most sources of a shard.
pub const MOST_SOURCES: usize = 65_535;
/// The most rules that a shard's alerts name.
pub const MOST_RULES: usize = 16_000;

/// Names and their numbers, at most `limit` of them; kept with the state that uses them.
#[derive(Clone, Debug)]
pub struct Symbols {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u16>,
    of: &'static str,
    limit: usize,
}

impl Symbols {
    /// Start from the `names` of a snapshot, or empty; `of` is what refusals call a name.
    pub fn new(names: &[String], of: &'static str, limit: usize) -> Self {
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
        let numbers = names.iter().zip(0..).map(|(name, number)| (name.clone(), number)).collect();
        Symbols { names, numbers, of, limit }
    }

    /// The names by number.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The most names that it takes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The name with a number.
    pub fn name(&self, number: u16) -> Option<&Arc<str>> {
        self.names.get(usize::from(number))
    }

    /// The number of a name, a new one if it is new.
    ///
    /// # Errors
    /// `too_many_names`.
    pub fn number(&mut self, name: &str) -> Result<u16, Refusal> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let next = self.names.len();
        let number = u16::try_from(next).ok().filter(|_| next < self.limit);
        let Some(number) = number else {
            let reason = format!("{} {} would be number {}", self.of, quoted(name), next + 1);
            return Err(Refusal::new("too_many_names", reason));
        };
        let name: Arc<str> = Arc::from(name);
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        Ok(number)
    }
}

/// A name in quotes, as Python's `repr` writes it.
fn quoted(name: &str) -> String {
    let quote = if name.contains('\'') && !name.contains('"') { '"' } else { '\'' };
    let escaped = name.replace('\\', "\\\\");
    let escaped = if quote == '\'' { escaped.replace('\'', "\\'") } else { escaped };
    format!("{quote}{escaped}{quote}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_as_they_come_and_refused_beyond_the_limit() {
        let mut symbols = Symbols::new(&["shop".to_owned()], "source", 2);
        assert_eq!(symbols.number("shop"), Ok(0));
        assert_eq!(symbols.number("carrier:dhl"), Ok(1));
        let refused = Err(Refusal::new("too_many_names", "source 'erp' would be number 3"));
        assert_eq!(symbols.number("erp"), refused);
        assert_eq!(symbols.number("carrier:dhl"), Ok(1));
        assert_eq!(symbols.name(1).map(|name| &**name), Some("carrier:dhl"));
        assert_eq!(symbols.name(2), None);
    }

    #[test]
    fn a_name_is_quoted_as_python_does() {
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("both ' and \""), "'both \\' and \"'");
        assert_eq!(quoted("back\\slash"), "'back\\\\slash'");
    }
}
