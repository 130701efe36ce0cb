"""One live run of a flow: the holder keeps the lease, and a run that lost it does no harm."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from broker.clients import Consumer
from broker.connect import Connection
from broker.consume import read_all
from broker.errors import Fenced, TopicMissing
from broker.fence import Fence
from broker.lease import VERIFY_EVERY_S, LeaseHeld, LeaseLost, RunLease
from deploy.stack.kafka import Kafka
from schemas.errors import Busy
from schemas.topics import LEASE
from tests.support.kafka.topics import PATIENCE_S, admin, make
from tests.support.servers import need_kafka
from tests.support.stack import namespace
from tests.support.waiting import patiently, wait_until

ROOT = Path(__file__).resolve().parents[3]
SESSION_S = 2.0
RUN_PROGRAM = """
import sys
from broker.connect import Connection
from broker.lease import LeaseLost, RunLease
from broker.produce import Producer

connection = Connection(sys.argv[1], {"session.timeout.ms": sys.argv[4]})
with (
    RunLease(connection, sys.argv[2], instance=sys.argv[5] or None) as lease,
    Producer(connection, before_flush=lease.verify, linger_ms=0) as producer,
):
    print("running", flush=True)
    for line in sys.stdin:
        try:
            producer.flush()
        except LeaseLost as lost:
            sys.exit(f"lost: {lost}")
        producer.send(sys.argv[3], b"k", line.strip().encode())
        producer.flush()
        print("written", flush=True)
