//! Value: any JSON, texts borrowed from the message where they hold no escape.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::msgpack::{write_bool, write_float, write_int, write_nil, write_text};

/// Numbers from here on are left: in some of their forms other parsers round them.
const TOO_LARGE: i64 = 1_000_000_000_000_000_000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number without a fraction or an exponent.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// An object, its fields as they came.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The value of a JSON text; None if it is none, or holds a number that is too large.
    pub fn read(text: &'a str) -> Option<Value<'a>> {
        serde_json::from_str(text).ok()
    }

    /// The number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The fields of an object, each name once.
    pub fn fields(self) -> Option<Vec<(Cow<'a, str>, Value<'a>)>> {
        let Value::Object(fields) = self else { return None };
        let is_twice = |at: usize| fields[..at].iter().any(|(name, _)| *name == fields[at].0);
        (fields.len() <= MOST_FIELDS && !(1..fields.len()).any(is_twice)).then_some(fields)
    }

    /// Append a value that holds no other; None for one that does.
    pub fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Value::Null => write_nil(out),
            Value::Bool(is_true) => write_bool(out, *is_true),
            Value::Int(number) => write_int(out, *number),
            Value::Float(number) => write_float(out, *number),
            Value::Text(text) => write_text(out, text),
            Value::List(_) | Value::Object(_) => return None,
        }
        Some(())
    }
}

/// Most fields of an object that are looked at: each is compared with all before it.
const MOST_FIELDS: usize = 64;

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is_true: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(is_true))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
        let is_large = number <= -TOO_LARGE || number >= TOO_LARGE;
        if is_large { Err(too_large()) } else { Ok(Value::Int(number)) }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        self.visit_i64(i64::try_from(number).map_err(|_| too_large::<E>())?)
    }

    // serde_json gives whole numbers of over 64 bits and "-0" as floats as well.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Value<'de>, E> {
        let is_odd =
            number.abs() >= TOO_LARGE as f64 || (number == 0.0 && number.is_sign_negative());
        if is_odd { Err(too_large()) } else { Ok(Value::Float(number)) }
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value<'de>, A::Error> {
        let mut fields = Vec::with_capacity(12);
        while let Some(Name(name)) = from.next_key()? {
            fields.push((name, from.next_value()?));
        }
        Ok(Value::Object(fields))
    }
}

fn too_large<E: Error>() -> E {
    E::custom("a number that other parsers may round")
}

/// A name of a field.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(AnyName)
    }
}

struct AnyName;

impl<'de> Visitor<'de> for AnyName {
    type Value = Name<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types_and_borrow_their_texts() {
        let text = r#"{"a":[1,1.0,1e3,-5],"b":"x","c":"\u00e9","d":{"e":null,"f":true}}"#;
        let Some(Value::Object(fields)) = Value::read(text) else { panic!("no object") };
        let numbers =
            Value::List(vec![Value::Int(1), Value::Float(1.0), Value::Float(1e3), Value::Int(-5)]);
        assert_eq!(fields[0], ("a".into(), numbers));
        assert!(matches!(fields[1].1, Value::Text(Cow::Borrowed("x"))));
        assert!(matches!(&fields[2].1, Value::Text(Cow::Owned(text)) if text == "é"));
    }

    #[test]
    fn numbers_that_may_be_rounded_and_what_is_no_json_are_left() {
        let odd =
            ["1000000000000000000", "-1e30", "1e999", "-0", "-0.0", "01", "NaN", "1.", "{", "[1,]"];
        for text in odd.into_iter().chain(["\"a\nb\"", "{} {}", "\u{feff}{}", r#""\ud800""#]) {
            assert_eq!(Value::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_comes_once() {
        let fields = |text| Value::read(text).expect("it is JSON").fields();
        assert_eq!(fields(r#"{"a":1,"b":2}"#).map(|found| found.len()), Some(2));
        assert_eq!(fields(r#"{"a":1,"b":2,"\u0061":3}"#), None);
        assert_eq!(fields("[]"), None);
    }
}
