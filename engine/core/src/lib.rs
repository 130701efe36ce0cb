//! Core of ordertide: pure and deterministic. Time comes in as a value, no function reads a clock,
//! a file or the network, and none knows Python (the binding lies in `engine/python`).
//!
//! Instants are i64 ms since 1970 (UTC), days are whole days since 1970. The folders mirror
//! docs/glossary.md; begin with `order`.

#![deny(unsafe_code)]

pub mod door;
pub mod fact;
pub mod fault;
pub mod instants;
pub mod json;
pub mod keys;
pub mod lifecycle;
pub mod msgpack;
pub mod normal_form;
pub mod order;
pub mod refusal;
pub mod resolver;
pub mod rules;
pub mod shard;
pub mod statuses;
pub mod symbols;
