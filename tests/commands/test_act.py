"""`ordertide act` as a process, its dead letters, and its look-up of alerts in the tiers."""

import json
import random
import signal
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.act.command import command
from commands.act.tier_lookup import TierAlerts
from commands.wiring.process import now_ms, temporary_stop_event
from gateway.access.folder import open_folder
from gateway.unsubscribing import REFUSAL, Refusal, Refusals
from privacy.keys import FileKeyStore
from privacy.seal import seal_event
from schemas.control_records import control_key
from schemas.event import Event, decode_event
from schemas.instants import DAY_MS, parse_instant
from schemas.keys import SEPARATOR
from schemas.topics import CONTROL, EVENTS, ORDERS_ACTIONS, ORDERS_AUDIT
from sinks.actions.outbox import Arrival, Outbox, Result
from storage_tiering.memory import MemoryTier
from storage_tiering.pool import TierPool
from storage_tiering.records import NOWHERE, order_record
from storage_tiering.tier import OrderRecord
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.actions import BEGIN_AT, action
from tests.support.alerts import alert, order
from tests.support.command import Command, broker_with_topics, leaving_none
from tests.support.hooks import SECRET, Hooks, Mood, hooks
from tests.support.mail_server import MailServer
from tests.support.tiers.certificates import Authority
from tests.support.tiers.orders import Log, accepted, document
from tests.support.waiting import wait_until

TABLE = """version = 1
[receivers.desk]
channel = "webhook"
options = {{url = "{url}"}}
{batch}
[kinds.confirm_order]
receiver = "desk"
"""
OK: Mood = (202, {}, b"")


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with broker_with_topics() as running:
        yield running


@pytest.fixture
def process(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Command]:
    built = Command(
        "act",
        tmp_path,
        {
            "broker": {"bootstrap": broker.bootstrap, "embedded": True},
            "act": {"folder": str(tmp_path / "act")},
            "warm": {"folder": str(tmp_path / "warm")},
            "tiers": {"lookup": "warm"},
        },
    )
    with leaving_none([built]):
        yield built


def notes(broker: EmbeddedBroker) -> set[str]:
    found = [json.loads(each.value or b"") for each in read_all(broker.connection, EVENTS)]
    return {each["event_id"] for each in found if each["status_code"] == "NOTE"}


def test_killed_and_started_again_it_ends_every_action_once(
    process: Command, broker: EmbeddedBroker
) -> None:
    wanted = [action(f"SO-{number}", at=now_ms()) for number in range(200)]
    process.start()
    with Producer(broker.connection, linger_ms=0) as producer:
        for each in wanted[:100]:
            producer.send(ORDERS_ACTIONS, each.order_id.encode(), msgspec.json.encode(each))
    wait_until(lambda: len(notes(broker)) > 0, "an outcome", shown=process.output)
    process.end(signal.SIGKILL)
    with Producer(broker.connection, linger_ms=0) as producer:
        for each in wanted[100:]:
            producer.send(ORDERS_ACTIONS, each.order_id.encode(), msgspec.json.encode(each))
    process.start()
    wait_until(lambda: len(notes(broker)) == 200, "200 outcomes", shown=process.output)
    assert process.get("/readyz")[0] == 200
    outcomes = 'ordertide_action_outcomes_total{receiver="log",state="done"}'
    # Counted once the outbox has stored that it was published.
    wait_until(lambda: outcomes in process.get("/metrics")[1], outcomes, shown=process.output)
    assert process.end(signal.SIGTERM) == 0, process.output()


@pytest.mark.parametrize("batch", ["", "batch = {most = 9}"], ids=["alone", "in batches"])
def test_kill_9_at_any_moment_no_action_is_lost_and_none_has_two_keys(
    broker: EmbeddedBroker, tmp_path: Path, rng: random.Random, batch: str
) -> None:
    with hooks() as receiver:
        table = tmp_path / "actions.toml"
        table.write_text(TABLE.format(url=receiver.url, batch=batch), "utf-8")
        act = {"folder": str(tmp_path / "act"), "actions": str(table)}
        broker_of = {"bootstrap": broker.bootstrap, "embedded": True}
        process = Command("act", tmp_path, {"broker": broker_of, "act": act})
        process.environment["ORDERTIDE_ACT_SECRET_DESK"] = SECRET
        wanted = [action(f"SO-{number}", at=now_ms()) for number in range(120)]
        faults = 8 if batch else 40  # of the first requests
        moods = [(503, {}, b""), "close", OK, OK, OK]
        receiver.moods.extend(rng.choice(moods) for _ in range(faults))
        with leaving_none([process]), Producer(broker.connection, linger_ms=0) as producer:
            for part in range(4):
                process.start()
                for each in wanted[part * 30 : part * 30 + 30]:
                    producer.send(ORDERS_ACTIONS, each.order_id.encode(), msgspec.json.encode(each))
                enough = len(receiver.calls) + rng.randrange(1, 4 if batch else 25)
                wait_until(
                    partial(has_heard, receiver, enough), f"{enough} calls", shown=process.output
                )
                process.end(signal.SIGKILL)
            process.start()
            wait_until(lambda: len(notes(broker)) == 120, "120 outcomes", shown=process.output)
            assert process.end(signal.SIGTERM) == 0, process.output()
        calls = {(headers["webhook-id"], body) for headers, body in receiver.calls}
        assert len(calls) == len(set(receiver.ids())), "what comes twice has the same id"
        found = [each for _, body in calls for each in actions_in(body)]
        bodies = {each["data"]["action_id"]: each for each in found}
        assert bodies.keys() == {each.action_id for each in wanted}
        assert all(bodies[each["data"]["action_id"]] == each for each in found)
        assert batch or set(receiver.ids()) == bodies.keys()


