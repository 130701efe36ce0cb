"""Each process logs once that it is up, with what it runs by and where its metrics are."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from deploy.installation import Tables
from tests.support.command import Command, broker_with_topics, leaving_none
from tests.support.waiting import wait_until

WORDS = {
    "track": ["rules: shipped (", "lifecycle: shipped (", "state: new in "],
    "write warm": ["resumes where group ordertide-write-warm stopped"],
    "deliver": ["alerts go to alertmanager, http://127.0.0.1:9", "resumes where group ordertide-"],
}


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with broker_with_topics() as embedded:
        yield embedded


@pytest.fixture
def tables(broker: EmbeddedBroker, tmp_path: Path) -> Tables:
    return {
        "broker": {"bootstrap": broker.bootstrap, "embedded": True},
        "track": {"folder": str(tmp_path / "track"), "clock": "recorded"},
        "warm": {"folder": str(tmp_path / "warm")},
        "delivery": {"url": "http://127.0.0.1:9"},
        "privacy": {"keys": str(tmp_path / "keys.json")},
    }


def up_lines(command: Command) -> list[str]:
    return [line for line in command.output().splitlines() if ": up; ordertide " in line]


def is_ready(command: Command) -> bool:
    try:
        return command.get("/readyz").status == HTTPStatus.OK
    except OSError:
        return False  # it doesn't listen yet


@pytest.mark.parametrize("name", WORDS)
def test_a_process_says_once_that_it_is_up(
    name: str, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTIDE_TELEMETRY_LEVEL", "INFO")
    service = Command(name, tmp_path, tables)
    with leaving_none([service]):
        service.start()
        wait_until(lambda: up_lines(service), "its line", shown=service.output)
        assert service.end() == 0
    [line] = up_lines(service)
    assert re.search(rf" {name}: up; ordertide \d+\.\d+", line)
    assert f"settings: {service.settings}" in line
    assert line.endswith(f"metrics at http://127.0.0.1:{service.port}/metrics")
    assert all(words in line for words in WORDS[name]), line


def test_a_restarted_flow_names_the_commit_that_it_resumes_with(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTIDE_TELEMETRY_LEVEL", "INFO")
    track = Command("track", tmp_path, tables)
    with leaving_none([track]):
        for _ in range(2):
            track.start()
            wait_until(lambda: is_ready(track), "an epoch", shown=track.output)
            assert track.end() == 0
    assert re.search(r"state: restored from \S+shards.sqlite, commit \d+;", up_lines(track)[1])
