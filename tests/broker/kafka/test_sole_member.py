"""The only member of a group: the next process takes its place at once, and fences it."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec
import pytest

from broker.connect import Connection
from broker.consume import read_all
from broker.lease import LeaseLost
from broker.produce import Producer
from broker.sole_member import SoleMember
from commands.wiring.process import now_ms
from gateway.access.folder import open_folder
from gateway.webhooks import WebhookSecrets
from schemas.control_records import control_key
from schemas.errors import Busy
from schemas.instants import format_instant
from schemas.topics import CONTROL, EVENTS, LEASE, ORDERS_ACTIONS, TOPICS
from sinks.subscriptions.subscription import WEBHOOK, Subscription
from tests.support.actions import action
from tests.support.alerts import produce
from tests.support.command import Command, leaving_none
from tests.support.hooks import SECRET, Hooks, hooks
from tests.support.kafka.topics import make, make_anew, write
from tests.support.stack import namespace
from tests.support.tiers.orders import document
from tests.support.waiting import wait_until

# Far beyond the patience of a test.
TEN_MINUTES = dict.fromkeys(("session.timeout.ms", "max.poll.interval.ms"), "600000")
NAME = "wh_0123456789abcdef"


def subscription(url: str, folder: Path) -> bytes:
    at = format_instant(now_ms())
    sealed = WebhookSecrets(open_folder(folder).secret).sealed(NAME, SECRET)
    return msgspec.json.encode(Subscription(url=url, secret=sealed, since_at=at, active_at=at))


def both_came(kafka: Connection, receiver: Hooks, count: int) -> bool:
    """So many events at the receiver of webhooks, and so many outcomes of actions."""
    outcomes = {message.value for message in read_all(kafka, EVENTS)}
    return len({*receiver.ids()}) == len(outcomes) == count


def test_an_act_that_was_killed_is_replaced_before_its_sessions_end(
    kafka: Connection, tmp_path: Path
) -> None:
    """Its lease, and its members of both groups."""
    make_anew(kafka, *TOPICS)
    make(kafka, LEASE, CONTROL)
    with ExitStack() as stack:
        receiver = stack.enter_context(hooks())
        process = Command(
            "act",
            tmp_path,
            {
                "broker": {"bootstrap": kafka.bootstrap, "properties": TEN_MINUTES},
                "act": {
                    "folder": str(tmp_path / "act"),
                    "group": namespace(),
                    "private": "127.0.0.1",
                },
                "serve": {"folder": str(tmp_path / "serve")},
                "warm": {"folder": str(tmp_path / "warm")},
                "tiers": {"lookup": "warm"},
            },
        )
        stack.enter_context(leaving_none([process]))
        producer = stack.enter_context(Producer(kafka, linger_ms=0))
        record = subscription(receiver.url, tmp_path / "serve")
        producer.send(CONTROL.name, control_key(WEBHOOK, NAME), record)
        for number in (1, 2):
            process.start()
            wanted = action(f"SO-{number}", at=now_ms())
            producer.send(ORDERS_ACTIONS, b"k", msgspec.json.encode(wanted))
            produce(producer, document(f"SO-{number}"))
            # A kill before an answer is stored repeats it, under its id.
            came = partial(both_came, kafka, receiver, number)
            wait_until(came, f"event and outcome {number}", shown=process.output)
            process.end(signal.SIGKILL)


def joined(kafka: Connection, topic: str, verify: Callable[[], None]) -> SoleMember:
    properties = {**TEN_MINUTES, "heartbeat.interval.ms": "300"}  # which tells of the fencing
    return SoleMember(Connection(kafka.bootstrap, properties), topic, topic, verify)


def values(member: SoleMember) -> list[int]:
    return [int(each.value or b"") for each in member.read()]


def test_a_member_whose_name_is_taken_rejoins_only_with_the_lease(
    kafka: Connection, topic: str
) -> None:
    states: list[Exception | None] = []

    def verify() -> None:
        if states and (raised := states.pop(0)):
            raise raised

    write(kafka, topic, [1])
    with ExitStack() as stack:
        first = stack.enter_context(joined(kafka, topic, verify))
        wait_until(lambda: values(first) == [1], "the first message")
        first.commit()
        states += [Busy("the broker is restarted"), None]
        with joined(kafka, topic, verify) as second:
            write(kafka, topic, [2])
            wait_until(lambda: values(second) == [2], "the second message")
            first.pause()
            wait_until(lambda: not (first.read() or states), "the first's fencing")
            second.commit()
            first.resume()
            write(kafka, topic, [3])
            wait_until(lambda: values(first) == [3], "the third message, in the first again")
            states.append(LeaseLost("another run has taken over"))
            with pytest.raises(LeaseLost, match="another run has taken over"):
                wait_until(lambda: second.read() and False, "the second's end")