def actions_in(body: bytes) -> list[dict[str, Any]]:
    found = json.loads(body)
    actions: list[dict[str, Any]] = found["data"].get("actions", [found])
    return actions


def has_heard(receiver: Hooks, calls: int) -> bool:
    return len(receiver.calls) >= calls


def is_ready(process: Command) -> bool:
    try:
        return process.get("/readyz")[0] == 200
    except OSError:  # it has not begun to listen
        return False


def test_a_second_process_of_the_folder_is_refused(process: Command) -> None:
    process.start()
    wait_until(lambda: is_ready(process), "ready", shown=process.output)
    with temporary_stop_event():
        result = CliRunner().invoke(command, ["--settings", str(process.settings)])
    assert "in use by process" in str(result.exception)


# ---------------------------------------------------------------- dead letters
@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "ordertide.toml"
    path.write_text(f'[act]\nfolder = "{tmp_path}"\n', "utf-8")
    return path


def bury(folder: Path, *orders: str, receiver: str = "desk") -> list[str]:
    """Actions that end dead in the outbox of a folder."""
    wanted = [action(order_id) for order_id in orders]
    ended_at = parse_instant(wanted[0].at)
    with closing(Outbox(folder / "outbox.sqlite")) as outbox:
        with outbox.transaction():
            for each in wanted:
                arrival = Arrival(each.action_id, receiver, 1, 1, msgspec.json.encode(each))
                outbox.insert([arrival], 1, 1)
            taken = outbox.take(receiver, 1, 10)
            results = [Result(each, "dead", 3, "no such order", 0, ended_at) for each in taken]
            outbox.settle(results)
        return [each.action_id for each in taken]


def run(*arguments: str, settings: Path) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["dead", *arguments, "--settings", str(settings)])
    return result.exit_code, result.output or str(result.exception)


def test_dead_actions_are_listed_with_their_reason(settings: Path, tmp_path: Path) -> None:
    assert "outbox.sqlite is missing" in run("list", settings=settings)[1]
    (dead,) = bury(tmp_path, "SO-1")
    code, text = run("list", settings=settings)
    assert code == 0
    assert "no such order" in text
    assert dead in text.replace("\n", "")
    (row,) = json.loads(run("list", "--json", settings=settings)[1])
    assert (row["action"]["order_id"], row["attempts"]) == ("SO-1", 3)
    assert run("list", "--receiver", "nobody", settings=settings) == (0, "no dead actions\n")


def test_dead_actions_are_replayed_singly_or_all(settings: Path, tmp_path: Path) -> None:
    dead = bury(tmp_path, "SO-1", "SO-2", "SO-3")
    assert run("replay", dead[0], settings=settings) == (0, "1 of 1 wait to be sent again\n")
    assert run("replay", dead[0], settings=settings) == (1, "0 of 1 wait to be sent again\n")
    assert run("replay", settings=settings)[0] == 2
    assert run("replay", "--all", settings=settings) == (0, "2 of 2 wait to be sent again\n")
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        assert set(outbox.states().values()) == {"waiting"}


# ---------------------------------------------------------------- alerts in the tiers
def tier_with(*records: OrderRecord, clock_at: int) -> TierAlerts:
    tier = MemoryTier(keep_ms=10_000 * DAY_MS)
    tier.write_orders(records)
    tier.flush(force=True)
    tier.expire(clock_at)
    return TierAlerts(TierPool(["memory"], lambda _: {"memory": tier}))


def record(*alerts: dict[str, Any]) -> OrderRecord:
    return order_record(order("SO-1", 1, *alerts), NOWHERE)


def test_an_alert_has_ended_only_by_an_answer_from_after_the_action() -> None:
    opened = alert(opened_at=BEGIN_AT)
    wanted = action(alert_id=str(opened["alert_id"]))
    at = parse_instant(wanted.at)
    assert tier_with(record(opened), clock_at=at + DAY_MS).status_of(wanted) == "open"
    assert tier_with(record(), clock_at=at + 1).status_of(wanted) == "ended"
    assert tier_with(record(), clock_at=at).status_of(wanted) == "unknown"
    assert tier_with(clock_at=at + DAY_MS).status_of(wanted) == "unknown", "no such order"


