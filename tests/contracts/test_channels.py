"""Contract of channels, seen from its receiver; run against real receivers."""

from collections.abc import Iterator

import msgspec
import pytest

from commands.wiring.process import now_ms
from deploy.stack.prometheus import Alertmanager
from schemas.errors import Busy, Rejected
from sinks.channels.alert_message import Labels, Notice
from sinks.channels.alertmanager import SILENCES, AlertmanagerChannel, postable_silence
from sinks.channels.channel import Silence, SilencingChannel
from tests.support.alerts import HOLD_MS, notice, opened, over
from tests.support.channel_kinds import (
    ChannelKind,
    alertmanager_kind,
    memory_kind,
    webhook_kind,
)
from tests.support.receiver import Receiver, receiver
from tests.support.servers import need
from tests.support.stack import namespace
from tests.support.waiting import wait_until

KINDS = ["memory", "webhook", "alertmanager"]


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    need("prometheus-alertmanager")
    with Alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


@pytest.fixture
def hears() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def tenant() -> str:
    return namespace()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tenant: str) -> Iterator[ChannelKind]:
    match request.param:
        case "memory":
            built = memory_kind()
        case "webhook":
            built = webhook_kind(request.getfixturevalue("hears"))
        case _:
            built = alertmanager_kind(request.getfixturevalue("alertmanager"), tenant)
    yield built
    built.channel.close()


def of(tenant: str, order_id: str = "SO-1", **labels: str) -> Notice:
    told = notice(order_id)
    return told._replace(labels=told.labels | {"tenant": tenant} | labels)


def is_open(kind: ChannelKind, *notices: Notice) -> bool:
    found, wanted = kind.open_at(now_ms()), [told.labels for told in notices]
    return sorted(found, key=order_of) == sorted(wanted, key=order_of)


def wait_until_open(kind: ChannelKind, *notices: Notice) -> None:
    """Until these are open there, and no others."""
    names = [told.labels for told in notices]
    wait_until(
        lambda: is_open(kind, *notices), f"open: {names}", shown=lambda: kind.open_at(now_ms())
    )


def order_of(labels: Labels) -> str:
    return str(sorted(labels.items()))


def test_what_was_posted_is_open_with_every_label_as_it_was(kind: ChannelKind, tenant: str) -> None:
    told = of(tenant, '订单 "7"\\', carrier="sf")
    kind.channel.post([opened(told, now_ms())])
    wait_until_open(kind, told)


def test_an_alert_posted_again_is_the_same_alert(kind: ChannelKind, tenant: str) -> None:
    told = of(tenant)
    for _ in range(3):
        kind.channel.post([opened(told, now_ms())])
    wait_until_open(kind, told)


def test_what_is_over_is_no_longer_open_and_the_rest_is(kind: ChannelKind, tenant: str) -> None:
    one, other = of(tenant, "SO-1"), of(tenant, "SO-2")
    kind.channel.post([opened(one, now_ms()), opened(other, now_ms())])
    kind.channel.post([over(one, now_ms())])
    wait_until_open(kind, other)


def test_an_alert_that_is_over_may_open_again(kind: ChannelKind, tenant: str) -> None:
    told = of(tenant)
    kind.channel.post([opened(told, now_ms())])
    kind.channel.post([over(told, now_ms())])
    wait_until_open(kind)
    kind.channel.post([opened(told, now_ms())])
    wait_until_open(kind, told)


def test_the_end_of_an_alert_nobody_knows_changes_nothing(kind: ChannelKind, tenant: str) -> None:
    told = of(tenant)
    kind.channel.post([over(of(tenant, "SO-2"), now_ms()), opened(told, now_ms())])
    wait_until_open(kind, told)


def test_an_alert_that_is_not_renewed_ends_by_itself(kind: ChannelKind, tenant: str) -> None:
    stays, goes = of(tenant, "SO-1"), of(tenant, "SO-2")
    now_at = now_ms()
    kind.channel.post([opened(stays, now_at), opened(goes, now_at, hold_ms=700)])
    wait_until_open(kind, stays)


def test_a_renewed_alert_outlives_its_first_end(kind: ChannelKind, tenant: str) -> None:
    renewed, not_renewed = of(tenant, "SO-1"), of(tenant, "SO-2")
    now_at = now_ms()
    kind.channel.post([opened(told, now_at, hold_ms=700) for told in (renewed, not_renewed)])
    kind.channel.post([opened(renewed, now_at)])
    wait_until_open(kind, renewed)


