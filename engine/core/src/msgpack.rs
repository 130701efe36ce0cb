//! msgpack (https://msgpack.org), the format of stored orders, facts and snapshots.
//!
//! Written by hand: numbers take their shortest form as msgspec's encoder writes them, values that
//! nothing reads are copied as they are, and a damaged byte is a `Fault` with its place. `rmp` does
//! the first of these only.

mod number;
mod reading;
mod value;
mod writing;

pub use number::{Number, number_of};
pub use reading::Reader;
pub use value::{List, Map, Raw, Value};
pub use writing::{
    write_all, write_bool, write_bytes, write_bytes_head, write_float, write_hash, write_int,
    write_list, write_map, write_nil, write_optional, write_text,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn numbers_take_their_shortest_form_and_come_back() {
        let bounds = [0x7F, 0xFF, 0xFFFF, 0xFFFF_FFFF, i64::MAX];
        let lengths = [1, 2, 3, 5, 9];
        for (bound, length) in bounds.into_iter().zip(lengths) {
            for number in [bound, -bound / 2 - 1, bound.wrapping_add(1), -bound] {
                let bytes = written(|out| write_int(out, number));
                assert_eq!(Reader::new(&bytes).int(), Ok(number));
            }
            assert_eq!(written(|out| write_int(out, bound)).len(), length);
        }
        assert_eq!(written(|out| write_int(out, -32)), [0xE0]);
        assert_eq!(written(|out| write_int(out, -33)), [0xD0, 0xDF]);
        let most = written(|out| write_hash(out, u64::MAX));
        assert_eq!(Reader::new(&most).hash(), Ok(u64::MAX));
        assert!(Reader::new(&most).int::<i64>().is_err());
    }

    #[test]
    fn texts_and_lists_of_any_length_come_back() {
        for length in [0, 31, 32, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(length);
            let bytes = written(|out| write_text(out, &text));
            assert_eq!(Reader::new(&bytes).text(), Ok(&*text));
            let bytes = written(|out| write_bytes(out, text.as_bytes()));
            assert_eq!(Reader::new(&bytes).bytes(), Ok(text.as_bytes()));
            let list = written(|out| {
                write_list(out, length);
                (0..length).for_each(|_| write_nil(out));
            });
            assert_eq!(Raw::of(&list).map(|list| list.list().iter().count()), Ok(length));
        }
    }

    fn map(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        written(|out| {
            write_map(out, pairs.len());
            for (name, value) in pairs {
                write_text(out, name);
                out.extend_from_slice(value);
            }
        })
    }

    #[test]
    fn values_are_equal_as_python_defines_it() {
        let float = |number| written(|out| write_float(out, number));
        let (one, two) = (map(&[("a", &[1]), ("b", &[0xC3])]), map(&[("b", &[1]), ("a", &[0xC3])]));
        let equal = |one: &[u8], two: &[u8]| {
            Raw::of(one).expect("it is sound").is_equal(Raw::of(two).expect("it is sound"))
        };
        assert!(equal(&one, &two));
        assert!(equal(&float(2.0), &[2]) && !equal(&float(2.5), &[2]) && equal(&[0xC2], &[0]));
        assert!(!equal(&float(f64::NAN), &float(f64::NAN)) && !equal(&[0xC0], &[0]));
        assert!(!equal(&one, &map(&[("a", &[1])])));
        let big = written(|out| write_hash(out, (1 << 53) + 1));
        assert!(!equal(&big, &float(9_007_199_254_740_992.0)));
        let sorted = written(|out| Raw::of(&two).expect("it is sound").write_sorted(out));
        assert_eq!(sorted, map(&[("a", &[0xC3]), ("b", &[1])]));
    }

    #[test]
    fn what_is_no_value_is_a_fault_at_its_place() {
        assert_eq!(Raw::of(&[0xC1]).err(), Some(Fault::Damaged { at: 0, length: 1 }));
        assert!(Raw::of(&[0x92, 0x01]).is_err() && Raw::of(&[0x01, 0x01]).is_err());
        assert!(Raw::of(&[0x91; 100]).is_err());
        assert!(Raw::of(&[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(Raw::of(&[0xA1, 0xFF]).is_err());
    }
}