"""


@pytest.fixture
def flow(kafka: Connection) -> str:
    make(kafka, LEASE)
    return namespace()


@pytest.fixture
def other_run(kafka: Connection, flow: str, topic: str) -> Iterator["subprocess.Popen[str]"]:
    """A run in a process of its own that has the lease."""
    with run_of(kafka, flow, topic) as process:
        yield process


@contextmanager
def run_of(
    kafka: Connection, flow: str, topic: str, session_s: float = SESSION_S, instance: str = ""
) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", RUN_PROGRAM, kafka.bootstrap, flow, topic]
    command += [f"{session_s * 1000:.0f}", instance]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]  # the stub doesn't take pipes from a dict
        assert process.stdout.readline() == "running\n"
        yield process
        process.kill()


def lease(kafka: Connection, flow: str, more: Mapping[str, str] | None = None) -> RunLease:
    properties = {"session.timeout.ms": f"{SESSION_S * 1000:.0f}", **(more or {})}
    return RunLease(Connection(kafka.bootstrap, properties), flow)


def verify_patiently(held: RunLease) -> int:
    """As the sink does; how often the broker had no answer."""
    unanswered: list[Busy] = []
    patiently(held.verify, unanswered)
    return len(unanswered)


def test_a_second_run_is_refused_by_name_and_the_first_goes_on(
    kafka: Connection, flow: str
) -> None:
    refusals: list[str] = []

    def try_as_well() -> None:
        with pytest.raises(LeaseHeld) as refused, lease(kafka, flow):
            pass
        refusals.append(str(refused.value))

    with lease(kafka, flow) as first:
        second = threading.Thread(target=try_as_well)
        second.start()
        while second.is_alive():
            verify_patiently(first)
            second.join(0.05)
        verify_patiently(first)
    assert f"flow {flow}: ordertide-" in refusals[0]
    assert "stop that run, or give this one a group of its own" in refusals[0]


def test_a_run_that_ended_hands_over_and_another_flow_is_not_concerned(
    kafka: Connection, flow: str
) -> None:
    for _ in range(2):
        with lease(kafka, flow) as held, lease(kafka, f"{flow}-other") as other:
            held.verify()
            other.verify()


def test_a_lease_that_no_run_holds_is_waited_for_however_slow_the_broker_is(
    kafka: Connection, flow: str
) -> None:
    """As on a busy machine, where a group takes longer to form than two sessions."""
    before = [0.0, 0.0, 0.0]  # by the clock, hours pass during the first request

    def now_s() -> float:
        return before.pop() if before else time.monotonic()

    connection = Connection(kafka.bootstrap, {"session.timeout.ms": "2000"})
    with RunLease(connection, flow, now_s=now_s) as held:
        held.verify()


def test_a_run_that_was_killed_is_followed_by_the_next(
    kafka: Connection, flow: str, other_run: "subprocess.Popen[str]"
) -> None:
    other_run.kill()
    with lease(kafka, flow) as held:
        held.verify()


def test_a_run_that_was_paused_while_another_took_over_ends_before_it_flushes(
    kafka: Connection, flow: str, topic: str, other_run: "subprocess.Popen[str]"
) -> None:
    assert other_run.stdin
    assert other_run.stdout
    assert other_run.stderr
    other_run.stdin.write("before\n")
    other_run.stdin.flush()
    assert other_run.stdout.readline() == "written\n"
    other_run.send_signal(signal.SIGSTOP)
    with lease(kafka, flow) as held:
        other_run.send_signal(signal.SIGCONT)
        other_run.stdin.write("after\n")
        other_run.stdin.flush()
        assert other_run.wait(PATIENCE_S) != 0
        assert "lost: flow" in other_run.stderr.read()
        verify_patiently(held)
    assert [message.value for message in read_all(kafka, topic)] == [b"before"]


def judge_of(held: RunLease, kafka: Connection, cluster: Sequence[Kafka]) -> Kafka:
    """The broker that coordinates the group of a lease."""
    client = admin(kafka)
    described = client.describe_consumer_groups([held.group])[held.group].result(30)
    return cluster[int(described.coordinator.id) - 1]


@contextmanager
def all_silent(cluster: Sequence[Kafka]) -> Iterator[None]:
    """Pause every broker: the coordinator of a group may move to any of them, at any time."""
    running = [process for broker in cluster if (process := broker.process())]
    assert len(running) == len(cluster)
    try:
        for process in running:
            process.send(signal.SIGSTOP)
        yield
    finally:
        for process in running:
            process.send(signal.SIGCONT)


def test_a_judge_that_is_silent_with_questions_in_its_queue_is_waited_for(
    kafka: Connection, cluster: Sequence[Kafka], flow: str
) -> None:
    """A machine under load produces this by itself: a request that was not even sent."""
    with lease(kafka, flow, {"max.in.flight.requests.per.connection": "1"}) as held:
        with all_silent(cluster):
            time.sleep(VERIFY_EVERY_S)  # the last answer is too old now
            with pytest.raises(Busy, match="Timed out in queue"):
                held.verify()
        verify_patiently(held)


def test_the_lease_outlives_the_broker_that_judges_it(
    kafka: Connection, cluster: Sequence[Kafka], flow: str
) -> None:
    with lease(kafka, flow) as held:
        judge = judge_of(held, kafka, cluster)
        judge.kill()
        time.sleep(SESSION_S + 1)  # its session ends as well: no other run can have been faster
        verify_patiently(held)
        judge.start()
        judge.wait(60)
        time.sleep(VERIFY_EVERY_S)  # the last answer is too old now
        verify_patiently(held)


def test_a_lease_topic_that_the_broker_does_not_know_yet_is_waited_for(tmp_path: Path) -> None:
    need_kafka()
    with Kafka(tmp_path / "kafka") as fresh:
        connection = Connection(fresh.address["bootstrap"])
        later = threading.Timer(1.0, make, (connection, LEASE))
        later.start()
        with RunLease(connection, "a-flow") as held:
            held.verify()
        later.join()


def test_a_lease_topic_that_stays_away_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_kafka()
    monkeypatch.setattr("broker.lease.MISSING_FOR_S", 1.0)
    with (
        Kafka(tmp_path / "kafka") as fresh,
        pytest.raises(TopicMissing, match=r"^topic ordertide\.lease: .* create what is missing"),
        RunLease(Connection(fresh.address["bootstrap"]), "a-flow"),
    ):
        pass


def test_who_has_the_lock_of_a_killed_run_takes_its_place_at_once(
    kafka: Connection, flow: str, topic: str
) -> None:
    """Sessions of ten minutes: by their end alone the next run would be refused."""
    for number in range(3):
        with run_of(kafka, flow, topic, session_s=600, instance="a-lock") as run:
            tell(run, f"{number}")
    assert [m.value for m in read_all(kafka, topic) if m.value] == [b"0", b"1", b"2"]


def test_the_place_of_a_killed_run_goes_to_another_lock_when_its_session_is_over(
    kafka: Connection, flow: str, topic: str
) -> None:
    with run_of(kafka, flow, topic, instance="a-lock") as run:
        tell(run, "first")
    connection = Connection(kafka.bootstrap, {"session.timeout.ms": f"{SESSION_S * 1000:.0f}"})
    with RunLease(connection, flow, instance="another-lock") as other:
        other.verify()


def named_run(kafka: Connection, flow: str) -> RunLease:
    properties = {"session.timeout.ms": f"{SESSION_S * 1000:.0f}", "heartbeat.interval.ms": "300"}
    return RunLease(Connection(kafka.bootstrap, properties), flow, instance="a-lock")


def member(kafka: Connection, flow: str, instance: str) -> Consumer:
    """A bare member of the lease's group, which has joined."""
    config = {"group.id": f"{flow}.lease", "group.instance.id": instance}
    strategy = {"partition.assignment.strategy": "cooperative-sticky"}
    found = Consumer({**kafka.config("consumer"), **config, **strategy})
    joined: list[object] = []
    found.subscribe([LEASE.name], on_assign=lambda _, parts: joined.append(parts))
    wait_until(lambda: joined or found.poll(0.1), "the join", pause_s=0)
    return found


