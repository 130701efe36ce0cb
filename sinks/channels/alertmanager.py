"""Alertmanager's v2 API: POST /api/v2/alerts.

Its rules, read from its source (0.25, `types.Alert`, `provider/mem`): the labels are the identity;
`endsAt` is compared with its wall clock, so it is always ours, also where the alert's own instants
are of recorded history; an alert that ends before it starts is refused; of a batch with a bad
alert the good ones are taken, and the answer is 400. It keeps alerts in memory only: a restarted
one has them again after the next renewal.
"""

from collections.abc import Sequence

import msgspec

from schemas.instants import format_instant
from schemas.settings.model import DeliverySettings
from sinks.channels.alert_message import Labels, Posting
from sinks.channels.channel import Channel
from sinks.channels.http_channel import HttpChannel

PATH = "/api/v2/alerts"


class PostableAlert(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`postableAlert` of Alertmanager's OpenAPI file."""

    labels: Labels
    annotations: dict[str, str]
    starts_at: str
    ends_at: str | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")


def postable(posting: Posting) -> PostableAlert:
    """A posting in Alertmanager's words."""
    notice = posting.notice
    return PostableAlert(
        labels=notice.labels,
        annotations=notice.annotations,
        starts_at=format_instant(posting.starts_at),
        ends_at=None if posting.ends_at is None else format_instant(posting.ends_at),
        generator_url=notice.link or None,
    )


def open_channel(settings: DeliverySettings) -> Channel:
    """The Alertmanager that the settings name."""
    return AlertmanagerChannel.from_settings(settings)


class AlertmanagerChannel(HttpChannel):
    """One Alertmanager at `url` (http://host:9093, with its route prefix if it has one)."""

    name = "alertmanager"

    def post(self, postings: Sequence[Posting]) -> None:
        self.send(PATH, msgspec.json.encode([postable(each) for each in postings]))
