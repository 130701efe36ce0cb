"""Webhook: any HTTP receiver, in the format of Alertmanager's own webhooks.

    {"version": "1", "alerts": [{"status": "firing", "labels": {…}, "annotations": {…},
     "startsAt": "2018-01-03T…", "endsAt": "2026-…", "generatorURL": "https://…"}]}

An alert is posted when it opens or escalates, and when it ends: a firing one stays open until then,
and its `endsAt` is the zero time. With `[delivery] renew` it is posted again and again, and
`endsAt` is the instant at which it ends unless it is. `Idempotency-Key` is the same for the same
body, so that a receiver recognizes a repetition.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from schemas.keys import content_id
from schemas.settings.model import DeliverySettings
from sinks.channels.alert_message import Posting
from sinks.channels.alertmanager import PostableAlert, postable
from sinks.channels.channel import Channel
from sinks.channels.http_channel import HttpChannel

NEVER = "0001-01-01T00:00:00Z"  # as Alertmanager writes the end of a firing alert


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
    fields["ends_at"] = fields["ends_at"] or NEVER
    return Spoken(**fields, status="resolved" if posting.resolved else "firing")


def open_channel(settings: DeliverySettings) -> Channel:
    """The webhook that the settings name."""
    return WebhookChannel.from_settings(settings)


class WebhookChannel(HttpChannel):
    """One receiver at `url`; whatever 2xx it answers is a yes."""

    name = "webhook"

    def post(self, postings: Sequence[Posting]) -> None:
        body = msgspec.json.encode(Call("1", [spoken(each) for each in postings]))
        self.send("", body, {"Idempotency-Key": content_id(body.decode())})
