"""Kafka clients: closed by their owners, in no cycle, and never left to garbage collection."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from broker.clients import (
    LEFT_OPEN,
    STRICT_VARIABLE,
    Admin,
    Consumer,
    Producer,
    close_within,
    opened,
)
from broker.connect import Connection
from broker.embedded import EmbeddedBroker
from broker.end_offsets import EndOffsets
from broker.errors import TopicMissing, worded
from broker.fetcher import Fetcher, lost_because
from broker.group import GroupReader
from broker.group_lags import GroupLags
from broker.interrupts import GIVEN_UP, STOPPING
from broker.partition import PartitionReader
from broker.produce import Producer as Sender
from broker.throttle import Throttle
from broker.topic_identity import LayoutWatch
from tests.support.inner_run import ROOT, run_pytest

HANG_LIMIT_S = 20

# A member whose partitions were assigned, but who hasn't been called back yet, in a cycle.
IN_A_CYCLE = """
import faulthandler, gc, time
from {module} import Consumer
from broker.embedded import EmbeddedBroker

class Member:
    def __init__(self, connection):
        strategy = {{"partition.assignment.strategy": "cooperative-sticky"}}
        config = {{**connection.config("consumer"), **strategy, "group.id": "readers"}}
        self.client = Consumer(config)
        self.client.subscribe(["orders"], on_assign=self.assigned)
        self.itself = self

    def assigned(self, client, partitions):
        client.incremental_assign(partitions)

with EmbeddedBroker() as broker:
    broker.create("orders")
    member = Member(broker.connection)
    while not member.client.memberid():
        time.sleep(0.05)
    time.sleep(1)  # from the join to the assignment
    faulthandler.dump_traceback_later({limit_s}, exit=True)
    del member
    gc.collect()
print("collected")
"""


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.create("orders")
        yield running


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=3 * HANG_LIMIT_S,
        check=False,
    )


def test_garbage_collection_of_a_bare_consumer_in_a_cycle_never_returns() -> None:
    """The fault itself. When this fails, librdkafka has mended it: broker/clients.py may go."""
    ended = python(IN_A_CYCLE.format(module="confluent_kafka", limit_s=3))
    assert "collected" not in ended.stdout
    assert "Timeout" in ended.stderr


def test_garbage_collection_of_our_consumer_in_a_cycle_returns_and_is_logged() -> None:
    ended = python(IN_A_CYCLE.format(module="broker.clients", limit_s=HANG_LIMIT_S))
    assert ended.stdout == "collected\n", ended.stderr
    assert "Consumer opened by __main__:" in ended.stderr
    assert "dropped without being closed" in ended.stderr
    assert ended.returncode == 0


OWNERS: dict[str, Callable[[Connection], object]] = {
    "consumer": lambda c: Consumer({**c.config("consumer"), "group.id": "g"}),
    "producer": lambda c: Producer(c.config("producer")),
    "admin": lambda c: Admin(c.config("admin")),
    "fetcher": lambda c: Fetcher(c, "g", on_end=lambda *_: None),
    "partition reader": lambda c: PartitionReader(c, "orders", 0, 0, group="g"),
    "group reader": lambda c: GroupReader(c, "g", ["orders"]),
    "sender": Sender,
    "end offsets": EndOffsets,
    "layout watch": lambda c: LayoutWatch(c, "orders"),
    "throttle": lambda c: Throttle(c, {"orders": ["g", "h"]}),
    "group lags": lambda c: GroupLags(c, {"g": ["orders"]}),
}


@pytest.mark.parametrize("owner", OWNERS)
def test_an_owner_that_is_closed_leaves_no_client_open(owner: str, broker: EmbeddedBroker) -> None:
    before = opened()
    held = OWNERS[owner](broker.connection)
    assert opened() > before
    held.close()  # type: ignore[attr-defined]  # all have it
    assert opened() == before
    held.close()  # type: ignore[attr-defined]  # and closing again does nothing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del held


@pytest.mark.parametrize("owner", OWNERS)
def test_no_owner_is_in_a_reference_cycle_with_its_client(
    owner: str, broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    before = opened()
    gc.disable()
    try:
        held = OWNERS[owner](broker.connection)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del held
        assert opened() == before, "only garbage collection would have found it"
    finally:
        gc.enable()
    assert "was dropped without being closed" in caplog.text


@pytest.mark.parametrize(
    "fails",
    [
        lambda c: PartitionReader(c, "orders", 99, 0),
        lambda c: PartitionReader(c, "orders", 99, None, group="g"),
    ],
    ids=["position", "beginning"],
)
def test_an_owner_that_can_t_be_made_leaves_no_client_open(
    fails: Callable[[Connection], object], broker: EmbeddedBroker
) -> None:
    before = opened()
    with pytest.raises(TopicMissing):
        fails(broker.connection)
    assert opened() == before


# The first answer's callback sends the next request, and the client is closed meanwhile.
CLOSED_BY_ANOTHER_THREAD = """
import threading
from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec
from broker.clients import Admin

