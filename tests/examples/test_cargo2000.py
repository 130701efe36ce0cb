"""The Cargo 2000 adapter: milestones, and plans from which the published figures follow."""

import gzip
from collections import Counter
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from commands.example import write
from dataflows.definition_files import read_lifecycle, read_rules
from examples.cargo2000 import tables
from examples.cargo2000.adapter import SAMPLE, events
from schemas.event import Event, decode_event

FOLDER = Path(tables.__file__).parent


@pytest.fixture(scope="module")
def taken() -> list[Event]:
    found = [decode_event(msgspec.json.encode(event)) for event in events()]
    return [event for event in found if isinstance(event, Event)]


@pytest.fixture(scope="module")
def processes(taken: list[Event]) -> list[list[Event]]:
    return [list(found) for _, found in groupby(taken, key=lambda event: event.order_id)]


def late(process: list[Event]) -> list[str]:
    """The milestones that came after their plan; DELIVERED stands for the last of the journey."""
    reached = {event.status_code: event.timestamp for event in process}
    reached["DELIVERED"] = reached["O_DLV"]
    plans = [plan for event in process for plan in (event.planned or {}).items()]
    return [code for code, planned in plans if reached[code] > planned]


def test_every_activity_is_an_event_and_so_is_every_booking(taken: list[Event]) -> None:
    assert len(taken) == 3_942 + 56_082
    assert Counter(event.status_code for event in taken)["BOOKED"] == 3_942
    assert len({event.event_id for event in taken}) == len(taken)


def test_every_milestone_is_planned_exactly_once(processes: list[list[Event]]) -> None:
    for process in processes:
        planned = Counter(code for event in process for code in event.planned or {})
        reached = {event.status_code for event in process} - {"BOOKED"}
        assert planned == dict.fromkeys([*reached, "DELIVERED"], 1)


def test_1048_processes_are_late_end_to_end(processes: list[list[Event]]) -> None:
    assert sum("DELIVERED" in late(process) for process in processes) == 1_048


def test_20258_activities_take_longer_than_planned(processes: list[list[Event]]) -> None:
    found = Counter(code for process in processes for code in late(process))
    assert found.total() - found["DELIVERED"] == 20_258


def test_the_outbound_leg_starts_after_the_last_inbound_leg(processes: list[list[Event]]) -> None:
    for process in processes:
        at = {event.status_code: event.at for event in process}
        handed_over = max(at.get(f"{leg}_DLV", 0) for leg in ("I1", "I2", "I3"))
        assert at["O_RCS"] > handed_over


def test_a_leg_is_a_shipment(taken: list[Event]) -> None:
    for event in taken:
        leg = event.status_code.partition("_")[0].lower()
        assert event.shipment == (None if leg == "booked" else leg)


def test_the_tables_are_those_that_are_written() -> None:
    assert (FOLDER / "lifecycle.toml").read_text("utf-8") == tables.lifecycle()
    assert (FOLDER / "rules.toml").read_text("utf-8") == tables.rules()


def test_the_engine_takes_the_tables(taken: list[Event]) -> None:
    table = read_lifecycle(FOLDER / "lifecycle.toml")
    rules = read_rules(FOLDER / "rules.toml", table)
    assert len(rules.rules) == 1 + 4 * 8
    assert {event.status_code for event in taken} <= set(table.codes)


def test_the_command_reads_plain_and_packed_files(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = gzip.decompress(SAMPLE.read_bytes()).splitlines(keepends=True)
    (tmp_path / "one.csv").write_bytes(b"".join(lines[:2]))
    (tmp_path / "one.csv.gz").write_bytes(gzip.compress(b"".join(lines[:2])))
    write(events, tmp_path / "one.csv")
    plain = capfdbinary.readouterr().out
    write(events, tmp_path / "one.csv.gz")
    assert capfdbinary.readouterr().out == plain
    assert len(plain.splitlines()) == 13
