//! Characters: what is no text that every topic, tier and terminal can carry.

/// The bytes as text, if no character in it is one of control, escaped or not, and no value can be
/// nested over `levels` deep.
pub fn plain(data: &[u8], levels: usize) -> Option<&str> {
    // Without a branch, so that the compiler looks at many bytes at a time.
    let (mut is_usual, mut brackets) = (true, 0usize);
    for &byte in data {
        is_usual &= (byte != b'\\') & (byte < 0x7F);
        brackets += usize::from(byte | 0x20 == b'{');
    }
    if brackets > levels {
        return None;
    }
    let text = std::str::from_utf8(data).ok()?;
    (is_usual || !(text.chars().any(is_control) || has_odd_escape(data))).then_some(text)
}

/// DEL and C1, line and paragraph separators, bidirectional controls. JSON itself refuses C0.
fn is_control(each: char) -> bool {
    matches!(each, '\x7F'..='\u{9F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether an escape stands for a character of control or for half of one.
fn has_odd_escape(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let length = match rest.get(at + 1) {
            Some(b'"' | b'\\' | b'/') => 2,
            Some(b'u') => match rest.get(at + 2..at + 6).and_then(escaped) {
                Some(each) if each >= ' ' && !is_control(each) => 6,
                _ => return true,
            },
            _ => return true,
        };
        rest = &rest[at + length..];
    }
    false
}

/// The character of four hexadecimal digits; None for half of a pair.
fn escaped(digits: &[u8]) -> Option<char> {
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    char::from_u32(code).filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_carried_is_plain() {
        for text in [r#"{"a":"b"}"#, "漢字é\u{a0}", r#"\u00e9\u6f22\"\\\/\\\\n"#] {
            assert_eq!(plain(text.as_bytes(), 32), Some(text));
        }
    }

    #[test]
    fn control_characters_are_not() {
        for text in ["\x7f", "\u{85}", "\u{2028}", "\u{202e}x", "\u{2069}"] {
            assert_eq!(plain(text.as_bytes(), 32), None, "{text:?}");
        }
        for text in
            [r"\n", r"\u0007", r"\u009b", r"\u2028", r"\ud83d\ude9a", r"\u12", r"\u+123", r"\"]
        {
            assert_eq!(plain(text.as_bytes(), 32), None, "{text}");
        }
        assert_eq!(plain(b"\xff", 32), None);
        assert_eq!(plain(b"[[{", 2), None);
    }
}
