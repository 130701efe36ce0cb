//! Snapshots of a shard: what changed since the last one, or everything: a base.

use std::sync::Arc;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::msgpack::{Reader, write_all, write_int, write_list, write_text};
use crate::shard::orders::Packed;
use crate::shard::set_aside::SetAside;

/// A snapshot as it is read; msgspec encodes it as `dataflows.core.snapshots.Snapshot`.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The shard's clock.
    pub watermark: i64,
    /// Names of the sources by number.
    pub sources: Vec<String>,
    /// Ids of the rules by number.
    pub rule_ids: Vec<String>,
    /// Codes of the statuses by number.
    pub statuses: Vec<String>,
    /// Names the rules and the lifecycle in force.
    pub digest: String,
    /// Changed orders; None takes one out of memory.
    pub orders: Vec<(Arc<str>, Option<Packed>)>,
    /// The facts that wait for the clock.
    pub pending: Vec<Arc<Fact>>,
    /// Changes of the orders set aside; None: released.
    pub set_aside: Vec<(Arc<str>, Option<SetAside>)>,
}

impl Snapshot {
    /// Read a snapshot.
    ///
    /// # Errors
    /// The bytes are damaged.
    pub fn read(data: &[u8]) -> Result<Snapshot, Fault> {
        let mut from = Reader::new(data);
        let items = from.list()?;
        let mut found = Snapshot {
            watermark: from.int()?,
            sources: from.all(Reader::string)?,
            rule_ids: from.all(Reader::string)?,
            statuses: from.all(Reader::string)?,
            digest: from.string()?,
            orders: from.all(|from| keyed(from, |from| Ok(Box::from(from.bytes()?))))?,
            pending: from.all(|from| Ok(Arc::new(Fact::read(from)?)))?,
            set_aside: Vec::new(),
        };
        if items > 7 {
            found.set_aside = from.all(|from| keyed(from, SetAside::read))?;
        }
        Ok(found)
    }
}

/// Append the items of a snapshot up to its orders.
pub fn write_head(
    out: &mut Vec<u8>,
    watermark: i64,
    names: [&[Arc<str>]; 2],
    statuses: &[&str],
    digest: &str,
) {
    write_list(out, 8);
    write_int(out, watermark);
    for names in names {
        write_all(out, names, |out, name| write_text(out, name));
    }
    write_all(out, statuses, |out, code| write_text(out, code));
    write_text(out, digest);
}

fn keyed<'a, T>(
    from: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Fault>,
) -> Result<(Arc<str>, Option<T>), Fault> {
    from.list_with(2)?;
    Ok((Arc::from(from.text()?), from.optional(read)?))
}
