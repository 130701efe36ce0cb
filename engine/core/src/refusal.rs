//! Refusal: the reason for which a message is rejected, as `schemas.errors.Rejected`.

use std::fmt;

/// A refusal: one of the codes of docs/events.md, and what exactly is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Code, such as `order_history_full`.
    pub code: &'static str,
    /// What is wrong, in words.
    pub reason: String,
}

impl Refusal {
    /// Create a refusal.
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Refusal { code, reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.reason)
    }
}

impl std::error::Error for Refusal {}
