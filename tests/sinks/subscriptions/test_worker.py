"""Subscriptions: each event of an order once, in sequence, to those who want it alone."""

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook

from schemas.instants import DAY_MS, MINUTE_MS, format_instant
from schemas.order import Lane, OrderDocument
from sinks.actions.channels.addresses import Allowed
from sinks.subscriptions import worker as worker_module
from sinks.subscriptions.deliveries import (
    Attempted,
    Deliveries,
    DeliveryState,
    NewDelivery,
)
from sinks.subscriptions.events import Change
from sinks.subscriptions.fan_out import Takers, Wanted
from sinks.subscriptions.subscription import Facets, Request
from tests.support.alerts import alert, order
from tests.support.hooks import Hooks, hooks
from tests.support.subscribed import Subscribed

FORMER = "whsec_" + "b" * 32


@pytest.fixture
def world(tmp_path: Path) -> Subscribed:
    return Subscribed(tmp_path)


@pytest.fixture
def receiver() -> Iterator[Hooks]:
    with hooks() as running:
        yield running


def bodies(receiver: Hooks) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in [*receiver.calls]]


def types(receiver: Hooks) -> list[str]:
    return [body["type"] for body in bodies(receiver)]


def with_created(world: Subscribed, given: OrderDocument) -> OrderDocument:
    return msgspec.structs.replace(given, created_at=format_instant(world.now_at))


def test_the_life_of_an_order_is_told_in_sequence(world: Subscribed, receiver: Hooks) -> None:
    world.subscribe("all", receiver.url)
    warned = alert(severity="warning")
    delivered = {"DELIVERED": format_instant(world.now_at)}
    with world.worker() as worker:
        for each in (
            world.new(status="PAID"),
            with_created(world, order("SO-1", 2, warned)),
            with_created(world, order("SO-1", 3, {**warned, "severity": "overdue"})),
            world.new(version=4, status="DELIVERED", milestones=delivered),
        ):
            world.change(each)
        world.retire("SO-1")
        world.run_to_the_end(worker)
    assert types(receiver) == [
        *("order.created", "order.changed"),
        *("order.changed", "alert.opened"),
        *("order.changed", "alert.escalated"),
        *("order.changed", "order.delivered", "alert.resolved"),
        "order.retired",
    ]
    found = bodies(receiver)
    assert found[0]["data"]["was"] is None
    assert found[4]["data"]["was"] == {"status": "PAID", "lane": "warning"}
    assert found[3]["data"]["alert"]["rule"] == "late_shipping"
    assert found[-1]["data"] == {"tenant": "default", "order_id": "SO-1"}
    assert len(set(receiver.ids())) == len(found)


def test_types_filters_and_tenants_choose(world: Subscribed, receiver: Hooks) -> None:
    world.subscribe("created", receiver.url, types=["order.created"])
    world.subscribe("sf", receiver.url, types=["order.changed"], filter={"carrier": ["sf"]})
    world.subscribe("acme", receiver.url, types=["order.changed"], tenant="acme")
    world.subscribe("late", receiver.url, types=["order.changed"], filter={"lane": ["overdue"]})
    world.change(
        world.new("SO-1"),
        world.new("SO-2", carrier="sf"),
        world.new("SO-3", tenant="acme"),
        order("SO-4", 1, alert(order_id="SO-4")),
        order("SO-4", 2),
    )
    with world.worker() as worker:
        world.run_to_the_end(worker)
        told = {
            name: [each.order_key for each in world.page(worker, name)]
            for name in world.subscriptions.records
        }
    assert told["created"][:2] == ["SO-1", "SO-2"]
    assert told["created"][2].endswith("SO-3")
    assert told["sf"] == ["SO-2"]
    assert [key[-4:] for key in told["acme"]] == ["SO-3"]
    assert told["late"] == ["SO-4", "SO-4"], "in the lane, and leaving it"


def test_an_order_recalled_after_its_end_is_not_created_again(
    world: Subscribed, receiver: Hooks
) -> None:
    world.subscribe("all", receiver.url)
    long_ago = format_instant(world.now_at - 40 * DAY_MS)
    world.change(msgspec.structs.replace(world.new(), created_at=long_ago))
    with world.worker() as worker:
        world.run_to_the_end(worker)
    assert types(receiver) == ["order.changed"]


