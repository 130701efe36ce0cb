//! Numbers, compared by their exact value.

use super::value::Value;

/// A number that compares as Python's do: whole numbers and binary64 by their exact value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number of up to 64 bits, signed or not.
    Int(i128),
    /// A binary64.
    Float(f64),
}

/// The number that a value is, a truth value among them; None of any other.
pub fn number_of(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Bool(is_true) => Some(Number::Int(i128::from(is_true))),
        Value::Int(number) => Some(Number::Int(i128::from(number))),
        Value::Big(number) => Some(Number::Int(i128::from(number))),
        Value::Float(number) => Some(Number::Float(number)),
        _ => None,
    }
}

impl Number {
    /// Order of two numbers; None beside a NaN.
    pub fn compare(self, other: Number) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Number::Int(one), Number::Int(two)) => Some(one.cmp(&two)),
            (Number::Float(one), Number::Float(two)) => one.partial_cmp(&two),
            (Number::Int(one), Number::Float(two)) => compare_exactly(one, two),
            (Number::Float(one), Number::Int(two)) => {
                compare_exactly(two, one).map(std::cmp::Ordering::reverse)
            }
        }
    }
}

/// Order of a whole number and a binary64, by their exact values.
fn compare_exactly(whole: i128, float: f64) -> Option<std::cmp::Ordering> {
    if float.is_nan() {
        return None;
    }
    // A cast saturates, and a whole number has 65 bits at most.
    let floor = float.floor() as i128;
    let rest =
        if float > float.floor() { std::cmp::Ordering::Less } else { std::cmp::Ordering::Equal };
    Some(whole.cmp(&floor).then(rest))
}
