"""A fact: an event made ready for a shard, in plain numbers and strings."""

from typing import Any

import msgspec


class Fact(msgspec.Struct, array_like=True, gc=False, omit_defaults=False):
    """One event for one order.

    Instants are ms. `status` is a lifecycle index. `fields` holds the order-level fields that the
    event carries (see `dataflows.core.intake`), `side` what belongs to its parcel and stays out of
    the history (carrier, location, readings). `via` is (kind, normal form) of the number by which
    the resolver found the order, `sent_at` the time as sent where that is none. `raw` is the event
    as it will be kept, personal data sealed. `counted` is False for all but the first copy of an
    event that applies to several orders, so that conservation counts messages.
    """

    key: str
    arrival_at: int
    at: int
    status: int
    shipment: str
    source: str
    event_id: str
    hash: int
    raw: bytes
    topic: str = ""
    partition: int = 0
    offset: int = 0
    command: bool = False
    counted: bool = True
    corrects: int = 0
    fields: dict[str, Any] | None = None
    side: dict[str, Any] | None = None
    operator: str | None = None
    ip: str | None = None
    waybill: str = ""
    via: tuple[str, str] | None = None
    sent_at: int | None = None

    @property
    def parcel(self) -> str:
        """The parcel as the event names it: its waybill, else its shipment."""
        return self.waybill or self.shipment


decode_facts = msgspec.msgpack.Decoder(list[Fact]).decode