admin = Admin({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
sending, closing = threading.Event(), threading.Event()

def ask(client):
    return client.list_offsets({TopicPartition("orders", 0): OffsetSpec.latest()},
                               request_timeout=0.2)

def send(client):
    sending.set()
    closing.wait(1)  # with the lock that `close` waits for
    return ask(client)

def answered(_):
    NEXT
    print("sent")

for answer in ask(admin.client).values():
    answer.add_done_callback(answered)
del answer
sending.wait(10)
admin.close()
print("closed")
"""


def test_a_client_closed_while_its_own_thread_sends_a_request_is_ended_by_who_closes_it() -> None:
    ended = python(CLOSED_BY_ANOTHER_THREAD.replace("NEXT", "admin.request(send)"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["sent", "closed"]


def test_a_client_whose_last_reference_ends_in_its_own_thread_aborts_the_process() -> None:
    """The fault itself. When this fails, `Admin.request` may go."""
    script = CLOSED_BY_ANOTHER_THREAD.replace("NEXT", "send(admin.client)")
    ended = python(script.replace("admin.close()", "admin._client = None; closing.wait(3)"))
    assert ended.returncode == -signal.SIGABRT
    assert "librdkafka owned thread" in ended.stderr


def test_a_question_after_the_close_fails(broker: EmbeddedBroker) -> None:
    with EndOffsets(broker.connection) as ends:
        assert ends.ask("orders", 0).result(10) == 0
    with pytest.raises(KafkaException, match="_DESTROY"):
        ends.ask("orders", 0).result(10)


def test_a_client_left_open_at_the_end_of_a_process_is_logged_and_an_exit_code_in_tests() -> None:
    script = """
    from broker.clients import Producer
    held = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    print("done")
    """
    ended = python(script, **{STRICT_VARIABLE: "1"})
    assert (ended.stdout, ended.returncode) == ("done\n", LEFT_OPEN)
    assert "Producer opened by __main__:3 was not closed before the end of the process" in (
        ended.stderr
    )
    assert python(script, **{STRICT_VARIABLE: ""}).returncode == 0


def test_a_test_that_leaves_a_client_open_fails_and_names_who_opened_it(
    tmp_path: Path,
) -> None:
    script = """
from broker.clients import Producer

HELD = []

def test_it():
    HELD.append(Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}))

def test_another():
    pass
"""
    ended = run_pytest(tmp_path, script, "-rfE")
    assert "left open: Producer opened by test_inner:7 < " in ended.stdout
    assert "test_inner.py::test_it - Failed" in ended.stdout
    assert "2 passed, 1 error" in ended.stdout


def test_a_client_that_can_t_be_closed_is_left_after_a_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = threading.Event()
    client = Admin({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    close_within(let_go.wait, client, limit_s=0.01)
    assert "Admin opened by " in caplog.text
    assert "not closed within 0.01 s" in caplog.text
    assert client not in opened()
    let_go.set()


def test_a_process_that_stops_waits_for_one_client_that_can_t_be_closed_and_for_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = threading.Event()
    closed: list[str] = []
    config = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}  # `second` lives as long as we do
    first, second, third = (Admin(config) for _ in range(3))
    STOPPING.set()
    try:
        close_within(let_go.wait, first, limit_s=0.01)
        close_within(lambda: closed.append("second"), second)
        assert closed == []
        assert {first, second}.isdisjoint(opened())
        assert caplog.text.count("left open") == 1
        let_go.set()
        GIVEN_UP[-1].join()
        close_within(lambda: closed.append("third"), third)
    finally:
        STOPPING.clear()
    assert closed == ["third"], "one that takes long, and ends, is no reason any more"


@pytest.mark.parametrize("name", ["_TRANSPORT", "_TIMED_OUT", "UNKNOWN_TOPIC_OR_PART", "_FATAL"])
def test_a_kafka_error_is_shown_in_words_with_its_name(name: str) -> None:
    error = KafkaError(getattr(KafkaError, name))
    for shown in (worded(error), worded(KafkaException(error))):
        assert f"({name})" in shown
        assert error.str() in shown
        assert "KafkaError{" not in shown
    assert worded(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ((21, 100), "start offset overtook reader"),
        ((0, 19), "not the one that was read before"),
        ((0, 100), "not the one that was read before"),  # it has grown since it refused the offset
    ],
)
def test_a_lost_offset_says_on_which_side_it_lies(held: tuple[int, int], reason: str) -> None:
    assert reason in lost_because(20, *held)