def test_a_new_subscription_gets_no_history_and_a_paused_one_nothing(
    world: Subscribed, receiver: Hooks
) -> None:
    world.change(world.new("OLD"))
    world.now_at += 1_000
    world.subscribe("new", receiver.url, types=["order.created"])
    world.subscribe("paused", receiver.url, is_paused=True)
    world.change(world.new("NEW"))
    with world.worker() as worker:
        world.run_to_the_end(worker)
    assert [body["data"]["order_id"] for body in bodies(receiver)] == ["NEW"]


def test_an_order_waits_for_its_earlier_event_and_others_go_on(
    world: Subscribed, receiver: Hooks
) -> None:
    receiver.moods.append((503, {}, b"later"))
    world.subscribe("all", receiver.url, types=["order.changed"])
    world.change(world.new("SO-1", 1))
    with world.worker() as worker:
        world.run_until(worker, lambda: bool(receiver.calls), "the first attempt")
        world.change(world.new("SO-1", 2), world.new("SO-2", 1))
        while len(receiver.calls) < 2:
            worker.step()
            world.now_at += 100
        assert bodies(receiver)[1]["data"]["order_id"] == "SO-2", "SO-1 is due in 2.5 s or more"
        while len(receiver.calls) < 4:
            worker.step()
            world.now_at += 100
        world.run_to_the_end(worker)
        page = world.page(worker, "all")
    sent = zip(receiver.ids(), bodies(receiver), strict=True)
    first, again, last = (each for each in sent if each[1]["data"]["order_id"] == "SO-1")
    assert first == again, "the same id and body on every attempt"
    assert [first[1]["data"]["version"], last[1]["data"]["version"]] == [1, 2]
    assert [(each.state, each.attempts, each.status) for each in page] == [
        ("done", 2, 202),
        ("done", 1, 202),
        ("done", 1, 202),
    ]


def test_a_receiver_that_hangs_holds_up_no_other(world: Subscribed, receiver: Hooks) -> None:
    with hooks() as hanging:
        hanging.moods.extend(["hang"] * 100)
        world.subscribe("hangs", hanging.url)
        world.subscribe("takes", receiver.url, types=["order.created"])
        world.change(*(world.new(f"SO-{n}") for n in range(50)))
        began_s = time.monotonic()
        with world.worker() as worker:
            world.run_until(worker, lambda: len(receiver.calls) == 50, "fifty events")
            took_s = time.monotonic() - began_s
            assert worker.receivers["hangs"].in_flight == 1, "one, until it has answered"
            hanging.let_go.set()
    assert took_s < 9, "before the time-out of the other"


