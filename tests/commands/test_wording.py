"""Sentences of commands: no raw error number, no plural of one, no port of a port."""

from pathlib import Path

import pytest

from broker.errors import plain
from commands.size.figures import figures
from commands.size.model import compared
from deploy.stack.server import port_text
from schemas.display import count_of
from schemas.os_faults import no_answer
from tests.support.recording import ordertide


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("list", "--settings", "nowhere.toml"), "nowhere.toml: no such file; correct --settings"),
        (("config", "check", "nowhere.toml"), "nowhere.toml: no such file; correct the name"),
        (("replay", "nowhere", "--out", "r"), "nowhere: can't be read: No such file or directory"),
        (("replay", "no.parquet", "--out", "r"), "no.parquet: can't be read: No such file"),
        (("replay", "x", "--until", "soon", "--out", "r"), "--until: 'soon' is no instant; write"),
        (("replay", "x", "--rules", "r.toml", "--out", "r"), "r.toml: No such file or directory; "),
        (("load", "--out", "nowhere/x"), "--out nowhere/x: No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_typical_mistake_is_one_plain_line(
    words: tuple[str, ...], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = ordertide(*words)
    assert ran.code == 2
    assert text in ran.err
    assert "rrno" not in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not [*tmp_path.iterdir()]


def test_one_has_no_plural() -> None:
    assert count_of(1, "order") == "1 order"
    assert count_of(0, "order") == "0 orders"
    assert count_of(2_000, "entry", "entries") == "2,000 entries"


def test_a_port_is_named_once() -> None:
    assert port_text("port", 9092) == "port 9092"
    assert port_text("web", 9870) == "web port 9870"


def test_no_cost_is_saved_below_zero() -> None:
    needs = [*compared(10_000, figures(None, []))]
    assert [need.name for need in needs] == [
        "tiers, of Redis alone",
        "tiers, of Elasticsearch alone",
    ]
    assert all(need.value > 0 for need in needs)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "[thrd:k:9092/b]: k:9092/b: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (",
            "10.0.0.1:9092: connection refused",
        ),
        (
            "k:9092/bootstrap: Failed to resolve 'k:9092': Name or service not known (after 5ms)",
            "k:9092: the host name has no address",
        ),
        ("something else", "something else"),
    ],
)
def test_a_line_of_the_kafka_client_is_worded(line: str, text: str) -> None:
    assert plain(line) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(111, "Connection refused"), "no answer from h:1 (connection refused)"),
        (TimeoutError("timed out"), "no answer from h:1 (not in time)"),
        (
            RuntimeError("Error 111 connecting to a:2. Connection refused."),
            "no answer from h:1 (Error 111 connecting to a:2. Connection refused.)",
        ),
    ],
)
def test_an_error_of_a_connection_is_worded(error: Exception, text: str) -> None:
    assert no_answer(error, "h:1") == text
