"""Poller plug-ins: the query of a carrier that doesn't push."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from dataflows.carriers.carrier import CarrierConfig, PushContents
from schemas.errors import SettingsError

MOST_BATCH = 100


class PollConfig(CarrierConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of every polled account; a plug-in adds its own.

    `url` is where the carrier answers within `timeout`, `rate` the requests a second that the
    account may make. `carriers` are the codes of the carriers whose parcels it asks for, with
    commas; empty: all that the plug-in can ask for.
    """

    url: str
    rate: str = "1"
    timeout: str = "10s"
    carriers: str = ""


class HttpRequest(NamedTuple):
    """A request to `path` below the account's URL."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


class Asked(NamedTuple):
    """A parcel that is asked for: its number, and the code of its carrier."""

    number: str
    carrier: str


class Answer(NamedTuple):
    """Content of an answer, and the numbers that the carrier doesn't know."""

    contents: PushContents
    unknown: frozenset[str] = frozenset()


class Pollable(ABC):
    """A carrier that is asked, or an aggregator of carriers: a `Poller` or a `Fetcher`.

    A plug-in is a subclass of one of the two, registered as an entry point of the group
    `ordertide.pollers`. `name` is the name of the entry point, `Config` the schema of its settings.
    `codes` are the carriers that it can ask for, `batch` is the most parcels of a request, and
    `least_interval_s` the shortest time between two requests for one parcel that it allows.
    """

    name: ClassVar[str]
    Config: ClassVar[type[PollConfig]]
    batch: int = 1
    least_interval_s: float = 0.0
    codes: frozenset[str]

    @abstractmethod
    def __init__(self, config: Any) -> None:  # noqa: ANN401 - an instance of the plug-in's Config
        """Create the plug-in with its settings.

        Raises:
            SettingsError: a value can't be used; names the setting and the remedy.
        """


class Poller(Pollable):
    """A query as a request and its response: no I/O, no clock."""

    @abstractmethod
    def request(self, asked: Sequence[Asked], now_ms: int) -> HttpRequest:
        """The request for the history of parcels: one to `batch` of them."""

    @abstractmethod
    def read(self, asked: Sequence[Asked], body: bytes) -> Answer:
        """Read the body of a successful response. Its events are those that a push would give.

        Raises:
            Busy: the carrier can't answer now. Rejected: `refused`, the account may not ask; any
                other code: the body can't be read.
        """


class Fetcher(Pollable):
    """A query by a library that makes its own requests, several at a time in threads.

    One that takes longer than the account's `timeout` counts as failed; its thread is left behind,
    so requests need a time-out of their own.
    """

    @abstractmethod
    def fetch(self, asked: Sequence[Asked]) -> Answer:
        """Query the history of parcels: one to `batch` of them.

        Raises:
            HttpFailed: no response, or none of success. Busy, Rejected: as `Poller.read`.
        """


def batch_of(text: str, of: str) -> int:
    """Parcels of a request, as an option has them.

    Raises:
        SettingsError: it is no whole number from 1 to 100; names `of`.
    """
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_BATCH):
        raise SettingsError(
            f"{of}: {text!r} is no number of parcels; write one from 1 to {MOST_BATCH}"
        )
    return int(text)
