//! Core of ordertide: pure and deterministic. Time comes in as a value, no function reads a clock,
//! a file or the network, and none knows Python (the binding lies in `engine/python`).
//!
//! Instants are i64 ms since 1970 (UTC), days are whole days since 1970. The folders mirror
//! docs/glossary.md; begin with `resolver`.

#![deny(unsafe_code)]

pub mod fault;
pub mod instants;
pub mod resolver;