def test_escalation_is_one_alert_that_ends_and_one_that_opens(
    kind: ChannelKind, tenant: str
) -> None:
    warning, overdue = of(tenant, severity="warning"), of(tenant, severity="overdue")
    kind.channel.post([opened(warning, now_ms())])
    kind.channel.post([over(warning, now_ms()), opened(overdue, now_ms())])
    wait_until_open(kind, overdue)


@pytest.mark.parametrize("years", [-8, 8], ids=["recorded history", "a clock that is ahead"])
def test_when_an_alert_opened_does_not_decide_whether_it_is_open(
    kind: ChannelKind, tenant: str, years: int
) -> None:
    told = of(tenant)._replace(starts_at=now_ms() + years * 365 * 86_400_000)
    kind.channel.post([opened(told, now_ms())])
    wait_until_open(kind, told)
    kind.channel.post([over(told, now_ms())])
    wait_until_open(kind)


def test_a_large_batch_arrives_whole(kind: ChannelKind, tenant: str) -> None:
    notices = [of(tenant, f"SO-{number}") for number in range(500)]
    kind.channel.post([opened(told, now_ms()) for told in notices])
    wait_until_open(kind, *notices)


def test_what_can_never_be_taken_is_rejected_and_the_rest_taken_without_it(
    kind: ChannelKind, tenant: str
) -> None:
    good, bad = of(tenant, "SO-1"), of(tenant, "SO-2", **{"no label!": "x"})
    with pytest.raises(Rejected):
        kind.channel.post([opened(bad, now_ms()), opened(good, now_ms())])
    with pytest.raises(Rejected):
        kind.channel.post([opened(bad, now_ms())])
    kind.channel.post([opened(good, now_ms())])
    wait_until_open(kind, good)


def made_here(channel: SilencingChannel, tenant: str) -> list[Silence]:
    return [each for each in channel.silences() if each.alert_id == tenant]


@pytest.mark.parametrize("kind", ["memory", "alertmanager"], indirect=True)
def test_a_silence_is_listed_as_it_was_made_replaced_by_its_id_and_ended(
    kind: ChannelKind, tenant: str
) -> None:
    channel = kind.channel
    assert isinstance(channel, SilencingChannel)
    wanted = Silence(tenant, "critical", now_ms() + HOLD_MS, "李", "t\x1f订单 7")
    channel.silence(wanted)
    (made,) = made_here(channel, tenant)
    assert made.silence_id
    assert made._replace(silence_id="") == wanted
    channel.silence(made._replace(until=wanted.until + HOLD_MS))
    (longer,) = made_here(channel, tenant)
    assert longer.until == wanted.until + HOLD_MS
    channel.end_silence(longer.silence_id)
    assert made_here(channel, tenant) == []


def test_silences_that_people_made_are_left_alone(alertmanager: Alertmanager, tenant: str) -> None:
    channel = AlertmanagerChannel(alertmanager.address["url"])
    theirs = postable_silence(Silence(tenant, "critical", now_ms() + HOLD_MS, "Li", "SO-1"))
    body = msgspec.json.encode(msgspec.structs.replace(theirs, comment="a holiday"))
    channel.send(SILENCES, body)
    assert made_here(channel, tenant) == []
    with pytest.raises(Rejected, match="end time"):
        channel.silence(Silence(tenant, "critical", now_ms() - HOLD_MS, "Li", "SO-1"))
    channel.close()


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
def test_a_receiver_that_is_away_is_busy_and_takes_the_same_when_it_is_back(
    kind: ChannelKind, tenant: str
) -> None:
    told = of(tenant)
    assert kind.outage
    goes, comes = kind.outage
    kind.channel.post([opened(told, now_ms())])
    goes()
    try:
        with pytest.raises(Busy, match=r"no answer|503"):
            kind.channel.post([opened(told, now_ms())])
    finally:
        comes()
    kind.channel.post([opened(told, now_ms())])
    wait_until_open(kind, told)


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
def test_a_receiver_that_was_restarted_between_two_posts_is_no_outage(
    kind: ChannelKind, tenant: str
) -> None:
    told = of(tenant)
    assert kind.outage
    goes, comes = kind.outage
    kind.channel.post([opened(of(tenant, "SO-2"), now_ms())])
    goes()
    comes()
    kind.channel.post([over(of(tenant, "SO-2"), now_ms()), opened(told, now_ms())])
    wait_until_open(kind, told)
