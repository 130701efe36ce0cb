"""Contract of action channels, seen from their receivers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from commands.wiring.process import now_ms
from schemas.errors import Busy
from schemas.order import ShipmentView
from sinks.actions.channels.action_channel import ActionRequest, BatchChannel
from tests.support.action_channel_kinds import (
    ActionChannelKind,
    batches_kind,
    carrier_kind,
    chat_kind,
    log_kind,
    mail_kind,
    memory_kind,
    webhook_kind,
)
from tests.support.actions import action
from tests.support.hooks import hooks
from tests.support.mail_server import MailServer
from tests.support.tiers.certificates import Authority

BATCHES = ["memory", "webhook in batches"]
KINDS = [*BATCHES, "webhook", "mail", "chat", "carrier", "log"]


@pytest.fixture(params=KINDS)
def kind(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> Iterator[ActionChannelKind]:
    with ExitStack() as stack:
        match request.param:
            case "memory":
                built = memory_kind()
            case "webhook":
                built = webhook_kind(stack.enter_context(hooks()))
            case "webhook in batches":
                built = batches_kind(stack.enter_context(hooks()))
            case "mail":
                authority = Authority(tmp_path)
                server = stack.enter_context(MailServer(authority.sign("mail")))
                built = mail_kind(server, Path(authority.ca))
            case "chat":
                built = chat_kind(stack.enter_context(hooks(is_signed=False)))
            case "carrier":
                built = carrier_kind(stack.enter_context(hooks(is_signed=False)))
            case _:
                built = log_kind(caplog)
        yield built
        built.channel.close()


def request_of(order_id: str = "SO-1", attempt: int = 1, tenant: str = "default") -> ActionRequest:
    return ActionRequest(
        action=action(order_id, tenant=tenant),
        attempt=attempt,
        sent_at=now_ms(),
        parcel=ShipmentView(shipment="YT1", carrier="yto"),
    )


def test_the_receiver_gets_the_action_with_its_idempotency_key(kind: ActionChannelKind) -> None:
    wanted = request_of("SO-7")
    assert kind.channel.send(wanted)
    assert kind.received() == [wanted.action.action_id]


def test_a_second_attempt_has_the_same_idempotency_key(kind: ActionChannelKind) -> None:
    for attempt in (1, 2):
        kind.channel.send(request_of(attempt=attempt))
    first, second = kind.received()
    assert first == second


def test_texts_of_any_kind_arrive(kind: ActionChannelKind) -> None:
    wanted = request_of('订单 "7"\\\n\x1b[31m', tenant="商店")
    kind.channel.send(wanted)
    assert kind.received() == [wanted.action.action_id]


def test_it_is_used_from_several_threads_at_once(kind: ActionChannelKind) -> None:
    requests = [request_of(f"SO-{number}") for number in range(64)]
    with ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(kind.channel.send, requests)]
    assert all(answers)
    assert sorted(kind.received()) == sorted(each.action.action_id for each in requests)


@pytest.mark.parametrize("kind", KINDS[:-1], indirect=True)
def test_a_receiver_that_is_away_is_busy_and_takes_the_same_when_it_is_back(
    kind: ActionChannelKind,
) -> None:
    assert kind.outage
    goes, comes = kind.outage
    goes()
    try:
        with pytest.raises(Busy):
            kind.channel.send(request_of())
    finally:
        comes()
    kind.channel.send(request_of())
    assert kind.received() == [request_of().action.action_id]


# ---------------------------------------------------------------- batches
@pytest.mark.parametrize("kind", BATCHES, indirect=True)
def test_a_batch_arrives_in_its_sequence_with_a_result_for_each(kind: ActionChannelKind) -> None:
    assert isinstance(kind.channel, BatchChannel)
    requests = [request_of(f"SO-{number}") for number in (3, 1, 2)]
    ids = [each.action.action_id for each in requests]
    found = kind.channel.send_batch("b1", requests)
    assert [*found] == ids
    assert all(isinstance(each, str) and each for each in found.values())
    assert kind.received() == ids


@pytest.mark.parametrize("kind", BATCHES, indirect=True)
def test_a_batch_to_a_receiver_that_is_away_is_busy_as_a_whole(kind: ActionChannelKind) -> None:
    assert isinstance(kind.channel, BatchChannel)
    assert kind.outage
    goes, comes = kind.outage
    requests = [request_of("SO-1"), request_of("SO-2")]
    goes()
    try:
        with pytest.raises(Busy):
            kind.channel.send_batch("b1", requests)
    finally:
        comes()
    kind.channel.send_batch("b1", requests)
    assert kind.received() == [each.action.action_id for each in requests]
