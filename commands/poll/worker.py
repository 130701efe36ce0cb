"""The loop of the poller: live parcels in, requests out, events to the topic, then the memory.

One thread owns the plans and the memory; requests run in threads of their account. An answer counts
once its events are in the broker's log, on all replicas in sync: until then its parcels are neither
remembered nor asked for again.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event as Flag
from typing import Any, NamedTuple

import msgspec

from broker.backoff import Backoff
from broker.confirm import ConfirmingProducer
from broker.produce import Record
from commands.poll.accounts import Account, Result
from commands.poll.asked import AskedParcels, Memory, digest_of, digests_in
from commands.poll.parcels import News
from gateway.ingest import HEADER_KEY
from schemas.errors import Busy
from schemas.numbers import as_waybill
from schemas.topics import EVENTS
from telemetry.health import Finding
from telemetry.metrics import Metrics

LOGGER = logging.getLogger("ordertide.poll")
THREADS = 8  # requests of an account at a time
ROUND_S = 0.1
MEASURE_EVERY_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0  # while events can't be written
END_WITHIN_S = 10.0

Request = tuple[Account, "Future[Result]"]


class Written(NamedTuple):
    """An answer whose events are on their way to the broker's log."""

    account: Account
    result: Result
    memory: dict[str, Memory]
    sent: "Future[None]"


class PollParts(NamedTuple):
    """Parts of a poller. `changes` gives live parcels, `verify` returns if it holds the lease."""

    accounts: Sequence[Account]
    changes: Callable[[], Mapping[str, News | None]]
    producer: ConfirmingProducer
    asked: AskedParcels
    metrics: Metrics
    now_ms: Callable[[], int]
    verify: Callable[[], None]


