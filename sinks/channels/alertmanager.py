"""Alertmanager's v2 API: POST /api/v2/alerts, and its silences.

Its rules, read from its source (0.25, `types.Alert`, `provider/mem`): the labels are the identity;
`endsAt` is compared with its wall clock, so it is always ours, also where the alert's own instants
are of recorded history; an alert that ends before it starts is refused; of a batch with a bad
alert the good ones are taken, and the answer is 400. It keeps alerts in memory only: a restarted
one has them again after the next renewal.

A silence matches alerts by their labels: ours by `alert_id` and `severity`, so that an alert which
has escalated is under none. Its id is Alertmanager's own. So ours are recognized by their matchers
and the beginning of their comment, which continues with the order's key. The list is filtered by
whole matchers alone, hence the one on `service`. A start in the past is
taken as now (`silence.Silences.Set`), hence no clock of ours delays one. Replacing one by its id
ends the old one and makes the new one under one lock.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from schemas.errors import Busy
from schemas.instants import format_instant, parse_instant
from schemas.settings.model import DeliverySettings
from sinks.channels.alert_message import SERVICE, Labels, Posting
from sinks.channels.channel import Channel, Silence, SilencingChannel
from sinks.channels.http_channel import HttpChannel, outcomes

PATH = "/api/v2/alerts"
SILENCES = "/api/v2/silences"
OURS = SILENCES + "?filter=" + quote(f'service="{SERVICE}"', safe="")
COMMENT = "Snoozed in ordertide, order "
ALWAYS = format_instant(0)


class PostableAlert(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`postableAlert` of Alertmanager's OpenAPI file."""

    labels: Labels
    annotations: dict[str, str]
    starts_at: str
    ends_at: str | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")


class Matcher(msgspec.Struct, frozen=True, rename="camel"):
    """`matcher` of Alertmanager's OpenAPI file: a label's value."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class SilenceStatus(msgspec.Struct, frozen=True):
    """`silenceStatus`: active, pending or expired."""

    state: str


class PostableSilence(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`postableSilence`; with an id it replaces the silence of that id."""

    id: str = ""
    matchers: list[Matcher]
    starts_at: str
    ends_at: str
    created_by: str
    comment: str


class GettableSilence(PostableSilence, frozen=True, kw_only=True):
    """`gettableSilence`."""

    status: SilenceStatus


LISTED = msgspec.json.Decoder(list[GettableSilence])


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


def postable_silence(silence: Silence) -> PostableSilence:
    """A silence in Alertmanager's words."""
    return PostableSilence(
        id=silence.silence_id,
        matchers=[
            Matcher("service", SERVICE),
            Matcher("alert_id", silence.alert_id),
            Matcher("severity", silence.severity),
        ],
        starts_at=ALWAYS,
        ends_at=format_instant(silence.until),
        created_by=silence.by,
        comment=f"{COMMENT}{silence.order}",
    )


def ours(listed: Sequence[GettableSilence]) -> Iterator[Silence]:
    """Those in force that this channel made."""
    for each in listed:
        values = {one.name: one.value for one in each.matchers if one.is_equal}
        is_made_here = each.comment.startswith(COMMENT) and each.status.state != "expired"
        if is_made_here and values.keys() == {"service", "alert_id", "severity"}:
            yield Silence(
                values["alert_id"],
                values["severity"],
                until=parse_instant(each.ends_at),
                by=each.created_by,
                order=each.comment.removeprefix(COMMENT),
                silence_id=each.id,
            )


def open_channel(settings: DeliverySettings) -> Channel:
    """The Alertmanager that the settings name."""
    return AlertmanagerChannel.from_settings(settings)


class AlertmanagerChannel(HttpChannel, SilencingChannel):
    """One Alertmanager at `url` (http://host:9093, with its route prefix if it has one)."""

    name = "alertmanager"

    def post(self, postings: Sequence[Posting]) -> None:
        self.send(PATH, msgspec.json.encode([postable(each) for each in postings]))

    def silences(self) -> list[Silence]:
        with outcomes():
            answer = self.client.request("GET", OURS).body
        try:
            return [*ours(LISTED.decode(answer))]
        except ValueError as error:
            raise Busy(
                f"{self.client.shown}: its list of silences can't be read: {error}"
            ) from error

    def silence(self, silence: Silence) -> None:
        self.send(SILENCES, msgspec.json.encode(postable_silence(silence)))

    def end_silence(self, silence_id: str) -> None:
        with outcomes():
            self.client.request("DELETE", f"/api/v2/silence/{silence_id}")
