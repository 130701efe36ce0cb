//! Faults: the reasons for which one number (or order) can't be evaluated. None concerns another.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

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
    /// An instant that doesn't fit into 42 bits, which an order's history has for it.
    Unstorable(i64),
    /// An instant outside the years 1 to 9999, which can't be written.
    Unwritable(i64),
    /// An order in a format that this version doesn't read.
    Format {
        /// Key of the order.
        key: String,
        /// Number of its format.
        stored: u8,
        /// Number of the format that is read.
        read: u8,
    },
    /// A history of so many bytes, which are no entries.
    History(usize),
    /// A field of an event of another type than the door gives it: its name.
    Kind(&'static str),
    /// A status that the lifecycle lacks.
    Status(u8),
    /// The evaluation of a condition was interrupted; no order is to blame.
    Interrupted,
    /// What the caller's own code raised.
    Raised(String),
    /// A panic: an error in this crate. Its message, and the place that panicked.
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
            Fault::Unstorable(at) => write!(out, "instant {at} is before 1970 or after 2109"),
            Fault::Unwritable(at) => write!(out, "instant {at} is outside the years 1 to 9999"),
            Fault::Format { key, stored, read } => {
                write!(
                    out,
                    "order {key}: stored in format {stored}; this version reads format {read}"
                )
            }
            Fault::History(bytes) => write!(out, "its history has {bytes} bytes, not 24 an entry"),
            Fault::Kind(field) => write!(out, "{field}: another type than the door gives it"),
            Fault::Status(status) => write!(out, "status {status} is not in the lifecycle"),
            Fault::Interrupted => write!(out, "the evaluation of a condition was interrupted"),
            Fault::Raised(message) => write!(out, "{message}"),
            Fault::Panic(message) => write!(out, "panic in the compiled core: {message}"),
        }
    }
}

impl std::error::Error for Fault {}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Run `evaluate` and return a panic in it as a fault, with its place instead of a line on stderr.
pub fn guarded<T, E: From<Fault>>(evaluate: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    note_places();
    let was_guarded = IS_GUARDED.replace(true);
    let found = catch_unwind(AssertUnwindSafe(evaluate));
    IS_GUARDED.set(was_guarded);
    found.unwrap_or_else(|panic| {
        let (message, place) = (message_of(&*panic), PLACE.take());
        Err(Fault::Panic(format!("{message} ({place})")).into())
    })
}

fn note_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                return report(panic);
            }
            PLACE.set(panic.location().map(ToString::to_string).unwrap_or_default());
        }));
    });
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
        let found = guarded::<(), Fault>(|| panic!("index {}", 7));
        let Err(Fault::Panic(message)) = found else { panic!("no fault") };
        assert!(message.starts_with("index 7 (core/src/fault.rs:"), "{message}");
        assert_eq!(guarded::<_, Fault>(|| Ok(1)), Ok(1));
    }
}
