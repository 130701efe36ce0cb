"""Hand-over to the door of the compiled core: the form of plain events, the lifecycle, the rules.

See `engine/core/src/door.rs` for what a plain event is.
"""

from typing import NamedTuple, get_args

from dataflows.core.lifecycle import Lifecycle
from dataflows.core.routing import SHARDS
from dataflows.core.rules import Rules
from schemas.event import (
    MAX_AHEAD_MS,
    MAX_CODE,
    MAX_EVENT_BYTES,
    MAX_ID,
    MAX_PARCELS,
    Datum,
    Event,
)
from schemas.instants import LATEST_AT, parse_instant
from schemas.keys import DEFAULT_TENANT
from schemas.sanitization import MAX_DEPTH

MISSING_BEFORE = parse_instant("2000-01-01T00:00:00Z")  # a time before this is none


class PlainForm(NamedTuple):
    """Form of plain events. `declared` are the types of attributes, `zone` that of bare dates.

    Instants and spans are in ms; times before `earliest_at` are none, from `latest_at` on refused.
    """

    statuses: dict[str, int]
    is_note: list[bool]
    placeholders: frozenset[str]
    carriers: dict[str, str]
    declared: dict[str, str]
    readings: set[str]
    zone: str
    fields: frozenset[str] = frozenset(Event.__struct_fields__)
    datums: frozenset[str] = frozenset(get_args(Datum))
    default_tenant: str = DEFAULT_TENANT
    event_bytes: int = MAX_EVENT_BYTES
    levels: int = MAX_DEPTH
    id_chars: int = MAX_ID
    code_chars: int = MAX_CODE
    parcels: int = MAX_PARCELS
    ahead_ms: int = MAX_AHEAD_MS
    earliest_at: int = MISSING_BEFORE
    latest_at: int = LATEST_AT
    shards: int = len(SHARDS)


def form_of(table: Lifecycle, rules: Rules) -> PlainForm:
    """Form of plain events by a lifecycle and the attributes that the rules declare."""
    return PlainForm(
        statuses=table.index,
        is_note=table.is_note,
        placeholders=table.numbers.placeholders,
        carriers=table.carriers.codes,
        declared={**rules.attributes, **rules.readings},
        readings=set(rules.readings),
        zone=table.zone,
    )
