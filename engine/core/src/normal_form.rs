//! Normal forms of waybills and foreign numbers: what is compared, never what is shown
//! (`schemas/numbers.py`). `tests/core/test_compiled_names.py` holds both alike.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Kinds of references that are waybills.
pub const WAYBILL_KINDS: [&str; 2] = ["waybill", "return_waybill"];

/// The normal form of a waybill: NFKC, upper case, without white space and hyphens.
pub fn as_waybill(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    let kept = |text: &str| text.chars().filter(|each| !is_filling(*each)).collect();
    if text.is_ascii() {
        return Cow::Owned(kept(&text.to_ascii_uppercase()));
    }
    Cow::Owned(kept(&upper(text)))
}

/// The normal form of any other number: NFKC, upper case, trimmed ("1-23" is not "12-3").
pub fn as_number(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let trimmed = text.trim_matches(is_space);
        let is_upper = !trimmed.bytes().any(|byte| byte.is_ascii_lowercase());
        return if is_upper { trimmed.into() } else { trimmed.to_ascii_uppercase().into() };
    }
    Cow::Owned(upper(text).trim_matches(is_space).to_owned())
}

/// The normal form of a number of a kind (`waybill`, `erp`, …).
pub fn as_kind<'a>(kind: &str, number: &'a str) -> Cow<'a, str> {
    if WAYBILL_KINDS.contains(&kind) { as_waybill(number) } else { as_number(number) }
}

fn upper(text: &str) -> String {
    text.nfkc().collect::<String>().to_uppercase()
}

/// White space as Python defines it: the separators of ASCII are some, too.
fn is_space(each: char) -> bool {
    each.is_whitespace() || matches!(each, '\x1C'..='\x1F')
}

/// White space, hyphens and dashes.
fn is_filling(each: char) -> bool {
    is_space(each)
        || matches!(
            each,
            '-' | '\u{2010}'
                ..='\u{2015}'
                    | '\u{2212}'
                    | '\u{2E3A}'
                    | '\u{2E3B}'
                    | '\u{301C}'
                    | '\u{3030}'
                    | '\u{FE31}'
                    | '\u{FE32}'
                    | '\u{FE58}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waybill_has_neither_case_nor_width_nor_hyphens() {
        assert_eq!(as_waybill("JJD-0003 9000\u{2011}x"), "JJD00039000X");
        assert_eq!(as_waybill("ｊｊｄ１２"), "JJD12");
        assert_eq!(as_waybill("straße"), "STRASSE");
    }

    #[test]
    fn a_number_keeps_its_hyphens() {
        assert_eq!(as_number(" ab-1 2\x1F"), "AB-1 2");
        assert_eq!(as_number("\u{3000}ａ-１"), "A-1");
        assert_eq!(as_kind("erp", "1-2"), "1-2");
        assert_eq!(as_kind("return_waybill", "1-2"), "12");
    }
}
