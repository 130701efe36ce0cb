"""Metrics and health as a probe sees them: over real HTTP."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from threading import Barrier, Thread

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.errors import SettingsError
from telemetry.health import Finding, HealthServer
from telemetry.metrics import Metrics
from tests.support.waiting import PATIENCE_S


class Process:
    """A process with metrics, and checks that a test can change."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.found = {
            "broker": Finding(ok=True, reason="answered"),
            "state": Finding(ok=True, reason="open"),
        }
        checks = {"broker": lambda: self.found["broker"], "state": lambda: self.found["state"]}
        self.server = HealthServer(self.metrics.registry, checks)
        self.server.start()

    def get(self, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body)."""
        url = f"http://127.0.0.1:{self.server.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read()


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.server.close()


def test_metrics_are_what_prometheus_reads(process: Process) -> None:
    process.metrics.sink_busy.labels(sink="warm").inc(3)
    status, content_type, body = process.get("/metrics")
    assert (status, content_type.partition(";")[0]) == (200, "text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    sample = families["ordertide_sink_busy"].samples[0]
    assert (sample.name, sample.labels, sample.value) == (
        "ordertide_sink_busy_total", {"sink": "warm"}, 3,
    )  # fmt: skip


def test_a_process_that_answers_is_alive_even_when_it_is_not_ready(process: Process) -> None:
    process.found["broker"] = Finding(ok=False, reason="gone")
    assert process.get("/healthz") == (200, "application/json", b'{"alive":true}\n')


def test_ready_says_how_each_check_stands(process: Process) -> None:
    status, content_type, body = process.get("/readyz")
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body) == {
        "ready": True,
        "checks": {
            "broker": {"ok": True, "reason": "answered"},
            "state": {"ok": True, "reason": "open"},
        },
    }


def test_one_failed_check_makes_it_not_ready_and_gives_the_reason(process: Process) -> None:
    process.found["broker"] = Finding(ok=False, reason="no answer for 12 s")
    status, _, body = process.get("/readyz")
    found = json.loads(body)
    assert (status, found["ready"]) == (503, False)
    assert found["checks"]["broker"] == {"ok": False, "reason": "no answer for 12 s"}
    process.found["broker"] = Finding(ok=True, reason="answered")
    assert process.get("/readyz")[0] == 200


def test_a_check_that_breaks_is_a_failed_check(process: Process) -> None:
    del process.found["state"]
    status, _, body = process.get("/readyz")
    assert status == 503
    reason = json.loads(body)["checks"]["state"]["reason"]
    assert reason == "the check failed: KeyError: 'state'"


def test_an_unknown_path_says_which_there_are(process: Process) -> None:
    status, _, body = process.get("/secret")
    assert status == 404
    assert json.loads(body)["paths"] == ["/metrics", "/healthz", "/readyz"]


def test_head_answers_without_a_body_and_query_strings_do_no_harm(process: Process) -> None:
    connection = HTTPConnection("127.0.0.1", process.server.port, timeout=PATIENCE_S)
    connection.request("HEAD", "/healthz?from=probe")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, "15", b"")
    connection.close()


def test_a_client_that_says_nothing_holds_nobody_up(process: Process) -> None:
    with socket.create_connection(("127.0.0.1", process.server.port)):
        assert process.get("/healthz")[0] == 200


def test_a_slow_check_holds_no_probe_up() -> None:
    entered, released = Barrier(2), Barrier(2)

    def slow() -> Finding:
        entered.wait(PATIENCE_S)
        released.wait(PATIENCE_S)
        return Finding(ok=True, reason="at last")

    process = Process()
    process.server.checks["slow"] = slow
    asking = Thread(target=process.get, args=("/readyz",))
    asking.start()
    entered.wait(PATIENCE_S)
    assert process.get("/healthz")[0] == 200
    released.wait(PATIENCE_S)
    asking.join()
    process.server.close()


def test_it_listens_on_loopback_unless_told(process: Process) -> None:
    assert process.server.server.server_address[0] == "127.0.0.1"


def test_a_taken_port_is_told_by_number(process: Process) -> None:
    port = process.server.port
    with pytest.raises(SettingsError, match=f"can't listen on 127.0.0.1:{port}, .*choose another"):
        HealthServer(process.metrics.registry, {}, port=port)


def test_a_closed_server_lets_go_of_its_port() -> None:
    first = Process()
    port = first.server.port
    first.server.close()
    again = HealthServer(first.metrics.registry, {}, port=port)
    again.close()
