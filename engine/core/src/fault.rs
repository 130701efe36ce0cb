//! Faults: the reasons for which one number (or order) can't be evaluated. None concerns another.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A fault of one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Stored bytes that are no record: the byte at which decoding failed, and their length.
    Damaged {
        /// Offset of the first byte that can't be decoded.
        at: usize,
        /// Length of the bytes.
        length: usize,
    },
    /// A text that is too long for its length field: its bytes, and the most.
    TooLong {
        /// Bytes of the text.
        length: usize,
        /// The most that the field holds.
        most: usize,
    },
    /// An instant whose day doesn't fit into 16 bits: before 1970 or after 2149.
    OutOfRange(i64),
    /// A panic: an error in this crate. Its message.
    Panic(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Damaged { at, length } => {
                write!(out, "damaged: {length} bytes can't be decoded from byte {at} on")
            }
            Fault::TooLong { length, most } => {
                write!(out, "a text of {length} bytes exceeds its limit of {most}")
            }
            Fault::OutOfRange(at) => write!(out, "instant {at} is before 1970 or after 2149"),
            Fault::Panic(message) => write!(out, "panic in the compiled core: {message}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Run `evaluate` and return a panic in it as a fault.
pub fn guarded<T>(evaluate: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(evaluate))
        .unwrap_or_else(|panic| Err(Fault::Panic(message_of(&*panic))))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let literal = || panic.downcast_ref::<&str>().copied();
    text.or_else(literal).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_fault_with_its_message() {
        let found = guarded::<()>(|| panic!("index {}", 7));
        assert_eq!(found, Err(Fault::Panic("index 7".to_owned())));
        assert_eq!(guarded(|| Ok(1)), Ok(1));
    }
}
