"""The action worker: each action once, its outcome on the order, whatever fails in between."""

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from broker.embedded import EmbeddedBroker
from schemas.errors import Busy, Rejected
from schemas.event import decode_event
from schemas.instants import DAY_MS, HOUR_MS, format_instant
from schemas.topics import ORDERS_ACTIONS
from sinks.actions.batches import BatchRow
from sinks.actions.channels.memory import MemoryChannel
from sinks.actions.outbox import Outbox
from sinks.actions.rebuild import rebuild
from telemetry.metrics import total
from tests.support.actions import BEGIN_AT, GROUP, Acting, BrokerTopics, action

ALERT = "a1"


@pytest.fixture
def channel() -> MemoryChannel:
    return MemoryChannel()


@pytest.fixture
def acting(tmp_path: Path, channel: MemoryChannel) -> Acting:
    return Acting(tmp_path, {"confirm_order": channel})


def test_an_action_is_done_and_its_outcome_stands_on_the_order(
    acting: Acting, channel: MemoryChannel
) -> None:
    wanted = action("SO-7", tenant="shop")
    acting.request(wanted)
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert [each.action for each in channel.taken] == [wanted]
    (note,) = acting.notes()
    assert note["text"] == "confirm_order: done by confirm_order (taken)"
    event = decode_event(msgspec.json.encode(note))
    assert (event.status_code, event.tenant, event.order_id) == ("NOTE", "shop", "SO-7")  # type: ignore[union-attr]  # no tick
    assert note["source"] == "action:confirm_order"
    (entry,) = acting.audit()
    assert (entry["what"], entry["order_id"]) == ("action.done", "SO-7")
    assert entry["detail"]["action_id"] == wanted.action_id


def test_an_action_that_comes_twice_is_done_once(acting: Acting, channel: MemoryChannel) -> None:
    acting.request(action(), action())
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
        acting.request(action(), action("SO-2"))
        acting.run_to_the_end(worker, 2)
    assert sorted(each.action.order_id for each in channel.taken) == ["SO-1", "SO-2"]
    assert len(acting.audit()) == 2


def test_a_busy_receiver_gets_the_same_again_later(acting: Acting, channel: MemoryChannel) -> None:
    channel.answers.extend([Busy("away")] * 3)
    acting.request(action())
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert acting.now_at - BEGIN_AT >= (5 + 10 + 20) * 1000 / 2, "5 s, 10 s, 20 s, half at least"
    (request,) = channel.taken
    assert request.attempt == 4
    assert acting.notes()[0]["action"]["attempts"] == "4"


def test_a_receiver_that_is_away_for_two_days_still_gets_it(
    acting: Acting, channel: MemoryChannel
) -> None:
    channel.is_away = True
    acting.request(action())
    with acting.worker() as worker:
        while acting.now_at < BEGIN_AT + 2 * DAY_MS:
            worker.step()
            acting.now_at += HOUR_MS
        acting.run_until(worker, lambda: acting.states(worker) == ["failed"], "a failure")
        channel.is_away = False
        acting.now_at += 18 * HOUR_MS
        acting.run_to_the_end(worker, 1)
        assert acting.states(worker) == ["done"]


def test_after_three_days_it_is_dead_and_a_replay_does_it(
    acting: Acting, channel: MemoryChannel
) -> None:
    channel.is_away = True
    acting.request(action(expires_ms=30 * DAY_MS))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["failed"], "one failure")
        acting.now_at += 3 * DAY_MS
        acting.run_to_the_end(worker, 1)
        (dead,) = worker.outbox.dead()
        assert dead.reason == "given up after 3 days: memory: away"
        channel.is_away = False
        with worker.outbox.transaction():
            assert worker.outbox.replay([dead.action_id], acting.now_at) == 1
        acting.now_at += 120_000
        acting.run_to_the_end(worker, 1)
    assert [note["action"]["state"] for note in acting.notes()] == ["dead", "done"]


def test_what_its_receiver_refuses_is_dead_at_once(acting: Acting, channel: MemoryChannel) -> None:
    channel.answers.append(Rejected("http_422", "no such order"))
    acting.request(action())
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
        assert acting.states(worker) == ["dead"]
    assert acting.notes()[0]["text"] == "confirm_order: dead (no such order)"


def test_an_expired_action_is_not_sent(acting: Acting, channel: MemoryChannel) -> None:
    acting.request(action(at=BEGIN_AT - HOUR_MS, expires_ms=HOUR_MS))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert not channel.taken
    assert acting.notes()[0]["action"]["state"] == "expired"


