"""`ordertide poll`: over HTTP in virtual time, as a process, and what its settings may be."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from broker.confirm import ConfirmingProducer
from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.poll.accounts import Account, open_accounts
from commands.poll.asked import AskedParcels, Memory, digest_of
from commands.poll.parcels import News, ParcelFollower, live_parcels
from commands.poll.worker import PollParts, PollWorker
from commands.wiring.process import now_ms
from dataflows.carriers.kuaidi100_query import Kuaidi100PollConfig, Kuaidi100Poller
from dataflows.carriers.pollable import Asked
from dataflows.carriers.polling import INTERVALS_MS, LONGEST_PAUSE_MS, PROMISED_MS
from dataflows.carriers.rest_query import RestPollConfig, RestPoller
from schemas.errors import Busy, SettingsError
from schemas.instants import HOUR_MS, MINUTE_MS, format_instant, parse_instant
from schemas.order import OrderDocument
from schemas.settings.model import PollSettings
from schemas.topics import EVENTS
from telemetry.metrics import Metrics
from tests.support.alerts import order, produce
from tests.support.command import Command, broker_with_topics, leaving_none
from tests.support.polled_carrier import (
    CUSTOMER,
    KEY,
    Clock,
    Mood,
    PolledCarrier,
)
from tests.support.waiting import wait_until

BEGIN = parse_instant("2026-03-02T08:00:00.000Z")
HTML = (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>")
BATCH = 40
WRITTEN_WITHIN_S = 1.0
TOKEN_MS = 20_000  # until the next request at 0.05 a second
SLACK_MS = 5_000  # of a request and a write, which virtual time doesn't wait for


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with broker_with_topics() as running:
        yield running


def rest(url: str, rate: str) -> Account:
    config = RestPollConfig(url=url, rate=rate, carriers="sf,jt", batch=str(BATCH))
    return Account("rest/main", RestPoller(config), config, INTERVALS_MS)


def kuaidi100(url: str, rate: str) -> Account:
    config = Kuaidi100PollConfig(url=url, rate=rate, secret=KEY, customer=CUSTOMER)
    return Account("kuaidi100/main", Kuaidi100Poller(config), config, INTERVALS_MS)


class Bench:
    """A poller over a simulated carrier, with a clock of its own."""

    def __init__(self, carrier: PolledCarrier, worker: PollWorker, parts: PollParts) -> None:
        self.carrier, self.clock = carrier, carrier.clock
        self.worker, self.parts = worker, parts

    def run(self, duration_ms: int) -> None:
        """Let virtual time pass: it stands while a request or a write is under way."""
        until = self.clock.now + duration_ms
        while self.clock.now < until:
            self.worker.step()
            if self.worker.is_busy:
                self.worker.wait(5.0)
                continue
            dues = [each.plan.next_at(self.clock.now) for each in self.parts.accounts]
            paused = self.worker.paused_until
            after = max(paused, min((due for due in dues if due is not None), default=until))
            self.clock.now = min(max(after, self.clock.now + 1), until)

    def outcomes(self) -> dict[str, float]:
        (family,) = self.parts.metrics.polls.collect()
        return {each.labels["outcome"]: each.value for each in family.samples}


@contextmanager
def bench(
    broker: EmbeddedBroker,
    folder: Path,
    parcels: dict[str, list[int]],
    carrier_code: str = "sf",
    open_account: Any = rest,  # noqa: ANN401 - one of the two above
    *,
    rate: str = "1",
    clock: Clock | None = None,
) -> Iterator[Bench]:
    clock = clock or Clock(BEGIN)
    asked = {n: Asked(n, carrier_code) for n in parcels}
    news: dict[str, News | None] = {n: News(asked[n], "IN_TRANSIT", BEGIN) for n in parcels}
    with ExitStack() as stack:
        carrier = stack.enter_context(PolledCarrier(clock, parcels))
        memory = stack.enter_context(closing(AskedParcels(folder / "asked.sqlite", clock.now)))
        producer = stack.enter_context(
            closing(ConfirmingProducer(broker.connection, WRITTEN_WITHIN_S))
        )
        feed = [news]
        parts = PollParts(
            accounts=[open_account(carrier.url, rate)],
            changes=lambda: feed.pop() if feed else {},
            producer=producer,
            asked=memory,
            metrics=Metrics("poll"),
            now_ms=clock,
            verify=lambda: None,
        )
        worker = PollWorker(parts, threading.Event())
        stack.callback(worker.close)
        yield Bench(carrier, worker, parts)


def scans(count: int, every_ms: int = HOUR_MS) -> dict[str, list[int]]:
    """Parcels with a scan at the beginning, and each some more later."""
    return {
        f"SF{number:010}": [BEGIN, *(BEGIN + n * every_ms + number * 1_000 for n in range(1, 6))]
        for number in range(count)
    }


def events(broker: EmbeddedBroker) -> list[dict[str, Any]]:
    return [json.loads(each.value or b"") for each in read_all(broker.connection, EVENTS)]


def test_six_hours_in_batches_keep_the_promise_and_write_each_scan_once(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    parcels = scans(200)
    with bench(broker, tmp_path, parcels, rate="0.05") as polling:
        polling.run(6 * HOUR_MS)
        asked = polling.carrier.asked
        assert max(len(numbers) for _, numbers in asked) == BATCH
        assert len(asked) <= 6 * 3_600 * 0.05 + 1
        for number in parcels:
            assert max(polling.carrier.gaps(number)) <= PROMISED_MS + TOKEN_MS + SLACK_MS
        polling.worker.measure(polling.clock.now)
        age_s = polling.parts.metrics.registry.get_sample_value(
            "ordertide_carrier_news_age_seconds", {"carrier": "rest/main"}
        )
        assert age_s is not None
        assert age_s <= (PROMISED_MS + TOKEN_MS + SLACK_MS) / 1000
    ids = [each["event_id"] for each in events(broker)]
    assert len(ids) == len(set(ids))
    due = {f"{n}/{at}": at for n, all_at in parcels.items() for at in all_at}
    assert set(ids) <= set(due)
    assert {each for each, at in due.items() if at < BEGIN + 5 * HOUR_MS} <= set(ids)


def test_kuaidi100_is_asked_one_by_one_and_never_twice_within_half_an_hour(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    parcels = scans(25)
    with bench(broker, tmp_path, parcels, "yunda", kuaidi100, rate="0.5") as polling:
        polling.run(150 * MINUTE_MS)
        assert {len(numbers) for _, numbers in polling.carrier.asked} == {1}
        assert polling.carrier.most_a_second() <= 1
        for number in parcels:
            gaps = polling.carrier.gaps(number)
            assert gaps
            assert min(gaps) >= PROMISED_MS
            assert max(gaps) <= PROMISED_MS + len(parcels) * 2_000
    found = events(broker)
    assert {each["source"] for each in found} == {"carrier:kuaidi100"}
    assert len({each["event_id"] for each in found}) == len(found) >= len(parcels) * 3


def test_a_restart_with_its_memory_asks_no_earlier_and_writes_nothing_twice(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    parcels = scans(40)
    clock = Clock(BEGIN)
    with bench(broker, tmp_path, parcels, clock=clock) as polling:
        polling.run(2 * HOUR_MS)
        before: dict[str, int] = {}
        for at, numbers in polling.carrier.asked:
            before |= dict.fromkeys(numbers, at)
        written = len(events(broker))
    clock.now += MINUTE_MS
    with bench(broker, tmp_path, parcels, clock=clock) as polling:
        polling.run(50 * MINUTE_MS)
        first: dict[str, int] = {}
        for at, numbers in polling.carrier.asked:
            first = dict.fromkeys(numbers, at) | first
        assert first.keys() == parcels.keys()
        assert min(first[n] - before[n] for n in parcels) >= 0.8 * PROMISED_MS - MINUTE_MS
        assert max(first[n] - before[n] for n in parcels) <= PROMISED_MS + MINUTE_MS + SLACK_MS
    ids = [each["event_id"] for each in events(broker)]
    assert len(ids) == len(set(ids)) >= written


@pytest.mark.parametrize(
    ("mood", "outcome"),
    [
        ((429, {"Retry-After": "600"}, b""), "limited"),
        ((500, {}, b"oops"), "failed"),
        ((401, {}, b"who are you"), "refused"),
        (HTML, "unreadable"),
        ("half", "unreadable"),
    ],
)
def test_a_failing_carrier_is_left_alone_for_a_while_and_asked_again(
    broker: EmbeddedBroker, tmp_path: Path, mood: Mood, outcome: str
) -> None:
    parcels = scans(8)
    with bench(broker, tmp_path, parcels) as polling:
        polling.carrier.moods.extend([mood] * 4)
        polling.run(8 * HOUR_MS)
        assert polling.outcomes()[outcome] == 4
        instants = [at for at, _ in polling.carrier.asked[:5]]
        pauses = [b - a for a, b in pairwise(instants)]
        assert min(pauses) >= (600_000 if outcome == "limited" else 30_000)
        assert max(pauses) <= LONGEST_PAUSE_MS + SLACK_MS
    found = {each["event_id"] for each in events(broker)}
    assert found == {f"{n}/{at}" for n, all_at in parcels.items() for at in all_at}


def test_a_number_that_the_carrier_does_not_know_is_no_failure(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with bench(broker, tmp_path, scans(1), "yunda", kuaidi100) as polling:
        polling.carrier.parcels = {}
        polling.run(6 * HOUR_MS)
        assert polling.outcomes() == {"unknown": len(polling.carrier.asked)}
        gaps = polling.carrier.gaps("SF0000000000")
        assert gaps == sorted(gaps)
        assert gaps[-1] > 1.5 * HOUR_MS


def test_while_the_broker_is_away_nothing_is_remembered_and_nothing_lost(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    parcels = scans(40)
    with bench(broker, tmp_path, parcels) as polling:
        broker.go_down()
        polling.run(31 * MINUTE_MS)
        assert polling.carrier.asked
        assert polling.parts.asked.of_account("rest/main") == {}
        assert polling.worker.is_polling().ok is False
        broker.come_up()
        polling.run(40 * MINUTE_MS)
    assert {each["event_id"] for each in events(broker)} >= {f"{n}/{BEGIN}" for n in parcels}


def test_what_is_remembered_is_there_after_a_restart_and_old_things_go(tmp_path: Path) -> None:
    path = tmp_path / "asked.sqlite"
    with closing(AskedParcels(path, BEGIN)) as asked:
        asked.remember("a/b", [("1", Memory(BEGIN, digest_of("x"))), ("2", Memory(BEGIN, b""))])
        asked.remember("a/b", [("2", Memory(BEGIN + 100 * 24 * HOUR_MS, b""))])
    with closing(AskedParcels(path, BEGIN + 61 * 24 * HOUR_MS)) as asked:
        assert asked.of_account("a/b") == {"2": Memory(BEGIN + 100 * 24 * HOUR_MS, b"")}
        assert asked.of_account("a/c") == {}


def written(broker: EmbeddedBroker, *orders: OrderDocument) -> None:
    with Producer(broker.connection) as producer:
        produce(producer, *orders)


def parcel(number: str, **fields: object) -> dict[str, Any]:
    return {
        "shipment": number,
        "status": "IN_TRANSIT",
        "updated_at": format_instant(BEGIN),
    } | fields


@pytest.mark.parametrize(
    ("fields", "is_asked"),
    [
        ({}, True),
        ({"carrier": "顺丰"}, True),
        ({"ended_at": format_instant(BEGIN)}, False),
        ({"status": None}, False),
        ({"shipment": ""}, False),
        ({"shipment": "box-1"}, False),
        ({"shipment": "large box"}, False),
        ({"shipment": "PARCEL"}, False),
        ({"shipment": "9" * 40}, False),
    ],
)
def test_a_live_parcel_with_a_number_and_a_carrier_is_asked_for(
    fields: dict[str, object],
    is_asked: bool,  # noqa: FBT001 - a column of the table
) -> None:
    found = live_parcels(
        order(
            "SO-1",
            carrier="sf",
            shipments=[parcel("SF744", **{"shipment": "SF7444400031887"} | fields)],
        )
    )
    assert bool(found) == is_asked
    if found:
        assert found == [News(Asked("SF7444400031887", "sf"), "IN_TRANSIT", BEGIN)]


def test_the_follower_names_what_is_new_and_what_is_no_longer_live(broker: EmbeddedBroker) -> None:
    follower = ParcelFollower(broker.connection)
    seen: dict[str, News | None] = {}

    def knows(expected: dict[str, News | None]) -> bool:
        seen.update(follower.changes())
        return seen == expected

    one = order("SO-1", 1, carrier="sf", shipments=[parcel("SF0000000001"), parcel("SF0000000002")])
    two = order("SO-2", 1, carrier="sf", shipments=[parcel("SF0000000002")])
    written(broker, one, two)
    with closing(follower):
        follower.start()
        live = {
            n: News(Asked(n, "sf"), "IN_TRANSIT", BEGIN) for n in ("SF0000000001", "SF0000000002")
        }
        wait_until(partial(knows, dict(live)), "both parcels")
        ended = parcel("SF0000000002", ended_at=format_instant(BEGIN))
        written(broker, order("SO-1", 2, carrier="sf", shipments=[ended]))
        wait_until(partial(knows, live | {"SF0000000001": None}), "one is no longer live")


def test_as_a_process_it_asks_and_ends_cleanly(broker: EmbeddedBroker, tmp_path: Path) -> None:
    now = now_ms()
    number = "3805420000000"
    with PolledCarrier(Clock(now), {number: [now - HOUR_MS]}) as carrier:
        shipped = parcel(
            number, updated_at=format_instant(now - 40 * MINUTE_MS), status="OUT_FOR_DELIVERY"
        )
        written(broker, order("SO-1", 1, carrier="yunda", shipments=[shipped]))
        folder = tmp_path / "poll"
        process = Command(
            "poll",
            tmp_path,
            {
                "broker": {"bootstrap": broker.bootstrap, "embedded": True},
                "poll": {
                    "folder": str(folder),
                    "carriers": {"kuaidi100": {"main": {"url": carrier.url, "customer": CUSTOMER}}},
                },
            },
        )
        process.environment["ORDERTIDE_POLL_CARRIERS_KUAIDI100_MAIN_SECRET"] = KEY
        with closing(AskedParcels(prepared(folder), now)) as asked:
            asked.remember("kuaidi100/main", [(number, Memory(now - HOUR_MS, b""))])
        with leaving_none([process]):
            process.start()
            wait_until(lambda: bool(events(broker)), "an event", shown=process.output)
            assert process.get("/readyz")[0] == 200
            metrics = process.get("/metrics")[1]
            assert (
                'ordertide_polls_total{carrier="kuaidi100/main",outcome="answered"} 1.0' in metrics
            )
            assert process.end(signal.SIGTERM) == 0, process.output()
        assert [each["waybill"] for each in events(broker)] == [number]
        with closing(AskedParcels(folder / "asked.sqlite", now)) as asked:
            assert asked.of_account("kuaidi100/main")[number].asked_at >= now


def prepared(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder / "asked.sqlite"


GOOD = {"kuaidi100.main.secret": KEY, "kuaidi100.main.customer": CUSTOMER}


@pytest.mark.parametrize(
    ("carriers", "intervals", "part"),
    [
        ({"kuaidi100.main.secret": KEY}, {}, "customer is missing"),
        ({"kuaidi100.secret": KEY}, {}, "name the carrier, the account and the option"),
        ({"pigeon.main.rate": "1"}, {}, "poller pigeon: no such plug-in"),
        (GOOD | {"kuaidi100.main.rate": "often"}, {}, "no number of requests a second"),
        (GOOD | {"kuaidi100.main.rate": "0"}, {}, "no number of requests a second"),
        (GOOD | {"kuaidi100.main.timeout": "0s"}, {}, "timeout: 0s is too short"),
        (GOOD | {"kuaidi100.main.url": "ftp://x"}, {}, "poll.carriers.kuaidi100.main.url"),
        (GOOD | {"kuaidi100.main.carriers": "dhl"}, {}, "can't ask for dhl"),
        (GOOD | {"kuaidi100.main.carriers": "sf"}, {}, "can't ask for sf"),
        (GOOD, {"IN_TRANSIT": "often"}, "poll.intervals.IN_TRANSIT"),
        (GOOD, {"IN_TRANSIT": "10s"}, "at least 1m"),
        (
            GOOD | {"kuaidi100.two.secret": KEY, "kuaidi100.two.customer": CUSTOMER},
            {},
            "both kuaidi100/main and kuaidi100/two ask for parcels of ems",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    carriers: dict[str, str], intervals: dict[str, str], part: str
) -> None:
    with pytest.raises(SettingsError, match=part):
        open_accounts(PollSettings(carriers=carriers, intervals=intervals))


def test_two_accounts_share_the_carriers_that_they_name() -> None:
    two = {"kuaidi100.two.secret": KEY, "kuaidi100.two.customer": CUSTOMER}
    named = {
        "kuaidi100.main.carriers": "yto, zto",
        "kuaidi100.two.carriers": "sto",
        "kuaidi100.main.phone": "1",
    }
    main, other = open_accounts(PollSettings(carriers=GOOD | two | named))
    assert [sorted(each.codes) for each in (main, other)] == [["yto", "zto"], ["sto"]]


def test_the_lease_of_another_process_stops_the_requests(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    def away() -> None:
        raise Busy("the broker is away")

    with bench(broker, tmp_path, scans(1)) as polling:
        polling.worker.parts = polling.parts._replace(verify=away)
        polling.clock.now += HOUR_MS
        polling.worker.round()
        assert not polling.worker.is_busy
        assert polling.worker.is_polling().ok is False
