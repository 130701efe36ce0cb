//! Fact: a decoded event on its way to one order.

use crate::fault::Fault;
use crate::msgpack::{
    Reader, write_bool, write_bytes, write_hash, write_int, write_list, write_optional, write_text,
};
use crate::order::Fields;

const ITEMS: usize = 22;

/// One event for one order. Instants are ms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fact {
    /// Key of the order.
    pub key: String,
    /// Arrival.
    pub arrival_at: i64,
    /// Event time.
    pub at: i64,
    /// Status.
    pub status: u8,
    /// Parcel as the event names it; "" without.
    pub shipment: String,
    /// Waybill as the event names it; "" without.
    pub waybill: String,
    /// Source of the event.
    pub source: String,
    /// Id of the event, unique within its source.
    pub event_id: String,
    /// Hash of (source, event_id): the dedup key.
    pub hash: u64,
    /// The event as it will be kept, personal data sealed: JSON.
    pub raw: Vec<u8>,
    /// Topic that the message came from.
    pub topic: String,
    /// Partition of that.
    pub partition: i64,
    /// Offset in that.
    pub offset: i64,
    /// It is a command.
    pub command: bool,
    /// False for all but the first copy of an event that applies to several orders.
    pub counted: bool,
    /// Hash of the event that it corrects; 0 without.
    pub corrects: u64,
    /// Order-level fields that it carries.
    pub fields: Option<Fields>,
    /// What belongs to its parcel and stays out of the history: `carrier` (text), `location`
    /// ([name, lat, lon, datum]) and `readings` ({name: number}).
    pub side: Option<Fields>,
    /// Operator of a command.
    pub operator: Option<String>,
    /// Address of that.
    pub ip: Option<String>,
    /// (kind, normal form) of the number by which the resolver found the order.
    pub via: Option<(String, String)>,
    /// Time as sent, where that is none.
    pub sent_at: Option<i64>,
}

impl Fact {
    /// The parcel as the event names it: its waybill, else its shipment.
    pub fn parcel(&self) -> &str {
        if self.waybill.is_empty() { &self.shipment } else { &self.waybill }
    }

    /// Read a fact as msgspec encodes `dataflows.core.fact.Fact`.
    pub fn read(from: &mut Reader<'_>) -> Result<Fact, Fault> {
        from.list_with(ITEMS)?;
        let mut fact = Fact {
            key: from.string()?,
            arrival_at: from.int()?,
            at: from.int()?,
            status: from.int()?,
            shipment: from.string()?,
            source: from.string()?,
            event_id: from.string()?,
            hash: from.hash()?,
            raw: from.bytes()?.to_vec(),
            topic: from.string()?,
            partition: from.int()?,
            offset: from.int()?,
            command: from.bool()?,
            counted: from.bool()?,
            corrects: from.hash()?,
            ..Fact::default()
        };
        fact.fields = from.optional(Fields::read)?;
        fact.side = from.optional(Fields::read)?;
        fact.operator = from.optional(Reader::string)?;
        fact.ip = from.optional(Reader::string)?;
        fact.waybill = from.string()?;
        fact.via = from.optional(|from| {
            from.list_with(2)?;
            Ok((from.string()?, from.string()?))
        })?;
        fact.sent_at = from.optional(Reader::int)?;
        Ok(fact)
    }

    /// Append the fact as msgspec encodes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_list(out, ITEMS);
        write_text(out, &self.key);
        write_int(out, self.arrival_at);
        write_int(out, self.at);
        write_int(out, self.status);
        write_text(out, &self.shipment);
        write_text(out, &self.source);
        write_text(out, &self.event_id);
        write_hash(out, self.hash);
        write_bytes(out, &self.raw);
        write_text(out, &self.topic);
        write_int(out, self.partition);
        write_int(out, self.offset);
        write_bool(out, self.command);
        write_bool(out, self.counted);
        write_hash(out, self.corrects);
        write_optional(out, self.fields.as_ref(), |out, held| out.extend_from_slice(held.bytes()));
        write_optional(out, self.side.as_ref(), |out, held| out.extend_from_slice(held.bytes()));
        write_optional(out, self.operator.as_deref(), write_text);
        write_optional(out, self.ip.as_deref(), write_text);
        write_text(out, &self.waybill);
        write_optional(out, self.via.as_ref(), |out, (kind, number)| {
            write_list(out, 2);
            write_text(out, kind);
            write_text(out, number);
        });
        write_optional(out, self.sent_at, write_int);
    }
}
