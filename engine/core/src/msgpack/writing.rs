//! Writing: every value in its shortest form.

/// Append a whole number in its shortest form.
pub fn write_int(out: &mut Vec<u8>, number: impl Into<i64>) {
    let number = number.into();
    if number >= 0 {
        return write_hash(out, number as u64);
    }
    match number {
        -32.. => out.push(number as u8),
        -0x80.. => out.extend_from_slice(&[0xD0, number as u8]),
        -0x8000.. => head(out, 0xD1, &(number as i16).to_be_bytes()),
        -0x8000_0000.. => head(out, 0xD2, &(number as i32).to_be_bytes()),
        _ => head(out, 0xD3, &number.to_be_bytes()),
    }
}

/// Append a 64-bit number without sign in its shortest form.
pub fn write_hash(out: &mut Vec<u8>, number: u64) {
    match number {
        0..=0x7F => out.push(number as u8),
        0x80..=0xFF => out.extend_from_slice(&[0xCC, number as u8]),
        0x100..=0xFFFF => head(out, 0xCD, &(number as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => head(out, 0xCE, &(number as u32).to_be_bytes()),
        _ => head(out, 0xCF, &number.to_be_bytes()),
    }
}

/// Append a nil.
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xC0);
}

/// Append a truth value.
pub fn write_bool(out: &mut Vec<u8>, is_true: bool) {
    out.push(0xC2 + u8::from(is_true));
}

/// Append a binary64.
pub fn write_float(out: &mut Vec<u8>, number: f64) {
    head(out, 0xCB, &number.to_bits().to_be_bytes());
}

/// Append a text.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..=0x1F => out.push(0xA0 | length as u8),
        length @ 0x20..=0xFF => out.extend_from_slice(&[0xD9, length as u8]),
        length @ 0x100..=0xFFFF => head(out, 0xDA, &(length as u16).to_be_bytes()),
        length => head(out, 0xDB, &(length as u32).to_be_bytes()),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Append bytes.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_bytes_head(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Append the head of `length` bytes.
pub fn write_bytes_head(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=0xFF => out.extend_from_slice(&[0xC4, length as u8]),
        0x100..=0xFFFF => head(out, 0xC5, &(length as u16).to_be_bytes()),
        _ => head(out, 0xC6, &(length as u32).to_be_bytes()),
    }
}

/// Append the head of an array of `count` values.
pub fn write_list(out: &mut Vec<u8>, count: usize) {
    match count {
        0..=0x0F => out.push(0x90 | count as u8),
        0x10..=0xFFFF => head(out, 0xDC, &(count as u16).to_be_bytes()),
        _ => head(out, 0xDD, &(count as u32).to_be_bytes()),
    }
}

/// Append an array, each value by `write`.
pub fn write_all<T>(out: &mut Vec<u8>, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    write_list(out, values.len());
    values.iter().for_each(|value| write(out, value));
}

/// Append a value by `write`, nil for None.
pub fn write_optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => write_nil(out),
    }
}

/// Append the head of a map of `count` pairs.
pub fn write_map(out: &mut Vec<u8>, count: usize) {
    match count {
        0..=0x0F => out.push(0x80 | count as u8),
        0x10..=0xFFFF => head(out, 0xDE, &(count as u16).to_be_bytes()),
        _ => head(out, 0xDF, &(count as u32).to_be_bytes()),
    }
}

fn head(out: &mut Vec<u8>, marker: u8, bytes: &[u8]) {
    out.push(marker);
    out.extend_from_slice(bytes);
}