def test_receivers_with_much_to_get_take_turns_where_threads_are_few(
    world: Subscribed, receiver: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow ones with a backlog would hold all threads, and later ones would never get anything."""
    monkeypatch.setattr(worker_module, "THREADS", 1)
    with hooks() as other:
        world.subscribe("first", receiver.url)
        world.subscribe("second", other.url)
        world.change(*(world.new(f"SO-{n}") for n in range(20)))
        with world.worker() as worker:
            world.run_until(worker, lambda: len(other.calls) == 5, "five events of the second")
            assert len(receiver.calls) in {4, 5, 6}


class Counted(Deliveries):
    """A file of deliveries that counts its transactions."""

    transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.transactions += 1
        with super().transaction():
            yield


def test_a_round_writes_the_file_as_often_for_twenty_receivers_as_for_one(
    tmp_path: Path, receiver: Hooks
) -> None:
    """Each write waits for the disk, and one receiver's deliveries would wait for all others'."""
    writes = {}
    for count in (1, 20):
        folder = tmp_path / f"{count}"
        folder.mkdir()
        world = Subscribed(folder)
        for number in range(count):
            world.subscribe(f"s-{number}", receiver.url, types=["order.created"])
        world.change(world.new())
        with world.worker(opens=Counted) as worker:
            worker.step()
            assert isinstance(worker.deliveries, Counted)
            writes[count] = worker.deliveries.transactions
            world.run_to_the_end(worker)
    assert writes[20] == writes[1]
    assert len({*receiver.ids()}) == 20


def test_both_secrets_sign_until_the_overlap_ends(world: Subscribed, receiver: Hooks) -> None:
    until = format_instant(world.now_at + MINUTE_MS)
    world.subscribe("all", receiver.url, types=["order.changed"], former=FORMER, former_until=until)
    world.change(world.new("SO-1"))
    with world.worker() as worker:
        world.run_to_the_end(worker)
        world.now_at += MINUTE_MS
        world.change(world.new("SO-2"))
        world.run_to_the_end(worker)
    (headers, body), (later, _) = receiver.calls
    Webhook(FORMER).verify(body, headers)
    assert len(headers["webhook-signature"].split()) == 2
    assert len(later["webhook-signature"].split()) == 1


def test_gone_disables_a_subscription_until_it_is_resumed(
    world: Subscribed, receiver: Hooks
) -> None:
    receiver.moods.append((410, {}, b"no more"))
    world.subscribe("all", receiver.url, types=["order.changed"])
    world.change(world.new("SO-1"))
    with world.worker() as worker:
        world.run_to_the_end(worker)
        assert worker.states.status("all") == "disabled"
        worker.keep_up()
        assert world.subscriptions.status("all") == "disabled"
        assert "410" in world.subscriptions.states["all"].reason
        world.change(world.new("SO-2"))
        world.run_to_the_end(worker)
        assert len(receiver.calls) == 1, "nothing more is made or sent"
        world.now_at += 1_000
        world.subscribe("all", receiver.url, types=["order.changed"])
        assert worker.states.status("all") == "active"
        world.change(world.new("SO-3"))
        world.run_to_the_end(worker)
    assert bodies(receiver)[-1]["data"]["order_id"] == "SO-3"


def test_a_receiver_that_stays_dead_is_reported_then_disabled_and_a_replay_sends_all(
    world: Subscribed, receiver: Hooks
) -> None:
    receiver.stop()
    now_at = world.now_at
    world.now_at -= 3 * DAY_MS + 10 * MINUTE_MS
    world.subscribe("all", receiver.url, types=["order.changed"])
    world.change(world.new("SO-1", 1), world.new("SO-1", 2))
    with world.worker() as worker:
        world.run_until(
            worker, lambda: worker.receivers["all"].failing_since is not None, "one failure"
        )
        world.now_at += 10 * MINUTE_MS
        worker.keep_up()
        assert world.subscriptions.status("all") == "failing"
        world.now_at = now_at
        world.run_until(worker, lambda: worker.states.status("all") == "disabled", "its end")
        (dead, waiting) = world.page(worker, "all")
        assert (dead.state, waiting.state) == ("dead", "waiting")
        assert dead.reason.startswith("given up after 3 days: 127.0.0.1: no answer")
        receiver.start()
        world.now_at += 1_000
        world.subscribe("all", receiver.url, types=["order.changed"])
        replay(world, "all", "replay_dead")
        world.run_to_the_end(worker)
        assert [each.state for each in world.page(worker, "all")] == ["done", "done"]
    assert [body["data"]["version"] for body in bodies(receiver)] == [2, 1]


def replay(world: Subscribed, name: str, kind: str, delivery: str = "") -> None:
    """Request as `serve` does."""
    at = format_instant(world.now_at)
    asked = msgspec.convert(
        {"webhook": name, "kind": kind, "at": at, "delivery": delivery}, Request
    )
    request = f"{kind}-{delivery}"
    world.subscriptions.take_request(request, msgspec.json.encode(asked))


def test_a_test_event_and_a_replay_are_sent_once_each(world: Subscribed, receiver: Hooks) -> None:
    receiver.moods.append((200, {"X-Trace": "t-1"}, b"x" * 2_000))
    world.subscribe("one", receiver.url)
    replay(world, "one", "test")
    with world.worker() as worker:
        world.run_to_the_end(worker)
        (test,) = world.page(worker, "one")
        assert (test.kind, test.state, test.status) == ("webhook.test", "done", 200)
        assert len(test.answer) == 1_000
        assert json.loads(test.headers)["X-Trace"] == "t-1"
        worker.keep_up()
        assert not world.subscriptions.requests, "an answered request is ended"
        replay(world, "one", "replay", test.id)
        world.run_until(worker, lambda: len(receiver.calls) == 2, "the replay")
        world.run_to_the_end(worker)
        for _ in range(3):
            worker.step()
    assert receiver.ids() == [test.id, test.id]


def test_a_killed_worker_loses_nothing_and_sends_under_the_same_ids(
    world: Subscribed, receiver: Hooks
) -> None:
    receiver.moods.append("hang")
    world.subscribe("all", receiver.url, types=["order.changed"])
    world.change(world.new("SO-1", 1), world.new("SO-2", 1))
    with closing(Deliveries(world.path)), world.worker() as killed:
        killed.step()
        world.run_until(killed, lambda: bool(receiver.calls), "one is under way")
        with world.worker(begin=0) as worker:  # the offset wasn't committed
            world.run_to_the_end(worker)
            assert [each.state for each in world.page(worker, "all")] == ["done", "done"]
        receiver.let_go.set()
    assert len(receiver.calls) == 3
    assert len(set(receiver.ids())) == 2


def test_a_lost_file_makes_no_event_again(world: Subscribed, receiver: Hooks) -> None:
    world.subscribe("all", receiver.url)
    world.change(world.new("SO-1", 1), world.new("SO-2", 1))
    with closing(Deliveries(world.path)) as new, new.transaction():
        new.be_quiet({0: 2})
    world.change(world.new("SO-1", 2))
    with world.worker() as worker:
        world.run_to_the_end(worker)
    (body,) = bodies(receiver)
    assert (body["type"], body["data"]["version"]) == ("order.changed", 2)
    assert body["data"]["was"] == {"status": "PAID", "lane": "normal"}


def test_an_address_is_checked_at_each_delivery(tmp_path: Path, receiver: Hooks) -> None:
    """A name that resolves to this machine a moment later (DNS rebinding) is not connected to."""
    found = ["127.0.0.1"]
    world = Subscribed(tmp_path, Allowed("", lambda *_: found, has_own=False))
    world.subscribe("own", receiver.url.replace("http:", "https:"))
    world.change(world.new("SO-1"))
    with world.worker() as worker:
        world.run_until(worker, lambda: bool(failed(world, worker)), "a failure")
        (reason,) = failed(world, worker)
    assert "127.0.0.1, which is not public" in reason
    assert not receiver.calls


def failed(world: Subscribed, worker: worker_module.SubscriptionWorker) -> list[str]:
    return [each.reason for each in world.page(worker, "own") if each.state == "failed"]


def test_an_ended_subscription_takes_its_deliveries_along(
    world: Subscribed, receiver: Hooks
) -> None:
    receiver.stop()
    world.subscribe("all", receiver.url)
    world.change(world.new("SO-1"))
    with world.worker() as worker:
        world.run_until(worker, lambda: bool(worker.deliveries.counts()), "some wait")
        world.subscriptions.take("all", None)
        world.run_until(worker, lambda: not worker.threads.in_flight, "the attempt ended")
        worker.keep_up()
        assert not worker.deliveries.webhooks()
        assert not worker.receivers


def test_what_is_old_is_forgotten_and_what_waited_behind_it_is_sent(tmp_path: Path) -> None:
    with closing(Deliveries(tmp_path / "deliveries.sqlite")) as deliveries:
        with deliveries.transaction():
            event = deliveries.add_event(b"{}")
            for name, came_at in (("old", 1), ("new", 100)):
                deliveries.add([NewDelivery(name, "all", "SO-1", event, "t", came_at)], 100)
        assert deliveries.next_due("all") == 100
        with deliveries.transaction():
            assert deliveries.forget(50, 200, 10) == {"all"}
        (left,) = deliveries.page("all", None, None, 10)
        assert (left.id, left.state, left.due_at) == ("new", "waiting", 200)


def test_of_what_was_taken_the_last_ones_are_kept_and_bodies_go_with_them(tmp_path: Path) -> None:
    with closing(Deliveries(tmp_path / "deliveries.sqlite")) as deliveries:
        with deliveries.transaction():
            for number in range(5):
                event = deliveries.add_event(b"%d" % number)
                new = NewDelivery(f"d-{number}", "all", f"SO-{number}", event, "t", 1)
                deliveries.add([new], 1)
            for each in deliveries.take("all", 1, 5):
                state: DeliveryState = "dead" if each.id == "d-0" else "done"
                deliveries.settle([Attempted(each, state, 1, 1, 200, ended_at=1)], 1)
            deliveries.trim("all", 2)
            assert deliveries.sweep(0, 100) == 0
        assert [each.id for each in deliveries.page("all", None, None, 10)] == ["d-4", "d-3", "d-0"]
        with closing(Deliveries(deliveries.path, is_reader=True)) as reader:
            with deliveries.transaction():
                assert reader.one("all", "d-4")
                assert not reader.one("other", "d-4")
            ((bodies,),) = reader._rows("SELECT count(*) FROM event", ())  # noqa: SLF001 - counts them
        assert bodies == 3


def test_a_subscription_for_which_too_many_wait_is_disabled(
    world: Subscribed, receiver: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.stop()
    monkeypatch.setattr(worker_module, "MOST_WAITING", 5)
    world.subscribe("all", receiver.url, types=["order.created"])
    world.change(*(world.new(f"SO-{number}") for number in range(6)))
    with world.worker() as worker:
        worker.step()
        world.run_until(worker, lambda: worker.states.status("all") == "disabled", "its end")
        worker.keep_up()
        assert "deliveries waited" in world.subscriptions.states["all"].reason


def test_the_index_of_filters_finds_what_comparing_each_would(
    world: Subscribed, rng: random.Random
) -> None:
    def some(values: Sequence[str]) -> list[str]:
        return rng.sample(values, rng.randrange(len(values)))

    for number in range(60):
        chosen = {
            "supplier": some(["s-1", "s-2", "s-3"]),
            "carrier": some(["sf", "yto"]),
            "lane": some(["normal", "overdue"]),
        }
        tenant = rng.choice([None, "default", "acme"])
        world.subscribe(f"wh_{number}", "https://shop.example/", filter=chosen, tenant=tenant)
    wanted = [Wanted(name, record) for name, record in world.subscriptions.records.items()]
    takers = Takers(wanted)
    for _ in range(200):
        sides = [Facets("default", *rng.choice(PLACES)) for _ in range(rng.randrange(1, 3))]
        change = Change("SO-1", None, None, world.now_at, world.now_at)
        found = {each.name for each in takers.of(change, sides) if takes(each, sides)}
        assert found == {
            each.name for each in wanted if each.record.tenant != "acme" and takes(each, sides)
        }


PLACES: list[tuple[Lane, str | None, str | None]] = [
    ("normal", None, None),
    ("overdue", "sf", "s-1"),
    ("normal", "yto", "s-2"),
    ("warning", "sf", None),
    ("overdue", None, "s-3"),
]


def takes(wanted: Wanted, sides: list[Facets]) -> bool:
    return wanted.record.takes("order.changed", tuple(sides))


def test_a_thousand_subscriptions_cost_one_read(world: Subscribed, receiver: Hooks) -> None:
    """Each message is read once, its body kept once, and each subscription has its delivery."""
    receiver.stop()
    for number in range(1_000):
        world.subscribe(f"s-{number}", receiver.url, types=["order.created"])
    world.change(*(world.new(f"SO-{number}") for number in range(20)))
    with world.worker() as worker:
        worker.step()
        assert world.reader.taken == 20
        assert world.metrics.registry.get_sample_value("ordertide_webhook_changes_total") == 20
        counts = worker.deliveries.counts()
        assert sum(counts.values()) == 20_000
        assert len({name for name, _ in counts}) == 1_000
        ((events,),) = worker.deliveries._rows("SELECT count(*) FROM event", ())  # noqa: SLF001 - counts bodies
        assert events == 20
