"""Rest, queried: a carrier or a system of one's own that answers with our names of the fields.

A query is `GET URL?waybill=NUMBER`, with a `waybill` for each parcel of a batch, and with
`Authorization: Bearer TOKEN` where the account has a token. The answer is what the plug-in `rest`
takes as a push, so a scan has the id that it has in a push; each needs its `waybill`. A 404 is the
answer for a number that isn't known.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from dataflows.carriers.carrier import PushContents, UnreadableScan
from dataflows.carriers.pollable import (
    Answer,
    Asked,
    HttpRequest,
    PollConfig,
    Poller,
    batch_of,
)
from dataflows.carriers.rest import Rest, RestConfig
from dataflows.carriers.wording import canonical_carrier
from schemas.errors import Rejected, SettingsError

NO_WAYBILL = Rejected("invalid_event", "waybill: missing; send it with each scan")


class RestPollConfig(PollConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`carriers` has to name some; `batch` is the most parcels of a request."""

    token: str = ""
    zone: str = "+00:00"
    batch: str = "1"


class RestPoller(Poller):
    """The query of whoever answers with our own fields."""

    name = "rest"
    Config = RestPollConfig

    def __init__(self, config: RestPollConfig) -> None:
        names = [part.strip() for part in config.carriers.split(",") if part.strip()]
        self.codes = frozenset(map(canonical_carrier, names))
        if self.codes != frozenset(names) or not names:
            needed = ", ".join(sorted(self.codes)) or "the codes of its carriers, like correios"
            raise SettingsError(f"poller rest: carriers: {config.carriers!r}; write {needed}")
        self.batch = batch_of(config.batch, "poller rest: batch")
        self.headers = {"authorization": f"Bearer {config.token}"} if config.token else {}
        pushed = RestConfig(token=config.token, zone=config.zone, statuses=config.statuses)
        self.contents = Rest(pushed).contents

    def request(self, asked: Sequence[Asked], now_ms: int) -> HttpRequest:
        query = urlencode([("waybill", each.number) for each in asked])
        return HttpRequest("GET", f"?{query}", self.headers)

    def read(self, asked: Sequence[Asked], body: bytes) -> Answer:
        found = self.contents(body)
        carriers = {each.number: each.carrier for each in asked}
        events = []
        unreadable = list(found.unreadable)
        for number, event in enumerate(found.events):
            if "waybill" in event:
                events.append({"carrier": carriers.get(event["waybill"])} | event)
            else:
                unreadable.append(UnreadableScan(f"events[{number}]", NO_WAYBILL))
        return Answer(PushContents(events, unreadable=tuple(unreadable)))
