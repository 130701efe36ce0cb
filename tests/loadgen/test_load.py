"""`ordertide load`: the output fits the request, and the expected result is known."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from statistics import NormalDist, median, quantiles
from typing import Any

import pytest
import zstandard

from loadgen.durations import DELIVERY, HANDOVER, PAYMENT, PROMISE, Mode, table_of
from loadgen.expectation import differences
from loadgen.lives import KINDS, OF_ORDER, OF_SALE, SALE_FROM
from loadgen.text import Text
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from tests.support.recording import ROOT, ordertide, replay
from tests.support.waiting import wait_until

Json = dict[str, Any]
START_AT = parse_instant("2026-01-01T00:00:00Z")
TWO_MONTHS = ("--orders-per-day", 12, "--duration", "60d", "--tick-every", "6h")


def made(folder: Path, *options: object) -> tuple[Path, Json]:
    """(file, expectation) of a load."""
    file, expect = folder / "load.ndjson", folder / "expect.json"
    ran = ordertide("load", "--out", file, "--expect", expect, *options)
    assert ran.code == 0, ran
    return file, json.loads(expect.read_text("utf-8"))


def events_of(file: Path) -> list[Json]:
    """The messages that are events, each copy of them."""
    found = []
    for line in file.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "-bad-" not in event.get("event_id", "-bad-"):
            found.append(event)
    return found


def first_copies(events: list[Json]) -> list[Json]:
    """Each event once, as it arrived first."""
    found: dict[str, Json] = {}
    for event in events:
        found.setdefault(event["event_id"], event)
    return list(found.values())


def arrival_at(event: Json) -> int:
    return parse_instant(event["recorded_at"])


def happened_at(event: Json) -> int:
    return parse_instant(event["timestamp"])


def is_binomial(found: int, count: int, share: float) -> bool:
    """Return True for a chance result of `share` of `count`; wrong once in a million seeds."""
    spread = (count * share * (1 - share)) ** 0.5
    return bool(abs(found - count * share) <= NormalDist().inv_cdf(1 - 5e-7) * spread + 1)


# ---------------------------------------------------------------- what comes of it is known
@pytest.mark.parametrize(
    "options",
    [
        TWO_MONTHS,
        ("--rate", 60, "--live-orders", 300, "--duration", "40s"),
        ("--rate", 5, "--live-orders", 40, "--duration", "5m", "--flash-sale", "1m",
         "--flash-sale-length", "2m"),
        (*TWO_MONTHS, "--out-of-order", 0.5, "--late", 0.4, "--duplicates", 1, "--malformed", 0.2),
    ],
    ids=["real lives", "steady", "flash sale", "chaos"],
)  # fmt: skip
def test_a_replay_finds_exactly_what_was_expected(
    options: tuple[object, ...], tmp_path: Path, seed: int
) -> None:
    file, expected = made(tmp_path, *options, "--seed", seed % 1000)
    results = replay(tmp_path / "out", file)
    assert not differences(expected, results.summary)
    codes = Counter(row["code"] for row in results.rows("rejected"))
    assert codes == expected["rejected_by_code"]
    assert expected["events_distinct"] > 1000
    assert expected["events_applied"] == results.summary["events_applied"]


def test_every_step_of_every_life_leaves_the_order_in_the_status_that_is_expected(
    tmp_path: Path,
) -> None:
    text, messages, expected = Text("T", 1.0, recorded=True), [], {}
    for kind, life in enumerate(KINDS):
        is_sale = kind in OF_SALE
        chance = OF_SALE.index(kind) if is_sale else OF_ORDER.index(kind)
        for last in range(len(life.steps)):
            serial = (SALE_FROM if is_sale else 0) + kind * 1000 + last
            expected[f"T-{serial:010d}"] = life.steps[last].order
            at = [START_AT + HOUR_MS * step for step in range(last + 1)]
            messages += [text.value((at[n], serial, n, at[n], chance)) for n in range(last + 1)]
            if life.name == "hot" and last == 20:
                break  # the other reposts add nothing
    file = tmp_path / "lives.ndjson"
    file.write_bytes(b"\n".join(messages))
    found = {
        row["order_id"]: row["status"] for row in replay(tmp_path / "out", file).rows("orders")
    }
    assert found == expected


def test_differences_are_named() -> None:
    expected = {"orders": 3, "events_late": 1, "orders_by_status": {"PAID": 3}}
    found = {"orders": 2, "orders_by_status": {"PAID": 3}}
    assert differences(expected, found) == ["orders: expected 3, found 2"]


# ---------------------------------------------------------------- seeds
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    options = ("--rate", 50, "--live-orders", 100, "--duration", "20s", "--flash-sale", "5s")
    files = []
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        (tmp_path / name).mkdir()
        files.append(made(tmp_path / name, *options, "--seed", seed)[0].read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_packed_files_hold_the_same_lines_as_a_plain_one(tmp_path: Path) -> None:
    plain, _ = made(tmp_path, *TWO_MONTHS)
    packed = tmp_path / "load.ndjson.zst"
    ordertide("load", *TWO_MONTHS, "--out", packed)
    with zstandard.open(packed, "rb") as stream:
        assert stream.read() == plain.read_bytes()


# ---------------------------------------------------------------- shares
def test_shares_are_what_was_asked_for(tmp_path: Path) -> None:
    options = ("--rate", 300, "--live-orders", 1000, "--duration", "60s", "--malformed", 0.01)
    file, expected = made(tmp_path, *options, "--seed", 11)
    events = events_of(file)
    firsts = first_copies(events)
    count = expected["events_distinct"]
    assert len(firsts) == count
    assert len(events) - count == expected["events_duplicate"]
    assert is_binomial(expected["events_duplicate"], count, 0.2)
    assert is_binomial(expected["events_rejected"], count, 0.01)
    assert is_binomial(expected["events_out_of_order"], count, 0.05)
    assert is_binomial(expected["events_late"], count, 0.01)
    assert sum(arrival_at(event) > happened_at(event) for event in firsts) == (
        expected["events_out_of_order"] + expected["events_late"]
    )


def test_what_is_delayed_arrives_after_something_younger(tmp_path: Path) -> None:
    file, expected = made(tmp_path, "--rate", 200, "--live-orders", 1000, "--duration", "60s")
    youngest, overtaken = 0, 0
    for event in first_copies(events_of(file)):
        overtaken += happened_at(event) < youngest
        youngest = max(youngest, happened_at(event))
    delayed = expected["events_out_of_order"] + expected["events_late"]
    assert overtaken == pytest.approx(delayed, 0.02)


def test_messages_lie_in_the_order_of_their_arrival_and_ticks_are_true(tmp_path: Path) -> None:
    file, expected = made(tmp_path, "--rate", 100, "--live-orders", 500, "--duration", "5m")
    promised, last = 0, 0
    for line in file.read_bytes().splitlines():
        if line.startswith(b'{"kind":"tick"'):
            promised = parse_instant(json.loads(line)["recorded_at"])
        elif b"-bad-" not in line and line.startswith(b"{"):
            event = json.loads(line)
            assert arrival_at(event) >= last
            assert arrival_at(event) > promised or promised == START_AT + 5 * MINUTE_MS
            last = arrival_at(event)
    assert promised == START_AT + 5 * MINUTE_MS
    assert expected["ticks"] > 5


# ---------------------------------------------------------------- how much, and when
@pytest.mark.parametrize(("orders_per_day", "days"), [(5, 80), (2000, 1)])
def test_as_many_orders_come_a_day_as_were_asked_for(
    orders_per_day: int, days: int, tmp_path: Path
) -> None:
    amount = ("--orders-per-day", orders_per_day, "--duration", f"{days}d", "--tick-every", "1d")
    _, expected = made(tmp_path, *amount)
    asked_for = orders_per_day * days
    assert abs(expected["orders"] - asked_for) < 5 * asked_for**0.5  # Poisson


def test_a_rate_is_steady_from_the_first_second_and_begins_with_the_orders_asked_for(
    tmp_path: Path,
) -> None:
    file, _ = made(tmp_path, "--rate", 200, "--live-orders", 3000, "--duration", "60s")
    events = events_of(file)
    by_ten_s = Counter((arrival_at(event) - START_AT) // 10_000 for event in events)
    # The last ten seconds hold what is held back until the end.
    assert all(1800 < by_ten_s[slot] < 2200 for slot in range(5)), by_ten_s
    before = {event["order_id"] for event in events
              if "customer_id" in event and happened_at(event) < START_AT}  # fmt: skip
    assert len(before) == pytest.approx(3000, rel=0.1)


def test_a_flash_sale_triples_the_load_and_one_order_in_a_hundred_takes_a_third_of_it(
    tmp_path: Path,
) -> None:
    options = ("--rate", 40, "--live-orders", 2000, "--duration", "25m", "--flash-sale", "10m")
    events = events_of(made(tmp_path, *options)[0])
    by_minute = Counter((arrival_at(event) - START_AT) // MINUTE_MS for event in events)
    before = sum(by_minute[minute] for minute in range(10)) / 10
    # The hot orders that come last continue for four minutes.
    during = sum(by_minute[minute] for minute in range(14, 20)) / 6
    assert during / before == pytest.approx(3, rel=0.15)
    of_sale = Counter(
        event["order_id"]
        for event in events
        if event.get("order_id", "") >= f"L1-{SALE_FROM}"
        and arrival_at(event) < START_AT + 20 * MINUTE_MS
    )
    hottest = sum(count for _, count in of_sale.most_common(len(of_sale) // 100))
    assert 0.2 < hottest / (sum(by_minute[minute] for minute in range(10, 20))) < 0.4


def test_orders_follow_the_day_and_a_few_sellers_have_most(tmp_path: Path) -> None:
    file, _ = made(tmp_path, "--orders-per-day", 4000, "--duration", "2d", "--duplicates", 0)
    orders = [event for event in events_of(file) if "supplier_id" in event]
    hours = Counter(happened_at(event) // HOUR_MS % 24 for event in orders)
    assert max(hours.values()) > 5 * min(hours.values())
    sellers = Counter(event["supplier_id"] for event in orders)
    hottest = sum(count for _, count in sellers.most_common(100))
    assert 0.5 < hottest / len(orders) < 0.8  # 1 % of 10,000 sellers, exponent 1.1


def test_stages_take_as_long_as_they_are_modelled(tmp_path: Path) -> None:
    file, _ = made(tmp_path, "--orders-per-day", 60, "--duration", "90d", "--duplicates", 0)
    at: dict[str, dict[str, int]] = {}
    for event in events_of(file):
        name = event["event_id"].rsplit("-", 1)[0]
        at.setdefault(name, {}).setdefault(event["status_code"], happened_at(event))
    old = [o for o in at.values() if o.get("PENDING_PAYMENT", DAY_MS**2) < START_AT + 20 * DAY_MS]
    paid = [o["PAID"] - o["PENDING_PAYMENT"] for o in old if "PAID" in o]
    handed = [o["COLLECTED"] - o["PAID"] for o in old if "COLLECTED" in o]
    assert median(paid) == pytest.approx(median(table_of(PAYMENT)), rel=0.25)
    assert median(handed) == pytest.approx(median(table_of(HANDOVER)), rel=0.15)


def test_a_mode_has_its_median_and_one_in_six_beyond_its_factor() -> None:
    table = table_of((Mode(1.0, HOUR_MS, 3.0),))
    assert median(table) == pytest.approx(HOUR_MS, rel=0.01)
    lower, *_, upper = quantiles(table, n=6)
    assert lower == pytest.approx(HOUR_MS / 3, rel=0.1)
    assert upper == pytest.approx(HOUR_MS * 3, rel=0.1)
    halves = table_of((Mode(0.5, HOUR_MS, 1.01), Mode(0.5, DAY_MS, 1.01)))
    assert sum(value < 2 * HOUR_MS for value in halves) * 2 == len(halves)


def test_the_model_breaks_as_many_promises_as_the_documents_say(seed: int) -> None:
    payment, handover, delivery, promise = map(table_of, (PAYMENT, HANDOVER, DELIVERY, PROMISE))
    draws = Random(seed)
    late = sum(
        draws.choice(payment) + draws.choice(handover) + draws.choice(delivery)
        > draws.choice(promise)
        for _ in range(20_000)
    )
    assert late / 20_000 == pytest.approx(1 / 7, abs=0.02)
    assert sum(value > 3 * DAY_MS for value in handover) / len(handover) == pytest.approx(
        1 / 3, abs=0.02
    )


# ---------------------------------------------------------------- stopping, and what can't be met
def test_ctrl_c_ends_a_live_load_with_complete_lines_and_counts(tmp_path: Path) -> None:
    file, expect = tmp_path / "live.ndjson", tmp_path / "expect.json"
    options = ["--rate", "50", "--live-orders", "200", "--duration", "1h", "--clock", "live"]
    files = ["--out", str(file), "--expect", str(expect)]
    command = [sys.executable, "run.py", "load", *options, *files]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        wait_until(lambda: file.exists() and file.stat().st_size, "the first line")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, process.stderr
    expected = json.loads(expect.read_text("utf-8"))
    content = file.read_bytes()
    assert content.endswith(b"\n")
    assert content.count(b"\n") == expected["events_read"]
    assert b"recorded_at" not in content
    assert expected["ticks"] == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--rate", 10, "--orders-per-day", 5), "unset one"),
        (("--live-orders", 10), "needs --rate"),
        (("--rate", 1000, "--live-orders", 10), "fit"),
        (("--rate", 0.001, "--live-orders", 100_000), "fit"),
        (("--duration", "long"), "is no duration"),
        (("--start", "yesterday"), "--start"),
        (("--flash-sale", "2h"), "begins after"),
        (("--out", "no/such/folder/x.ndjson"), "No such file"),
    ],
)
def test_what_cannot_be_met_is_said_in_a_line(
    options: tuple[object, ...], reason: str, tmp_path: Path
) -> None:
    ran = ordertide("load", "--out", tmp_path / "x.ndjson", *options)
    assert ran.code == 2
    assert reason in ran.err
    assert len(ran.err.splitlines()) == 1