def test_an_action_expires_while_its_receiver_is_away(
    acting: Acting, channel: MemoryChannel
) -> None:
    channel.is_away = True
    acting.request(action(expires_ms=HOUR_MS))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["failed"], "one failure")
        acting.now_at += HOUR_MS
        acting.run_to_the_end(worker, 1)
    assert acting.notes()[0]["text"] == "confirm_order: expired (memory: away)"


def test_recorded_history_expires_by_its_own_clock(acting: Acting, channel: MemoryChannel) -> None:
    old = action("SO-1", at=BEGIN_AT - 3000 * DAY_MS, expires_ms=HOUR_MS)
    acting.request(old)
    with acting.worker(is_recorded=True) as worker:
        acting.run_to_the_end(worker, 1)
    assert len(channel.taken) == 1
    assert acting.notes()[0]["timestamp"] == old.at


def test_an_alert_that_has_ended_skips_its_action(acting: Acting, channel: MemoryChannel) -> None:
    acting.alerts.status[ALERT] = "ended"
    acting.request(action(alert_id=ALERT), action("SO-2", alert_id="another"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 2)
    assert [each.action.order_id for each in channel.taken] == ["SO-2"]
    assert "confirm_order: skipped (its alert has ended)" in [n["text"] for n in acting.notes()]


def test_an_answer_older_than_the_action_is_awaited_for_five_seconds(
    acting: Acting, channel: MemoryChannel
) -> None:
    acting.alerts.status[ALERT] = "unknown"
    acting.request(action(alert_id=ALERT))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.alerts.asked > 0, "a look-up")
        while acting.now_at < BEGIN_AT + 4_900:
            worker.step()
            acting.now_at += 100
        assert not channel.taken
        assert acting.alerts.asked > 3
        acting.now_at = BEGIN_AT + 5_500
        acting.run_to_the_end(worker, 1)
    assert len(channel.taken) == 1, "then it acts"


def test_while_it_waits_for_an_answer_the_alert_may_end(
    acting: Acting, channel: MemoryChannel
) -> None:
    acting.alerts.status[ALERT] = "unknown"
    acting.request(action(alert_id=ALERT))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.alerts.asked > 0, "a look-up")
        acting.alerts.status[ALERT] = "ended"
        acting.run_to_the_end(worker, 1)
    assert not channel.taken


