"""Dataflow under load: its process, its input, and its progress.

A round is written to the broker while the process is held (SIGSTOP), then released: so neither the
feeder nor a pipeline that waits for its turn takes part in what is measured.
"""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicPartition

from benchmarks.events import Arrived, to_json
from broker.connect import Connection
from broker.errors import PASSING
from broker.fetcher import BATCH_MESSAGES, Fetcher
from broker.produce import Producer
from deploy.installation import ROOT, Process

POLL_S = 0.02
STALLED_AFTER_S = 60.0
LEADERS_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0
ANSWER_TIMEOUT_S = 10.0
# What fits into the embedded broker at once: it keeps 5 MiB a partition, and lz4 makes about 90
# bytes of an event; half of that. Should it drop something anyway, the flow's source ends
# with OffsetLost, and the round with its log.
ROUND_EVENTS = 100_000

Line = tuple[bytes, bytes]  # key, value


class Names(NamedTuple):
    """Input topic of a flow, and its output topic with one message for every event."""

    topic: str
    out: str


class Pace(NamedTuple):
    """Figures of a round; CPU time is that of the flow's whole process."""

    events_per_s: float
    cpu_us: float


class Sample(NamedTuple):
    """Number of events done at a moment."""

    at_s: float
    done: int


class Flow:
    """A dataflow in a process of its own."""

    def __init__(self, names: Names, command: Sequence[str], connection: Connection) -> None:
        """Create the flow; the log goes to the working directory."""
        self.names = names
        self.command = command
        self.producer = Producer(connection)
        self.log = Path(f"{names.topic}.log")
        self.fetcher = Fetcher(connection, "benchmarks")
        self.client = self.fetcher.client
        # Markers of transactions take offsets as well, so on a real Kafka messages are counted.
        self.counts_offsets = connection.embedded
        self.count = 0
        found = self.client.list_topics(names.out, timeout=ANSWER_TIMEOUT_S).topics[names.out]
        self.partitions = [TopicPartition(names.out, number) for number in found.partitions]
        self.before = self.written_before()
        if not self.counts_offsets:
            self.client.assign(self.ends())
            self.before = 0
        self.sent = 0
        self.process = self.start()

    def start(self) -> Process:
        """Start the process, in a session of its own: it may have others, held along with it."""
        return Process(
            self.command, self.log, environment={"PYTHONPATH": str(ROOT)}, has_session=True
        )

    def written_before(self) -> int:
        """The offsets so far; a topic that was just made may take a moment to have leaders."""
        give_up_at_s = time.monotonic() + LEADERS_WITHIN_S
        while True:
            try:
                return sum(partition.offset for partition in self.ends())
            except KafkaException as failed:
                if failed.args[0].name() not in PASSING or time.monotonic() > give_up_at_s:
                    raise
                time.sleep(POLL_S)

    def written(self) -> int:
        """Number of messages its output holds or has held, of a real Kafka since the start."""
        if self.counts_offsets:
            return sum(partition.offset for partition in self.ends())
        while messages := self.fetcher.fetch(BATCH_MESSAGES, 0):
            self.count += len(messages)
        return self.count

    def ends(self) -> list[TopicPartition]:
        """The partitions of its output, at their ends."""
        return [
            TopicPartition(
                each.topic,
                each.partition,
                self.client.get_watermark_offsets(each, timeout=ANSWER_TIMEOUT_S)[1],
            )
            for each in self.partitions
        ]

    def round(self, lines: Sequence[Line], ticks: Sequence[bytes]) -> Pace:
        """Feed `lines`, and `ticks`, one for each partition; wait for all of their outputs."""
        self.feed(lines, ticks)
        cpu_s = self.cpu_s()
        samples = [self.sample()]
        self.tell(signal.SIGCONT)
        while samples[-1].done < self.sent:
            time.sleep(POLL_S)
            samples.append(self.sample())
            self.check(samples)
        self.tell(signal.SIGSTOP)
        return pace_of(samples[0], samples[-1], self.cpu_s() - cpu_s)

    def revive(self, lines: Sequence[Line], ticks: Sequence[bytes]) -> float:
        """Kill the process, feed, restart it: seconds until the first output of the new one.

        Returns when all are done; some outputs from before the kill may come again.
        """
        self.tell(signal.SIGKILL)
        self.process.wait()
        self.feed(lines, ticks)
        samples = [self.sample()]
        self.process = self.start()
        while samples[-1].done < self.sent:
            time.sleep(POLL_S)
            samples.append(self.sample())
            self.check(samples)
        self.tell(signal.SIGSTOP)
        first = next(sample for sample in samples if sample.done > samples[0].done)
        return first.at_s - samples[0].at_s

    def tell(self, number: int) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self.process.pid, number)

    def feed(self, lines: Sequence[Line], ticks: Sequence[bytes]) -> None:
        """Write everything; the ticks only when all else is in the log."""
        for key, value in lines:
            self.producer.send(self.names.topic, key, value)
        self.producer.flush()
        for partition, tick in enumerate(ticks):
            self.producer.send(self.names.topic, None, tick, partition=partition)
        self.producer.flush()
        self.sent += len(lines)

    def sample(self) -> Sample:
        return Sample(time.perf_counter(), self.written() - self.before)

    def cpu_s(self) -> float:
        """User and system time of its processes (proc(5), fields 5, 14 and 15).

        Not to be read while they run: walking through /proc takes 5 ms of what they share.
        """
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # one that ended while we looked isn't ours
                fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def check(self, samples: Sequence[Sample]) -> None:
        """Give up on a flow that has died or gets nowhere.

        Raises:
            RuntimeError: with the end of its log.
        """
        last = samples[-1]
        still_since_s = next(sample.at_s for sample in samples if sample.done == last.done)
        is_stalled = last.at_s - still_since_s > STALLED_AFTER_S
        if self.process.poll() is not None or is_stalled:
            raise RuntimeError(
                f"{self.names.topic}: {last.done} of {self.sent} events are done and nothing moves;"
                f" exit code {self.process.poll()}; the end of its log:\n{self.process.log_tail()}"
            )

    def close(self) -> None:
        """Stop the process and the clients."""
        self.tell(signal.SIGCONT)
        self.process.stop(STOP_WITHIN_S)
        self.producer.close()
        self.client.close()


def pace_of(begun: Sample, ended: Sample, cpu_s: float) -> Pace:
    """The pace of a whole round, from letting the process go to the last acknowledged output.

    Not of a part of it: the slowest partition holds the clock, so outputs come in bursts.
    """
    done = ended.done - begun.done
    return Pace(done / (ended.at_s - begun.at_s), cpu_s * 1e6 / done)


def line_of(arrived: Arrived) -> Line:
    """The message of an event, keyed by its order."""
    return (arrived.event.order_id or "").encode(), to_json(arrived)
