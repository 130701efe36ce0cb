"""A webhook: any HTTP receiver, told in the words of Alertmanager's own webhooks.

    {"version": "1", "alerts": [{"status": "firing", "labels": {…}, "annotations": {…},
      "startsAt": "2018-01-03T…", "endsAt": "2026-…", "generatorURL": "https://…"}]}

Of a firing alert `endsAt` says until when it stands unless it is posted again. `Idempotency-Key` is
the same for the same body, so that a receiver can tell what it has heard already.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from schemas.keys import content_id
from sinks.channels.alert_message import Posting
from sinks.channels.alertmanager import PostableAlert, postable
from sinks.channels.channel import Channel
from sinks.channels.http_client import Poster


class Spoken(PostableAlert, frozen=True, kw_only=True):
    """An alert with its status."""

    status: Literal["firing", "resolved"]


class Call(msgspec.Struct, frozen=True):
    """The body."""

    version: str
    alerts: list[Spoken]


def spoken(posting: Posting) -> Spoken:
    """A posting with its status."""
    fields = msgspec.structs.asdict(postable(posting))
    return Spoken(**fields, status="resolved" if posting.resolved else "firing")


class WebhookChannel(Channel):
    """One receiver at `url`; whatever 2xx it answers is a yes."""

    name = "webhook"

    def __init__(self, url: str, *, token: str | None = None, ca_file: Path | None = None) -> None:
        self.poster = Poster(url, token=token, ca_file=ca_file)

    def post(self, postings: Sequence[Posting]) -> None:
        body = msgspec.json.encode(Call("1", [spoken(each) for each in postings]))
        self.poster.post("", body, {"Idempotency-Key": content_id(body.decode())})

    def close(self) -> None:
        self.poster.close()