def test_a_kind_without_a_receiver_is_skipped_and_says_so(acting: Acting) -> None:
    acting.request(action(kind="sing"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    (note,) = acting.notes()
    assert (note["source"], note["text"]) == (
        "action:none",
        "sing: skipped (its kind has no receiver)",
    )


def test_a_dead_receiver_holds_up_no_other(tmp_path: Path) -> None:
    channels = {f"k{number}": MemoryChannel() for number in range(20)}
    channels["k0"].is_away = True
    acting = Acting(tmp_path, channels)
    acting.request(*(action(f"SO-{n}", f"k{n % 20}") for n in range(400)))
    with acting.worker() as worker:
        others = [channels[name] for name in channels if name != "k0"]
        acting.run_until(worker, lambda: all(len(c.taken) == 20 for c in others), "the others")
        assert acting.now_at == BEGIN_AT, "without waiting for any retry"


def test_a_round_writes_the_outbox_as_often_for_twenty_receivers_as_for_one(
    tmp_path: Path,
) -> None:
    """Each write waits for the disk, and one receiver's actions would wait for all others'."""
    writes = {}
    for count in (1, 20):
        names = [f"kind_{number}" for number in range(count)]
        folder = tmp_path / f"{count}"
        folder.mkdir()
        acting = Acting(folder, {name: MemoryChannel() for name in names})
        acting.request(*(action(f"SO-{name}", name) for name in names))
        with acting.worker(Counted) as worker:
            worker.step()
            assert isinstance(worker.outbox, Counted)
            writes[count] = worker.outbox.transactions
            acting.run_to_the_end(worker, count)
    assert writes[20] == writes[1]


def test_a_second_forgets_more_actions_than_can_come_in_one(tmp_path: Path) -> None:
    with Acting(tmp_path, {}).worker() as worker:
        with worker.outbox.transaction():
            worker.outbox.remember(((f"{number:032x}", "done") for number in range(7_000)), 1)
        worker.keep_up()
        assert not worker.outbox.states()


def test_a_channel_that_raises_anything_keeps_its_actions(tmp_path: Path) -> None:
    class Broken(MemoryChannel):
        def send(self, request: object) -> str:
            if not self.answers:
                self.answers.append(None)
                raise ZeroDivisionError("a plug-in's own fault")
            return "taken"

    acting = Acting(tmp_path, {"confirm_order": Broken()})
    acting.request(action())
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
        assert acting.states(worker) == ["done"]


def test_a_message_that_is_no_action_is_counted_and_passed_over(
    acting: Acting, channel: MemoryChannel
) -> None:
    acting.topics.send(ORDERS_ACTIONS, b"SO-1", b"no action")
    acting.request(action())
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert len(channel.taken) == 1
    assert total(acting.metrics.rejected) == 1


def test_a_lost_outbox_is_rebuilt_from_the_outcomes(tmp_path: Path, channel: MemoryChannel) -> None:
    with EmbeddedBroker() as broker:
        acting = Acting(tmp_path, {"confirm_order": channel}, BrokerTopics(broker))
        channel.answers.extend([None, None, Busy("away")])
        acting.request(action("SO-1"), action("SO-2"))
        with acting.worker() as worker:
            acting.run_to_the_end(worker, 2)
            assert rebuild(worker.outbox, broker.connection, GROUP, acting.now_at) is None
            acting.request(action("SO-3"))
            acting.run_until(worker, lambda: "failed" in acting.states(worker), "a failure")
        acting.path.unlink()
        with closing(Outbox(acting.path)) as outbox:
            assert rebuild(outbox, broker.connection, GROUP, acting.now_at) == 2
        with acting.worker(from_start=True) as worker:
            acting.run_to_the_end(worker, 3)
    orders = sorted(each.action.order_id for each in channel.taken)
    assert orders == ["SO-1", "SO-2", "SO-3"], "none is done twice, none is lost"


def test_actions_of_long_ago_are_forgotten(acting: Acting) -> None:
    acting.request(action())
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
        acting.now_at += 16 * DAY_MS
        worker.keep_up()
        assert not worker.outbox.states()


def test_an_instant_of_a_note_is_that_of_its_end(acting: Acting) -> None:
    acting.now_at += 90_000
    acting.request(action())
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert acting.notes()[0]["timestamp"] == format_instant(acting.now_at)


# ---------------------------------------------------------------- killed
class Killed(BaseException):
    """The process ends here."""


class Counted(Outbox):
    """An outbox that counts its transactions."""

    transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.transactions += 1
        with super().transaction():
            yield


class Doomed(Outbox):
    """An outbox whose process is killed at its n-th transaction, before or after its commit."""

    def __init__(self, path: Path, left: int, *, before: bool) -> None:
        self.left = left
        self.before = before
        super().__init__(path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.left -= 1
        is_last = self.left == 0
        with super().transaction():
            yield
            if is_last and self.before:
                raise Killed
        if is_last:
            raise Killed


@pytest.mark.parametrize("batch", [None, BatchRow(most=7)], ids=["alone", "in batches"])
@pytest.mark.parametrize("before", [True, False], ids=["before a commit", "after a commit"])
def test_killed_at_every_write_of_the_outbox_none_is_lost_and_none_ends_twice(
    tmp_path: Path, rng: random.Random, batch: BatchRow | None, *, before: bool
) -> None:
    channel = MemoryChannel()
    acting = Acting(tmp_path, {"confirm_order": channel}, batch=batch)
    faults = [Busy("away"), Rejected("http_400", "no"), None, None, None, None]
    channel.answers.extend(rng.choice(faults) for _ in range(60))
    count = 40
    acting.request(*(action(f"SO-{number}") for number in range(count)))
    for left in range(1, 40):

        def opens(path: Path, left: int = left) -> Outbox:
            return Doomed(path, left, before=before)

        try:
            with acting.worker(opens) as worker:
                acting.run_to_the_end(worker, count)
        except Killed:
            continue
    with acting.worker() as worker:
        acting.run_to_the_end(worker, count)
        states = worker.outbox.states()
    assert len(states) == count
    assert set(states.values()) <= {"done", "dead"}
    assert {each.action.action_id for each in channel.taken} >= {
        action_id for action_id, state in states.items() if state == "done"
    }
    ends = [(note["action"]["action_id"], note["action"]["state"]) for note in acting.notes()]
    assert sorted(ends) == sorted(states.items()), "one outcome each, whatever was repeated"
