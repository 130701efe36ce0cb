"""Carrier plug-ins: translate a carrier's pushes to events; no I/O, no clock."""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec

from schemas.errors import Busy, Rejected

# A header that no carrier sends: the gateway puts the secret last part of the callback's address
# there, for carriers that sign nothing.
CALLBACK_TOKEN = "x-callback-token"  # noqa: S105 - a header's name, not a token


class Acknowledgement(NamedTuple):
    """The HTTP answer that a carrier understands."""

    status: int
    headers: dict[str, str]
    body: bytes


class UnreadableScan(NamedTuple):
    """A scan, or a part of one, that could not be read: its place in the payload, and the reason.

    `is_lost`: no event was made of it; else only a field of its event is missing.
    """

    place: str
    error: Rejected
    is_lost: bool = True


class PushContents(NamedTuple):
    """Contents of a push: its events, and the scans without a mapping or that could not be read.

    `unmapped` are the places in `events` of those that are SCAN because neither their code nor
    their text has a mapping.
    """

    events: list[dict[str, Any]]
    unmapped: frozenset[int] = frozenset()
    unreadable: tuple[UnreadableScan, ...] = ()


class CarrierConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings that every carrier has; a plug-in adds its own.

    `zone` is where times without a zone belong: `+08:00` or `Asia/Shanghai`. `statuses` maps the
    carrier's codes to codes of the lifecycle, before the plug-in's own table.
    """

    zone: str
    statuses: dict[str, str] = msgspec.field(default_factory=dict)


class Carrier(ABC):
    """A carrier, or an aggregator of carriers, that pushes tracking to us.

    A plug-in is a subclass, registered as an entry point of the group `ordertide.carriers`. `name`
    is the name of the entry point and part of the callback's address; `Config` is the schema of its
    settings, of which the constructor gets a checked instance.
    """

    name: ClassVar[str]
    Config: ClassVar[type[CarrierConfig]]

    @abstractmethod
    def __init__(self, config: Any) -> None:  # noqa: ANN401 - an instance of the plug-in's Config
        """Create the plug-in with its settings.

        Raises:
            SettingsError: a value can't be used; names the setting and the remedy.
        """

    @abstractmethod
    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Prove that a push is the carrier's; header names are in lower case.

        Raises:
            Rejected: `bad_signature`, wrong or missing; nothing else.
        """

    @abstractmethod
    def events(self, body: bytes) -> list[dict[str, Any]]:
        """The events of a push, one for each scan, in the order in which the scans are given.

        Every event passes `schemas.event.decode_event`. `status_code` is a code of the lifecycle;
        `SCAN` where the carrier's own code, kept in `raw_status`, has no mapping. `event_id` is the
        carrier's, else derived from the content of this scan alone, so that a scan has the same id
        in every push. A scan that can't be read is left out; `contents` names it.

        Raises:
            Rejected: `invalid_utf8`, `malformed_json`, `invalid_event`, `implausible_time`,
                `no_order` (no number): neither the push nor any of its scans can be read.
        """

    def contents(self, body: bytes) -> PushContents:
        """The events of a push, and what in it has no mapping or could not be read.

        A plug-in that can't name these needs no method of its own.

        Raises:
            Rejected: as `events`.
        """
        return PushContents(self.events(body))

    @abstractmethod
    def acknowledge(self, error: Rejected | Busy | None) -> Acknowledgement:
        """The answer to the carrier: taken (None), retry (Busy), or never."""


def check_token(headers: Mapping[str, str], expected: str) -> None:
    """Refuse a push whose callback's address doesn't end in the secret of a carrier's settings.

    Raises:
        Rejected: `bad_signature`.
    """
    token = headers.get(CALLBACK_TOKEN, "")
    if not hmac.compare_digest(token.encode(errors="replace"), expected.encode()):
        raise Rejected("bad_signature", "the address doesn't end in the configured token")
