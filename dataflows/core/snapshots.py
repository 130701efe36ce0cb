"""Snapshots of a shard, and the orders that have retired."""

from typing import Protocol

import msgspec

from dataflows.core.fact import Fact
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.set_aside import SetAside
from schemas.errors import StateError


class Cold(Protocol):
    """Table of retired orders."""

    def get(self, key: str) -> bytes | None:
        """The packed order; None if there is none.

        Raises:
            StoreUnavailable: the table can't be read at all.
            StateError: this order is damaged.
        """


class Snapshot(msgspec.Struct, array_like=True):
    """Changes in a shard since its last snapshot (or everything: a base).

    `digest` names the rules and the lifecycle in force; no bytes take an order out of memory.
    """

    watermark: int
    sources: list[str]
    rule_ids: list[str]
    statuses: list[str]
    digest: str
    orders: list[tuple[str, bytes | None]]
    pending: list[Fact]
    set_aside: list[tuple[str, SetAside | None]] = []  # None: released


encode_snapshot = msgspec.msgpack.Encoder().encode
decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode


def check_statuses(stored: list[str], table: Lifecycle) -> None:
    """Refuse a lifecycle in which stored numbers would mean other statuses.

    Raises:
        StateError: with what can be done.
    """
    if table.codes[: len(stored)] != stored:
        raise StateError(
            "lifecycle: statuses that stored orders use were removed or put in another order; "
            "keep them as they were and add new ones at the end, or start with new state"
        )
