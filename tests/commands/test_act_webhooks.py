"""Webhooks of `ordertide act` as a process: from a record of the control topic to a receiver."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import msgspec
import pytest
from click.testing import CliRunner

from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.act.subscriptions import SubscriptionThread
from commands.act.worker import shared_of
from commands.webhook import command, kept
from commands.wiring.process import now_ms
from gateway.access.folder import open_folder
from gateway.unsubscribing import REFUSAL, Refusal, Refusals
from gateway.webhooks import WebhookSecrets
from schemas.control_records import control_key
from schemas.instants import format_instant
from schemas.settings.model import ActSettings, ServeSettings, Settings
from schemas.topics import CONTROL
from sinks.actions.table import parse_actions
from sinks.subscriptions.deliveries import FILE
from sinks.subscriptions.subscription import WEBHOOK, Subscription
from telemetry.metrics import Metrics
from tests.support.alerts import produce
from tests.support.command import Command, broker_with_topics, leaving_none
from tests.support.hooks import SECRET, Hooks, hooks
from tests.support.tiers.orders import document
from tests.support.waiting import wait_until

NAME = "wh_0123456789abcdef"


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with broker_with_topics() as running:
        running.create(CONTROL.name)
        yield running


@pytest.fixture
def process(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Command]:
    built = Command(
        "act",
        tmp_path,
        {
            "broker": {"bootstrap": broker.bootstrap, "embedded": True},
            "act": {"folder": str(tmp_path / "act"), "private": "127.0.0.1"},
            "serve": {"folder": str(tmp_path / "serve")},
            "warm": {"folder": str(tmp_path / "warm")},
            "tiers": {"lookup": "warm"},
        },
    )
    with leaving_none([built]):
        yield built


@pytest.fixture
def receiver() -> Iterator[Hooks]:
    with hooks() as running:
        yield running


def subscribe(broker: EmbeddedBroker, url: str, secret: bytes) -> None:
    """Write a subscription as `serve` does."""
    at = format_instant(now_ms())
    sealed = WebhookSecrets(secret).sealed(NAME, SECRET)
    record = Subscription(
        url=url, secret=sealed, types=("order.changed",), since_at=at, active_at=at
    )
    with Producer(broker.connection, linger_ms=0) as producer:
        producer.send(CONTROL.name, control_key(WEBHOOK, NAME), msgspec.json.encode(record))


def change(broker: EmbeddedBroker, *order_ids: str, version: int = 1) -> None:
    with Producer(broker.connection, linger_ms=0) as producer:
        produce(producer, *(document(each, version) for each in order_ids))


def told(receiver: Hooks) -> set[tuple[str, int]]:
    data = [json.loads(body)["data"] for _, body in [*receiver.calls]]
    return {(each["order_id"], each["version"]) for each in data}


def test_killed_and_started_again_it_delivers_every_change_under_one_id(
    process: Command, broker: EmbeddedBroker, receiver: Hooks, tmp_path: Path
) -> None:
    change(broker, "OLD")
    subscribe(broker, receiver.url, open_folder(tmp_path / "serve").secret)
    process.start()
    first = {f"SO-{number}" for number in range(40)}
    change(broker, *first)
    wait_until(lambda: len(receiver.calls) > 5, "some deliveries", shown=process.output)
    process.end(signal.SIGKILL)
    change(broker, *first, version=2)
    process.start()
    wanted = {(each, version) for each in first for version in (1, 2)}
    wait_until(lambda: told(receiver) == wanted, "all changes", shown=process.output)
    by_id = {headers["webhook-id"]: body for headers, body in receiver.calls}
    assert len(by_id) == 80, "what comes twice has the same id"
    read = 'ordertide_webhook_attempts_total{state="done"}'
    wait_until(lambda: read in process.get("/metrics")[1], "its metrics", shown=process.output)
    assert process.end(signal.SIGTERM) == 0, process.output()
    settings = ["--settings", str(process.settings)]
    listed = CliRunner().invoke(command, ["list", *settings], catch_exceptions=False)
    assert NAME in listed.output
    shown = CliRunner().invoke(
        command, ["deliveries", NAME, "--json", "--limit", "1", *settings], catch_exceptions=False
    )
    delivery = json.loads(shown.output)
    assert (delivery["state"], delivery["status"]) == ("done", 202)
    calls = len(receiver.calls)
    asked = CliRunner().invoke(
        command, ["replay", NAME, delivery["id"], *settings], catch_exceptions=False
    )
    assert asked.exit_code == 0, asked.output
    process.start()
    wait_until(lambda: len(receiver.calls) == calls + 1, "the replay", shown=process.output)
    assert receiver.ids()[-1] == delivery["id"]


def test_without_the_secret_of_serve_nothing_is_sent_and_the_owner_sees_why(
    process: Command, broker: EmbeddedBroker, receiver: Hooks, tmp_path: Path
) -> None:
    secret = b"s" * 32
    subscribe(broker, receiver.url, secret)
    process.start()
    change(broker, "SO-1")
    wait_until(
        lambda: kept(broker.connection).status(NAME) == "failing", "a report", shown=process.output
    )
    assert "copy the folder of 'ordertide serve'" in kept(broker.connection).states[NAME].reason
    assert not receiver.calls
    folder = tmp_path / "serve"
    folder.mkdir()
    (folder / "secret").write_text(secret.hex())
    wait_until(lambda: told(receiver) == {("SO-1", 1)}, "the change", shown=process.output)
    wait_until(
        lambda: kept(broker.connection).status(NAME) == "active", "its end", shown=process.output
    )


MESSAGES = """version = 1
[receivers.log]
channel = "log"
[kinds.confirm_order]
receiver = "log"
template = "confirmed"
"""


def test_one_reader_of_the_control_topic_has_refusals_and_subscriptions(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    folder = open_folder(tmp_path / "serve")
    subscribe(broker, "http://127.0.0.1:1/", folder.secret)
    name = Refusals(folder.secret).name_of("default C-1", "confirm_order")
    refusal = msgspec.json.encode(Refusal(at="2026-11-30T09:00:00Z", kind="confirm_order"))
    with Producer(broker.connection, linger_ms=0) as producer:
        producer.send(CONTROL.name, control_key(REFUSAL, name), refusal)
    serve = ServeSettings(folder=str(tmp_path / "serve"), public_url="https://shop.example.com")
    act = ActSettings(folder=str(tmp_path))
    settings = Settings(serve=serve, act=act)
    stop, before = Event(), readers()
    with ExitStack() as stack:
        table = parse_actions(MESSAGES, "actions.toml")
        shared = shared_of(settings, broker.connection, table, stack)
        webhooks = SubscriptionThread(
            *(settings, shared.control, shared.subscriptions, Metrics("act"), stop), lambda: None
        )
        webhooks.start()
        stack.callback(webhooks.close)
        wait_until(lambda: shared.control.is_loaded and (tmp_path / FILE).exists(), "both")
        assert readers() == before + 1
        assert [*shared.subscriptions.records] == [NAME]
        assert shared.refusals.refuses("default C-1", "confirm_order")
        assert not shared.refusals.refuses("default C-2", "confirm_order")


def readers() -> int:
    """Number of threads of this process that read the control topic, of other tests too."""
    return [each.name for each in threading.enumerate()].count("control")
