"""Batches: several actions in one request, each with a state and an outcome of its own."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from commands.wiring.process import now_ms
from schemas.errors import Busy, Rejected, SettingsError
from schemas.instants import DAY_MS, HOUR_MS
from schemas.settings.model import ActSettings
from sinks.actions.batches import BatchRow, batches_of, orders_of
from sinks.actions.channels.action_channel import ActionRequest, BatchFailed
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.installed import channel_faults
from sinks.actions.channels.memory import MemoryChannel
from sinks.actions.channels.webhook import WebhookBatches, WebhookChannel
from sinks.actions.channels.webhook_batch import results_of
from sinks.actions.outbox import Result, Task
from sinks.actions.recipient import Recipient
from sinks.actions.table import ActionTable, KindRow, parse_actions
from tests.support.actions import BEGIN_AT, Acting, action
from tests.support.hooks import SECRET, Hooks, Mood, hooks
from tests.support.tiers.orders import document

ROW = BatchRow(most=8, wait="0s")
Results = Mapping[str, dict[str, Any]]


@pytest.fixture
def receiver() -> Iterator[Hooks]:
    with hooks(is_signed=False) as running:  # the clock is ours
        yield running


def acting_at(receiver: Hooks, folder: Path, row: BatchRow = ROW, deadline_s: float = 9) -> Acting:
    alone = WebhookChannel(receiver.url, Webhook(SECRET), Allowed(), deadline_s=deadline_s)
    return Acting(folder, {"confirm_order": WebhookBatches(alone, row)}, batch=row)


def orders_in(body: bytes) -> list[str]:
    """The order ids of a batch."""
    return [each["data"]["order_id"] for each in json.loads(body)["data"]["actions"]]


def report(body: bytes, results: Results, *more: dict[str, Any]) -> Mood:
    """An answer with a result for each action, by order id, done without one; and `more`."""
    rows = [
        {"action_id": each["data"]["action_id"]}
        | results.get(each["data"]["order_id"], {"result": "done"})
        for each in json.loads(body)["data"]["actions"]
    ]
    return 200, {}, json.dumps({"results": [*rows, *more]}).encode()


def texts(acting: Acting) -> dict[str, str]:
    """The outcome of each order."""
    return {note["order_id"]: note["text"] for note in acting.notes()}


def test_a_batch_is_one_request_that_the_receiver_can_verify(
    receiver: Hooks, tmp_path: Path
) -> None:
    receiver.is_signed = True
    acting = acting_at(receiver, tmp_path)
    acting.now_at = now_ms()
    wanted = [action(f"SO-{number}", at=acting.now_at + number) for number in range(5)]
    acting.request(*wanted)
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 5)
    ((headers, body),) = receiver.calls  # verified there
    data = json.loads(body)
    assert (data["type"], data["timestamp"]) == ("actions", wanted[-1].at)
    found = data["data"]["actions"]
    assert [each["data"]["action_id"] for each in found] == [each.action_id for each in wanted]
    assert found[0]["type"] == "action.confirm_order", "each as it is sent alone"
    assert headers["webhook-id"] not in {each.action_id for each in wanted}
    assert set(texts(acting).values()) == {"confirm_order: done by confirm_order (202)"}
    assert [entry["what"] for entry in acting.audit()] == ["action.done"] * 5
    labels = {"receiver": "confirm_order"}
    sent = acting.metrics.registry.get_sample_value("ordertide_action_batch_sum", labels)
    assert sent == 5


def test_each_action_has_the_result_that_the_answer_gives_it(
    receiver: Hooks, tmp_path: Path
) -> None:
    first: Results = {
        "SO-0": {"result": "done", "reason": "ticket T-77"},
        "SO-1": {"result": "failed", "reason": "not here yet", "retry_after": 60},
        "SO-2": {"result": "refused", "reason": "no such order"},
        "SO-3": {"result": "ok"},
        "SO-4": {"action_id": "of nobody", "result": "done"},
    }
    twice = {"action_id": action("SO-5").action_id, "result": "refused"}
    acting = acting_at(receiver, tmp_path)

    def answer(body: bytes) -> Mood:
        return report(body, {}) if receiver.calls else report(body, first, twice)

    receiver.answer = answer
    acting.request(*(action(f"SO-{number}") for number in range(7)))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: "failed" in acting.states(worker), "results")
        reasons = {task.reason for task in worker.outbox.due("confirm_order", BEGIN_AT + DAY_MS, 9)}
        acting.run_to_the_end(worker, 7)
    assert reasons == {
        "127.0.0.1: answers failed: not here yet",
        "127.0.0.1: answers 'ok' for this action; results are done, failed and refused",
        "127.0.0.1: answers 200 without one result of this action",
    }
    assert texts(acting) == {
        "SO-0": "confirm_order: done by confirm_order (200 ticket T-77)",
        "SO-2": "confirm_order: dead (127.0.0.1: answers refused: no such order)",
        **{f"SO-{n}": "confirm_order: done by confirm_order (200)" for n in (1, 3, 4, 5, 6)},
    }
    assert acting.now_at >= BEGIN_AT + 60_000, "SO-1 was not sent before"
    sent = [sorted(orders_in(body)) for _, body in receiver.calls]
    assert sent[1:] == [["SO-3", "SO-4", "SO-5"], ["SO-1"]], "those that failed go together"
    assert len(set(receiver.ids())) == 3, "another batch has another id"


@pytest.mark.parametrize(
    "mood",
    [
        pytest.param((503, {"Retry-After": "77"}, b""), id="unavailable"),
        pytest.param((429, {"Retry-After": "77"}, b"slowly"), id="too many"),
        pytest.param((401, {}, b""), id="unauthorized"),
        pytest.param((200, {}, b'{"results": 7}'), id="no list"),
        pytest.param((200, {}, b'{"done": ["SO-1"]}'), id="no results"),
        pytest.param((200, {}, b'{"results": [{"action_id": "'), id="half an answer"),
        pytest.param((200, {}, b"[" * 5_000), id="deep nesting"),
        pytest.param((200, {}, b'{"results": [' + b" " * 200_000 + b"]}"), id="too long"),
        *("hang", "lie", "close"),
    ],
)
def test_a_request_that_failed_is_sent_again_under_the_same_id(
    receiver: Hooks, tmp_path: Path, mood: Mood
) -> None:
    acting = acting_at(receiver, tmp_path, deadline_s=0.3)
    receiver.moods.append(mood)
    acting.request(*(action(f"SO-{number}") for number in range(3)))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["failed"] * 3, "a failure")
        acting.request(action("SO-9"))
        acting.run_to_the_end(worker, 4)
        assert acting.states(worker) == ["done"] * 4
    by_id = Counter((headers["webhook-id"], body) for headers, body in receiver.calls)
    assert sorted(by_id.values()) == [1, 2], "the one with SO-9 is another"
    assert len(receiver.ids()) == 3
    if isinstance(mood, tuple) and "Retry-After" in mood[1]:
        assert acting.now_at >= BEGIN_AT + 77_000


@pytest.mark.parametrize(("status", "state"), [(500, "waits"), (422, "dead")])
def test_an_action_that_spoils_its_batch_ends_up_alone(
    receiver: Hooks, tmp_path: Path, status: int, state: str
) -> None:
    def answer(body: bytes) -> Mood:
        return (status, {}, b"oops") if b'"SO-5"' in body else report(body, {})

    receiver.answer = answer
    acting = acting_at(receiver, tmp_path)
    acting.request(*(action(f"SO-{number}", expires_ms=30 * DAY_MS) for number in range(8)))
    with acting.worker() as worker:

        def is_over() -> bool:
            if worker.receivers.are_idle:
                acting.now_at += 5_000
            return acting.states(worker).count("done") == 7 and not worker.outbox.unpublished(1)

        acting.run_until(worker, is_over, "the others to be done")
        if state == "waits":
            assert acting.now_at < BEGIN_AT + HOUR_MS
            acting.now_at += 3 * DAY_MS
        acting.run_to_the_end(worker, 8)
    assert texts(acting)["SO-5"].startswith("confirm_order: dead (")
    assert ["SO-5"] in [orders_in(body) for _, body in receiver.calls]
    bodies = {(headers["webhook-id"], body) for headers, body in receiver.calls}
    assert len(bodies) == len({name for name, _ in bodies}), "an id has one content"
    attempts = {note["action"]["attempts"] for note in acting.notes()}
    assert (attempts == {"1"}) == (status == 422), "a refusal that divides costs none"
    sizes = "ordertide_action_batch_count"
    requests = acting.metrics.registry.get_sample_value(sizes, {"receiver": "confirm_order"})
    assert requests == len(receiver.calls)


def test_a_refusal_that_divides_a_batch_shows_that_the_receiver_answers(
    receiver: Hooks, tmp_path: Path
) -> None:
    with acting_at(receiver, tmp_path).worker() as worker:
        at = worker.receivers["confirm_order"]
        at.in_flight = 2
        sent = task("SO-1", 0)
        at.collected([Result(sent, "failed", 1, "answered 503", retry_after_s=0)], BEGIN_AT)
        assert at.reason
        at.collected([Result(sent, "failed", 0, "divided", batch="half")], BEGIN_AT)
        assert at.reason is None


def test_a_receiver_that_is_gone_ends_all_of_them(receiver: Hooks, tmp_path: Path) -> None:
    receiver.moods.append((410, {}, b""))
    acting = acting_at(receiver, tmp_path)
    acting.request(action("SO-1"), action("SO-2"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 2)
        assert acting.states(worker) == ["dead", "dead"]
    assert len(receiver.calls) == 1


def test_a_body_has_no_more_bytes_than_the_receiver_takes(receiver: Hooks, tmp_path: Path) -> None:
    row = BatchRow(most=8, wait="0s", most_bytes=1_500)
    acting = acting_at(receiver, tmp_path, row)
    long = "x" * 2_000
    acting.request(*(action(f"SO-{number}") for number in range(6)), action(long))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 7)
    sizes = [(len(body), len(orders_in(body))) for _, body in receiver.calls]
    assert all(size <= row.most_bytes or count == 1 for size, count in sizes)
    assert max(count for _, count in sizes) > 1
    assert sum(count for _, count in sizes) == 7


def test_the_receiver_of_the_documentation_takes_what_is_sent_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "actions.md").read_text("utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.setenv("DESK_SECRET", SECRET)
    sample: dict[str, Any] = {"__name__": "desk"}
    exec(code, sample)  # noqa: S102 - our own documentation

    def open_ticket(_kind: str, order_id: str) -> str:
        if order_id == "SO-2":
            raise LookupError("no such order")
        return f"T-{order_id}"

    sample["open_ticket"] = open_ticket
    sample["Desk"].log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), sample["Desk"]) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        alone = WebhookChannel(
            f"http://127.0.0.1:{server.server_port}/", Webhook(SECRET), Allowed()
        )
        acting = Acting(tmp_path, {"confirm_order": WebhookBatches(alone, ROW)}, batch=ROW)
        acting.now_at = now_ms()
        acting.request(*(action(each, at=acting.now_at) for each in ("SO-1", "SO-2")))
        with acting.worker() as worker:
            acting.run_to_the_end(worker, 2)
        server.shutdown()
    assert texts(acting) == {
        "SO-1": "confirm_order: done by confirm_order (200 ticket T-SO-1)",
        "SO-2": "confirm_order: dead (127.0.0.1: answers refused: no such order)",
    }


# ---------------------------------------------------------------- waiting and leaving
@pytest.fixture
def channel() -> MemoryChannel:
    return MemoryChannel()


def test_a_full_batch_goes_at_once_and_another_once_its_first_has_waited(
    channel: MemoryChannel, tmp_path: Path
) -> None:
    acting = Acting(tmp_path, {"confirm_order": channel}, batch=BatchRow(most=3, wait="200ms"))
    acting.request(*(action(f"SO-{number}") for number in range(4)))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: bool(channel.batches), "the full one")
        acting.now_at += 199
        acting.request(action("SO-4"))
        for _ in range(20):
            worker.step()
        assert len(channel.batches) == 1
        acting.now_at += 1
        acting.run_to_the_end(worker, 5)
    assert [len(ids) for _, ids in channel.batches] == [3, 2]


def test_an_action_that_may_not_be_sent_leaves_its_batch(
    channel: MemoryChannel, tmp_path: Path
) -> None:
    acting = Acting(tmp_path, {"confirm_order": channel, "chat": MemoryChannel()}, batch=ROW)
    acting.alerts.status["a1"] = "ended"
    acting.alerts.status["a2"] = "unknown"
    acting.request(
        action("SO-1", alert_id="a1"),
        action("SO-2", expires_ms=-1),
        action("SO-3", alert_id="a2"),
        action("SO-4"),
    )
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 4)
    assert {each: text.partition(": ")[2] for each, text in texts(acting).items()} == {
        "SO-1": "skipped (its alert has ended)",
        "SO-2": "expired (not sent in time)",
        "SO-3": "done by confirm_order (taken)",
        "SO-4": "done by confirm_order (taken)",
    }
    assert [ids for _, ids in channel.batches] == [
        [action("SO-4").action_id],
        [action("SO-3", alert_id="a2").action_id],
    ]


def test_messages_a_day_count_within_a_batch_and_a_reason_shows_nobodys_data(
    tmp_path: Path,
) -> None:
    class Repeating(MemoryChannel):
        def send_batch(
            self, batch: str, requests: Sequence[ActionRequest]
        ) -> Mapping[str, str | Busy | Rejected]:
            super().send_batch(batch, requests)
            everyone = " ".join(each.recipient.fields["email"] for each in requests)
            return {each.action.action_id: f"mailed {everyone}" for each in requests}

    channel = Repeating(needs=frozenset({"email"}))
    acting = Acting(tmp_path, {"confirm_order": channel}, batch=ROW)
    row = KindRow("confirm_order", most_a_day=1)
    acting.table = ActionTable("actions.toml", acting.table.receivers, {"confirm_order": row})
    for number, customer in enumerate(("C-1", "C-1", "C-2")):
        order_id = f"SO-{number}"
        acting.orders.documents[order_id] = document(order_id, customer_id=customer)
        acting.personal.recipients[order_id] = Recipient({"email": f"{customer}@example.org"})
    acting.request(*(action(f"SO-{number}") for number in range(3)))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker).count("done") == 2, "two messages")
        assert acting.states(worker) == ["done", "done", "waiting"], "the second of C-1"
        acting.now_at += DAY_MS
        acting.run_to_the_end(worker, 3)
    assert [len(ids) for _, ids in channel.batches] == [2, 1]
    assert "example.org" not in json.dumps([acting.notes(), acting.audit()])
    assert "mailed (personal data) (personal data)" in texts(acting)["SO-2"]


# ---------------------------------------------------------------- forming
def task(order_id: str, at: int, batch: str | None = None) -> Task:
    wanted = action(order_id, kind=f"k{at}", at=BEGIN_AT + at)
    value = msgspec.json.encode(wanted)
    return Task(
        wanted.action_id,
        "desk",
        "waiting",
        0,
        BEGIN_AT + at,
        BEGIN_AT,
        None,
        "",
        value,
        batch=batch,
    )


TASKS = st.lists(
    st.tuples(
        st.sampled_from(["SO-1", "SO-2", "SO-3", "SO-4", "SO-5"]),
        st.integers(0, 300),
        st.sampled_from([None, None, None, "kept", "other"]),
    ),
    unique_by=lambda each: each[:2],
    max_size=14,
).map(lambda rows: [task(*row) for row in rows])


@settings(max_examples=60)
@given(TASKS, st.integers(1, 4), st.sets(st.sampled_from(["SO-1", "SO-2"])), st.integers(0, 600))
def test_no_order_is_in_two_batches_at_a_time_and_none_waits_too_long(
    due: list[Task], room: int, busy: set[str], now: int
) -> None:
    row = BatchRow(most=4, wait="200ms")
    batches = batches_of(due, row, room, BEGIN_AT + now, busy)
    assert len(batches) <= room
    seen: set[str] = set(busy)
    for batch in batches:
        assert 0 < len(batch.tasks) <= row.most
        orders = orders_of(batch.tasks)
        assert not orders & seen
        seen |= orders
        at = [msgspec.json.decode(each.value)["at"] for each in batch.tasks]
        assert at == sorted(at), "in the sequence of their requests"
        if batch.name:
            kept = {each.action_id for each in due if each.batch == batch.name}
            assert {each.action_id for each in batch.tasks} == kept, "whole"
    sent = [each.action_id for batch in batches for each in batch.tasks]
    assert len(set(sent)) == len(sent)
    late = [each for each in due if each.accepted_at <= BEGIN_AT + now - row.wait_ms]
    if len(batches) < room:
        ahead = seen | orders_of(each for each in due if each.batch)
        assert all(orders_of([each]) & ahead for each in late if each.action_id not in sent)


# ---------------------------------------------------------------- whatever a receiver answers
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.integers(1, 3))
def test_any_answer_gives_each_action_one_result(answer: bytes, count: int) -> None:
    ids = [action(f"SO-{number}").action_id for number in range(count)]
    try:
        found = results_of("desk", 200, answer.decode("utf-8", "replace").strip(), ids)
    except BatchFailed:
        return
    assert [*found] == ids
    assert all(isinstance(each, str | Busy | Rejected) for each in found.values())


class Fickle(MemoryChannel):
    """Does what it takes, and answers by `choose`: what is done may look as if it failed."""

    def __init__(self, choose: Callable[[Sequence[str]], str]) -> None:
        super().__init__()
        self.choose = choose

    def send_batch(
        self, batch: str, requests: Sequence[ActionRequest]
    ) -> Mapping[str, str | Busy | Rejected]:
        self.batches.append((batch, [each.action.action_id for each in requests]))
        match self.choose(["answer", "answer", "busy", "failed", "rejected", "raise"]):
            case "busy":
                raise Busy("busy")
            case "failed":
                raise BatchFailed("failed")
            case "rejected":
                raise Rejected("http_422", "no")
            case "raise":
                raise ZeroDivisionError
        results: dict[str, str | Busy | Rejected] = {"of nobody": "done"}
        for number, each in enumerate(requests):
            result = self.choose(["done", "failed", "refused", "left out"])
            if result == "left out" and number:  # the first one never is
                continue
            self.taken.append(each)
            key = each.action.action_id
            results[key] = "taken"
            if result != "done":
                results[key] = Busy("later") if result == "failed" else Rejected("refused", "no")
        return results


@settings(max_examples=12)
@given(st.randoms(use_true_random=False), st.integers(1, 9))
def test_whatever_it_answers_each_action_ends_once_and_is_done_under_its_own_key(
    draws: random.Random, count: int
) -> None:
    channel = Fickle(draws.choice)
    wanted = [action(f"SO-{number}") for number in range(count)]
    with TemporaryDirectory() as folder:
        acting = Acting(Path(folder), {"confirm_order": channel}, batch=BatchRow(most=4))
        acting.request(*wanted)
        with acting.worker() as worker:
            while len(acting.notes()) < count:
                worker.step()
                if worker.receivers.are_idle:
                    acting.now_at += HOUR_MS
            states = worker.outbox.states()
    assert states.keys() == {each.action_id for each in wanted}
    ends = [(note["action"]["action_id"], note["action"]["state"]) for note in acting.notes()]
    assert sorted(ends) == sorted(states.items()), "one end each"
    assert set(states.values()) <= {"done", "dead"}
    done = {each.action.action_id for each in channel.taken}
    assert done >= {each for each, state in states.items() if state == "done"}
    sent = defaultdict[str, list[set[str]]](list)
    for name, ids in channel.batches:
        sent[name].append(set(ids))
    for members in sent.values():
        assert all(later <= earlier for earlier, later in pairwise(members)), "nobody joins"


# ---------------------------------------------------------------- settings
TABLE = """version = 1
[receivers.desk]
channel = "{channel}"
options = {{{options}}}
batch = {batch}
[kinds.confirm_order]
receiver = "desk"
"""


@pytest.mark.parametrize(
    ("batch", "fault"),
    [
        ("{most = 1}", "receivers.desk.batch.most: 1 "),
        ("{most = 1001}", "receivers.desk.batch.most: 1001 "),
        ("{most_bytes = 10}", "receivers.desk.batch.most_bytes: 10 "),
        ('{wait = "soon"}', "receivers.desk.batch.wait: 'soon' is no duration; write a number"),
        ('{wait = "2m"}', "receivers.desk.batch.wait: 2m is over a minute; write 1m or less"),
        ("{size = 7}", "receivers.desk.batch.size: unknown key"),
        ("true", "receivers.desk.batch: true is no table; write a table"),
    ],
)
def test_faults_of_a_batch_are_named_with_their_line(batch: str, fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_actions(TABLE.format(channel="log", options="", batch=batch), "actions.toml")
    assert str(refused.value).startswith(f"actions.toml:5: {fault}")


def test_a_channel_that_takes_one_action_at_a_time_is_a_fault() -> None:
    secrets = ActSettings(secret={"desk": SECRET})
    table = parse_actions(TABLE.format(channel="log", options="", batch="{}"), "actions.toml")
    (fault,) = channel_faults(table, secrets)
    assert fault == (
        "actions.toml:5: receivers.desk.batch: the channel log takes one action at a time; take "
        "batch out, or use the channel webhook"
    )
    options = 'url = "http://127.0.0.1:1/"'
    table = parse_actions(TABLE.format(channel="webhook", options=options, batch="{}"), "a.toml")
    assert table.receivers["desk"].batch == BatchRow(most=100, wait="200ms", most_bytes=1_000_000)
    assert not [*channel_faults(table, secrets)]