class PollWorker:
    """Asks the carriers of its accounts until `stop` is set."""

    def __init__(self, parts: PollParts, stop: Flag) -> None:
        """Create a worker that has asked for nothing yet."""
        self.parts = parts
        self.stop = stop
        self.reason: str | None = None
        self._by_code = {code: each for each in parts.accounts for code in each.codes}
        self._memory = {each.name: parts.asked.of_account(each.name) for each in parts.accounts}
        self._pools = {each.name: ThreadPoolExecutor(THREADS, each.name) for each in parts.accounts}
        self._requests: list[Request] = []
        self._written: list[Written] = []
        self._measured_at_s = 0.0
        self._backoff = Backoff(LONGEST_PAUSE_S, FIRST_PAUSE_S)
        self.paused_until = 0  # no request while its events couldn't be written

    @property
    def is_busy(self) -> bool:
        """Return True while a request, or a write of its events, is under way."""
        return bool(self._requests or self._written)

    def is_polling(self) -> Finding:
        """Ready unless the broker, the lease or the disk was busy in the last round.

        A carrier that is away leaves it ready: restarting the poller would not mend it.
        """
        reason = self.reason
        if reason is None and self._backoff.is_failing:
            reason = "the broker doesn't take events; see the log"
        return Finding(ok=reason is None, reason=reason or "polling")

    def run(self) -> None:
        """Ask until `stop` is set; requests under way may end.

        Raises:
            OrdertideError: the lease is lost, or the memory is damaged.
        """
        while not self.stop.wait(ROUND_S):
            self.round()
        self.close()

    def round(self) -> None:
        """Make one round, unless something that passes prevents it."""
        try:
            self.parts.verify()
            self.step()
        except Busy as busy:
            self.reason = busy.reason
            LOGGER.warning("poll: waiting: %s", busy.reason)
        else:
            self.reason = None

    def step(self) -> None:
        """Take what is new of orders, requests and writes, and make the requests that are due."""
        now = self.parts.now_ms()
        for number, news in self.parts.changes().items():
            self._take(number, news, now)
        self._collect(now)
        self._settle(now)
        for account in self.parts.accounts if now >= self.paused_until else ():
            self._ask(account, now)
        if time.monotonic() - self._measured_at_s >= MEASURE_EVERY_S:
            self._measured_at_s = time.monotonic()
            self.measure(now)

    def wait(self, timeout_s: float) -> None:
        """Wait until a request or a write has ended."""
        futures: list[Future[Any]] = [future for _, future in self._requests]
        wait(futures or [each.sent for each in self._written], timeout_s)

    def measure(self, now: int) -> None:
        """Set the gauges."""
        for account in self.parts.accounts:
            age_s = account.plan.oldest_news_ms(now) / 1000
            self.parts.metrics.carrier_news_age_seconds.labels(account.name).set(age_s)
            count = len(account.plan.parcels)
            self.parts.metrics.polled_parcels.labels(account.name).set(count)

    def close(self) -> None:
        """End the threads; what is under way may end within ten seconds, and is remembered."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        give_up_at_s = time.monotonic() + END_WITHIN_S
        while self.is_busy and time.monotonic() < give_up_at_s:
            self._requests = [each for each in self._requests if not each[1].cancelled()]
            self.wait(ROUND_S)
            self._collect(self.parts.now_ms())
            try:
                self._settle(self.parts.now_ms())
            except Busy as busy:
                LOGGER.warning("poll: not remembered: %s", busy.reason)
        for account in self.parts.accounts:
            account.close()

    # ------------------------------------------------------------ orders
    def _take(self, number: str, news: News | None, now: int) -> None:
        owner = self._by_code.get(news.asked.carrier) if news else None
        for account in self.parts.accounts:
            if account is not owner:
                account.plan.drop(number)
        if news is None or owner is None:
            return
        memory = self._memory[owner.name].get(number)
        asked_at = min(memory.asked_at, now) if memory else 0
        owner.plan.put(news.asked, news.status, news.news_at, now, asked_at)

    # ------------------------------------------------------------ requests
    def _ask(self, account: Account, now: int) -> None:
        under_way = sum(1 for owner, _ in self._requests if owner is account)
        while under_way < THREADS and (asked := account.plan.take(now)):
            future = self._pools[account.name].submit(account.ask, asked, now)
            self._requests.append((account, future))
            under_way += 1

    def _collect(self, now: int) -> None:
        """Take the results that have come, and send the events of answers."""
        for account, future in [each for each in self._requests if each[1].done()]:
            self._requests.remove((account, future))
            result = future.result()
            self.parts.metrics.polls.labels(account.name, result.outcome).inc()
            if result.answer is None:
                self._note_failure(account, result, now)
            else:
                self._written.append(self._write(account, result, now))

    def _note_failure(self, account: Account, result: Result, now: int) -> None:
        after_ms = round(1000 * result.retry_after_s)
        note = account.plan.limited if result.outcome == "limited" else account.plan.failed
        note(result.asked, now, after_ms)
        level = logging.ERROR if result.outcome == "refused" else logging.WARNING
        LOGGER.log(level, "poll: %s: %s: %s", account.name, result.outcome, result.reason)

    def _write(self, account: Account, result: Result, now: int) -> Written:
        """Send the scans of an answer that were not written before."""
        assert result.answer is not None
        held = self._memory[account.name]
        known = {
            each.number: {*digests_in(held[each.number].scans)} if each.number in held else set()
            for each in result.asked
        }
        names = {as_waybill(number): number for number in known}
        scans: dict[str, list[bytes]] = {number: [] for number in known}
        headers: list[tuple[str, bytes | None]] = [(HEADER_KEY, f"poll/{account.name}".encode())]
        records = []
        for event in result.answer.contents.events:
            waybill, digest = str(event["waybill"]), digest_of(str(event["event_id"]))
            number = names.get(as_waybill(waybill))
            if number is None:
                continue  # of a parcel that wasn't asked for
            scans[number].append(digest)
            if digest not in known[number]:
                records.append(Record(waybill.encode(), msgspec.json.encode(event), headers))
        self._count(account, result, len(records))
        memory = {
            number: Memory(now, b"".join(dict.fromkeys([*known[number], *scans[number]])))
            for number in known
        }
        return Written(account, result, memory, self.parts.producer.send(EVENTS, records))

    def _count(self, account: Account, result: Result, new: int) -> None:
        assert result.answer is not None
        scans = self.parts.metrics.polled_scans
        scans.labels(account.name, "new").inc(new)
        for unreadable in result.answer.contents.unreadable:
            scans.labels(account.name, "unreadable").inc()
            LOGGER.warning(
                "poll: %s: %s: %s", account.name, unreadable.place, unreadable.error.code
            )

    def _settle(self, now: int) -> None:
        """Remember the answers whose events are in the broker's log.

        Raises:
            Busy: the disk is; they are remembered later.
        """
        done = [each for each in self._written if each.sent.done()]
        for each in done:
            failure = each.sent.exception()
            if failure is None:
                self._remember(each, now)
                self._backoff.reset()
                self.paused_until = 0
            else:
                self._pause(failure, now)
                each.account.plan.returned(each.result.asked, self.paused_until)
            self._written.remove(each)

    def _pause(self, failure: BaseException, now: int) -> None:
        """Ask for nothing while the broker takes nothing: carriers count every request."""
        if now >= self.paused_until:
            self.paused_until = now + round(1000 * self._backoff.next_s())
        LOGGER.warning("poll: events were not written, and are asked for again: %s", failure)

    def _remember(self, written: Written, now: int) -> None:
        account, answer = written.account, written.result.answer
        self.parts.asked.remember(account.name, written.memory.items())
        self._memory[account.name].update(written.memory)
        account.plan.answered(written.result.asked, now, answer.unknown if answer else ())