# ---------------------------------------------------------------- messages to customers
CUSTOMERS = """version = 1
[receivers.customers]
channel = "mail"
[receivers.customers.options]
host = "127.0.0.1"
port = "{port}"
ca = "{ca}"
from = "shop@example.com"
to = "customer"
unsubscribe = "mailto:stop@example.com"
[kinds.confirm_order]
receiver = "customers"
template = "confirmed"
"""


def write_orders(folder: Path) -> None:
    """Orders of three customers with sealed addresses, in a warm tier; the second is erased."""
    keys = FileKeyStore(folder / "keys.json")
    tier, log = SqliteTier(folder / "warm"), Log()
    for number in (1, 2, 3):
        order_id, customer = f"SO-{number}", f"C-{number}"
        tier.write_orders(log.changes(document(order_id, customer_id=customer)))
        sent = {
            "event_id": "e",
            "source": "shop",
            "order_id": order_id,
            "customer_id": customer,
            "status_code": "PAID",
            "timestamp": "2026-11-30T10:00:00Z",
            "personal": {"email": f"ada{number}@example.org"},
        }
        data = json.dumps(sent).encode()
        event = decode_event(data)
        assert isinstance(event, Event)
        sealed = msgspec.Raw(seal_event(data, event, keys))
        tier.write_events(log.events(msgspec.structs.replace(accepted(order_id), event=sealed)))
    tier.flush(force=True)
    tier.close()
    keys.erase("default", "C-2")
    keys.close()


def test_a_customer_gets_a_mail_and_one_who_was_erased_or_unsubscribed_gets_none(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    write_orders(tmp_path)
    with MailServer(authority.sign("mail")) as server:
        table = tmp_path / "actions.toml"
        table.write_text(CUSTOMERS.format(port=server.port, ca=authority.ca), "utf-8")
        settings: dict[str, dict[str, object]] = {
            "broker": {"bootstrap": broker.bootstrap, "embedded": True},
            "act": {"folder": str(tmp_path / "act"), "actions": str(table)},
            "warm": {"folder": str(tmp_path / "warm")},
            "tiers": {"lookup": "warm"},
            "privacy": {"keys": str(tmp_path / "keys.json")},
            "serve": {"folder": str(tmp_path / "serve"), "public_url": "https://shop.example.com"},
        }
        refusals = Refusals(open_folder(tmp_path / "serve").secret)
        name = refusals.name_of(f"default{SEPARATOR}C-3", "confirm_order")
        record = msgspec.json.encode(Refusal(at="2026-11-30T09:00:00Z", kind="confirm_order"))
        with Producer(broker.connection, linger_ms=0) as producer:
            producer.send(CONTROL.name, control_key(REFUSAL, name), record)
        process = Command("act", tmp_path, settings)
        with leaving_none([process]):
            process.start()
            with Producer(broker.connection, linger_ms=0) as producer:
                for order_id in ("SO-1", "SO-2", "SO-3"):
                    wanted = msgspec.json.encode(action(order_id, at=now_ms()))
                    producer.send(ORDERS_ACTIONS, order_id.encode(), wanted)
            wait_until(lambda: len(notes(broker)) == 3, "three outcomes", shown=process.output)
            assert process.end(signal.SIGTERM) == 0, process.output()
            said = process.output()
        (mail,) = server.kept.mails
    assert mail["To"] == "ada1@example.org"
    ours, theirs = mail["List-Unsubscribe"].replace(",", " ").split()
    assert theirs == "<mailto:stop@example.com>"
    assert ours.startswith("<https://shop.example.com/u/")
    opened = refusals.opened(ours.rpartition("/")[2].partition("?")[0])
    assert opened
    assert opened.name == refusals.name_of(f"default{SEPARATOR}C-1", "confirm_order")
    assert "C-1" not in str(opened), "the link names no customer"
    plain: Any = mail.get_payload(0)
    assert "https://shop.example.com/t/" in plain.get_payload(decode=True).decode()
    events = [json.loads(each.value or b"") for each in read_all(broker.connection, EVENTS)]
    texts = {each["order_id"]: each["text"] for each in events}
    assert texts == {
        "SO-1": "confirm_order: done by customers (mailed to the customer)",
        "SO-3": "confirm_order: skipped (the customer has unsubscribed from such messages)",
        "SO-2": "confirm_order: skipped (the customer's personal data was erased)",
    }
    audit = [json.loads(each.value or b"") for each in read_all(broker.connection, ORDERS_AUDIT)]
    reads = [each for each in audit if each["what"] == "personal.read"]
    assert [(each["order_id"], each["detail"]["fields"]) for each in reads] == [("SO-1", "email")]
    assert "example.org" not in json.dumps([events, audit]) + said
