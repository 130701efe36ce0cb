//! Keys, ids and hashes: how an order, an alert and an action are named (`schemas/keys.py`).

use blake2b_simd::Params;

/// Tenant of an order key that names none.
pub const DEFAULT_TENANT: &str = "default";
/// Separator of tenant and order id in an order key.
pub const SEPARATOR: char = '\u{1f}';

/// (tenant, order id) of an order key.
pub fn split_order_key(key: &str) -> (&str, &str) {
    // Byte by byte: a key is shorter than what a search for a character prepares.
    match key.bytes().position(|byte| byte == SEPARATOR as u8) {
        Some(place) => (&key[..place], &key[place + 1..]),
        None => (DEFAULT_TENANT, key),
    }
}

/// Key of an order; its plain id for the default tenant.
pub fn order_key(tenant: &str, order_id: &str) -> String {
    if tenant == DEFAULT_TENANT {
        return order_id.to_owned();
    }
    format!("{tenant}{SEPARATOR}{order_id}")
}

/// Hash of an event: the dedup key.
pub fn event_hash(source: &str, event_id: &str) -> u64 {
    short_hash(format!("{source}{SEPARATOR}{event_id}").as_bytes())
}

/// The shard, of so many, of the key of an order or a number.
pub fn shard_of(key: &str, shards: u8) -> u8 {
    Params::new().hash_length(1).hash(key.as_bytes()).as_bytes()[0] % shards
}

/// Hash of bytes: 8 bytes of blake2b, as a number.
pub fn short_hash(bytes: &[u8]) -> u64 {
    let hash = Params::new().hash_length(8).hash(bytes);
    u64::from_le_bytes(hash.as_bytes().try_into().expect("8 bytes"))
}

/// Hash of texts and their lengths, 32 hex digits.
pub fn content_id(parts: &[&str]) -> String {
    let mut state = Params::new().hash_length(16).to_state();
    for part in parts {
        state.update(format!("{}:", part.chars().count()).as_bytes());
        state.update(part.as_bytes());
    }
    state.finalize().to_hex().to_string()
}

/// Id of the alert of a rule on an order for the anchor event with a hash; `subject` is the parcel.
pub fn alert_id(key: &str, rule: &str, anchor: u64, subject: &str) -> String {
    content_id(&["alert", key, rule, &format!("{anchor:016x}"), subject])
}

/// Id of an action of a kind, the idempotency key for its receivers.
pub fn action_id(key: &str, rule: &str, anchor: u64, kind: &str) -> String {
    content_id(&["action", key, rule, &format!("{anchor:016x}"), kind])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_and_ids_are_pythons() {
        assert_eq!(split_order_key("o1"), ("default", "o1"));
        assert_eq!(split_order_key("t\u{1f}o1"), ("t", "o1"));
        assert_eq!(alert_id("o1", "lost", 7, "é"), PYTHONS);
    }

    const PYTHONS: &str = "2e6d895b1b1b6da7577b99f878825659";
}