def test_a_run_that_was_fenced_by_its_own_name_joins_again(kafka: Connection, flow: str) -> None:
    """As after an outage of the broker, when librdkafka rejoins."""
    with named_run(kafka, flow) as held:
        member(kafka, flow, "a-lock").close()
        time.sleep(VERIFY_EVERY_S)  # the last answer no longer counts
        assert verify_patiently(held) > 0
        held.verify()


def test_a_run_that_is_fenced_before_it_was_called_back_ends(kafka: Connection, flow: str) -> None:
    """librdkafka's own close waits for ever then (librdkafka#4041)."""
    with named_run(kafka, flow):
        other = member(kafka, flow, "another-lock")  # so the group rebalances
        member(kafka, flow, "a-lock").close()
        time.sleep(1)  # for a heartbeat, which learns of it
        other.close()


def test_a_run_whose_name_another_run_took_has_lost(kafka: Connection, flow: str) -> None:
    with named_run(kafka, flow) as first, named_run(kafka, flow) as second:
        time.sleep(VERIFY_EVERY_S)
        with pytest.raises(LeaseLost, match=f"flow {flow}: another run has taken over"):
            verify_patiently(first)
        verify_patiently(second)


@contextmanager
def fence_of(kafka: Connection, flow: str, token: int) -> Iterator[Fence]:
    with closing(Fence(kafka, flow, token)) as fence:
        yield fence


def test_a_worker_verifies_the_token_of_its_run_without_being_a_member(
    kafka: Connection, flow: str
) -> None:
    with lease(kafka, flow) as held:
        token = held.begin_run()
        with fence_of(kafka, flow, token) as fence:
            fence.verify()
        verify_patiently(held)
        client = admin(kafka)
        (only,) = client.describe_consumer_groups([held.group]).values()
        assert len(only.result(PATIENCE_S).members) == 1


def test_workers_of_an_earlier_run_are_fenced_once_the_next_begins(
    kafka: Connection, flow: str
) -> None:
    with lease(kafka, flow) as held:
        first = held.begin_run()
        second = held.begin_run()
        assert second > first
        verify_patiently(held)
        with fence_of(kafka, flow, second) as fence:
            fence.verify()
        with (
            fence_of(kafka, flow, first) as fence,
            pytest.raises(Fenced, match=f"flow {flow}: another run has taken over"),
        ):
            fence.verify()


def test_a_fence_queries_the_broker_at_most_once_a_second(kafka: Connection, flow: str) -> None:
    now_s = 100.0
    with lease(kafka, flow) as held, closing(Fence(kafka, flow, 1, lambda: now_s)) as fence:
        fence.token = held.begin_run()
        fence.verify()
        held.begin_run()
        now_s = 100.9
        fence.verify()
        now_s = 101.0
        with pytest.raises(Fenced):
            fence.verify()


def test_a_fence_whose_broker_is_silent_is_busy_and_then_verifies(
    kafka: Connection, cluster: Sequence[Kafka], flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.fence.ANSWER_TIMEOUT_S", 1.0)
    with lease(kafka, flow) as held, fence_of(kafka, flow, held.begin_run()) as fence:
        with all_silent(cluster), pytest.raises(Busy, match="fencing token"):
            fence.verify()
        patiently(fence.verify)


def test_a_number_whose_commit_was_not_answered_is_recognised_as_its_own(
    kafka: Connection, flow: str
) -> None:
    with lease(kafka, flow) as held:
        mine = held.begin_run()
        held._write_number(mine + 1)  # noqa: SLF001 - taken by the broker, and the answer was lost
        time.sleep(VERIFY_EVERY_S)  # the last answer is too old now
        verify_patiently(held)
        assert held.begin_run() == mine + 2


def tell(run: "subprocess.Popen[str]", line: str) -> None:
    assert run.stdin
    assert run.stdout
    run.stdin.write(f"{line}\n")
    run.stdin.flush()
    assert run.stdout.readline() == "written\n"
