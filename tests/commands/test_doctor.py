"""`ordertide doctor`: each fault is found, named and comes with a remedy; nothing hangs."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from redis import Redis

from commands.doctor import alerting as doctor_alerting
from commands.doctor import host as doctor_host
from commands.doctor import kafka as doctor_kafka
from commands.doctor import redis as doctor_redis
from commands.doctor.clock import clock_finding, http_clock
from commands.doctor.command import CHECKS, command
from commands.doctor.findings import CheckContext, Finding, Level, Report, ok, run_checks
from commands.wiring.process import now_ms
from schemas.settings.model import read_settings
from storage_tiering.hot.embedded import EmbeddedRedis

NOWHERE = "127.0.0.1:1"  # no server listens on port 1


def context(**variables: str) -> CheckContext:
    environment = {f"ORDERTIDE_{name}": value for name, value in variables.items()}
    return CheckContext(read_settings(None, environment), timeout_s=20.0)


def at(place: str, timeout_s: float) -> CheckContext:
    """Every server at one host:port."""
    variables = {
        "ORDERTIDE_BROKER_BOOTSTRAP": place,
        "ORDERTIDE_HOT_URL": f"redis://{place}/0",
        "ORDERTIDE_WARM_URL": f"http://{place}",
        "ORDERTIDE_ARCHIVE_WEBHDFS": place,
        "ORDERTIDE_ARCHIVE_NAMENODES": place,
        "ORDERTIDE_ARCHIVE_FOLDER": "/archive",
        "ORDERTIDE_DELIVERY_URL": f"http://{place}",
        "ORDERTIDE_TELEMETRY_PROMETHEUS": f"http://{place}",
        "ORDERTIDE_OIDC_ISSUER": f"http://{place}",
        "ORDERTIDE_OIDC_CLIENT_ID": "board",
        "ORDERTIDE_SERVE_PUBLIC_URL": "http://board.test",
    }
    return CheckContext(read_settings(None, variables), timeout_s)


def levels(findings: Iterator[Finding]) -> dict[str, Level]:
    return {finding.subject: finding.level for finding in findings}


# ---------------------------------------------------------------- the frame
def test_checks_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def waits_for_the_other(_: CheckContext) -> Iterator[Finding]:
        both.wait(60)
        yield ok("met", "the other")

    reports = [*run_checks({"a": waits_for_the_other, "b": waits_for_the_other}, context(), 60)]
    assert reports == [Report(part, [ok("met", "the other")]) for part in ("a", "b")]


def test_a_server_that_never_answers_is_a_problem_and_what_it_said_before_counts() -> None:
    end = threading.Event()

    def hangs(_: CheckContext) -> Iterator[Finding]:
        yield ok("reachable", "yes")
        end.wait(60)

    (report,) = run_checks({"a": hangs}, context(), patience_s=2.0)
    end.set()
    assert levels(iter(report.findings)) == {"reachable": "ok", "answer": "problem"}


def test_a_check_that_fails_is_a_problem() -> None:
    def fails(_: CheckContext) -> Iterator[Finding]:
        raise LookupError("no such thing")

    (report,) = run_checks({"a": fails}, context(), patience_s=60)
    (finding,) = report.findings
    assert (finding.level, finding.subject) == ("problem", "check")
    assert "no such thing" in finding.found


def test_problems_make_exit_code_1_in_text_and_json(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    environment = {"ORDERTIDE_WARM_FOLDER": str(blocked / "warm")}
    text = CliRunner().invoke(command, ["host"], env=environment)
    assert text.exit_code == 1
    assert "PROBLEM" in text.output
    assert "→" in text.output
    as_json = CliRunner().invoke(command, ["host", "--json"], env=environment)
    assert as_json.exit_code == 1
    (report,) = msgspec.json.decode(as_json.output, type=list[Report])
    assert [f.subject for f in report.findings if f.level == "problem"] == ["warm.folder"]


def test_no_problem_makes_exit_code_0(tmp_path: Path) -> None:
    names = ("TRACK_FOLDER", "WARM_FOLDER", "ARCHIVE_FOLDER", "PRIVACY_KEYS")
    environment = {f"ORDERTIDE_{name}": str(tmp_path / name) for name in names}
    result = CliRunner().invoke(command, ["host"], env=environment)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("part", sorted(set(CHECKS) - {"host", "actions", "polling"}))
def test_a_server_that_is_away_is_one_problem_with_its_address_and_a_way_out(part: str) -> None:
    (finding,) = CHECKS[part](at(NOWHERE, timeout_s=2.0))
    assert (finding.subject, finding.level) == ("reachable", "problem")
    assert NOWHERE in finding.found
    assert finding.remedy


@pytest.mark.parametrize("part", sorted(set(CHECKS) - {"host", "actions", "polling"}))
def test_a_server_that_listens_and_says_nothing_is_a_problem_too(part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (finding,) = CHECKS[part](at(f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.5))
    assert (finding.subject, finding.level) == ("reachable", "problem")


# ---------------------------------------------------------------- this host
def test_a_key_file_that_others_may_open_is_a_warning(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.touch(mode=0o600)
    looked = context(PRIVACY_KEYS=str(keys))
    assert levels(doctor_host.check(looked))["privacy.keys"] == "ok"
    keys.chmod(0o644)
    assert levels(doctor_host.check(looked))["privacy.keys"] == "warning"


def test_asking_makes_no_folder(tmp_path: Path) -> None:
    looked = context(TRACK_FOLDER=str(tmp_path / "a" / "b"))
    assert levels(doctor_host.check(looked))["track.folder"] == "ok"
    assert not (tmp_path / "a").exists()


# ---------------------------------------------------------------- clocks
@pytest.mark.parametrize(
    ("ahead_ms", "round_trip_ms", "level"),
    [(400, 0, "ok"), (-400, 0, "ok"), (600, 0, "warning"), (-600, 0, "warning"), (600, 300, "ok")],
)
def test_clocks_may_differ_by_the_margin_and_what_the_way_took(
    ahead_ms: int, round_trip_ms: int, level: Level
) -> None:
    assert clock_finding(ahead_ms, 500, round_trip_ms).level == level


def test_a_date_header_from_another_hour_is_a_warning() -> None:
    assert http_clock("Mon, 23 Nov 2020 06:00:00 GMT", now_ms()).level == "warning"
    assert http_clock("yesterday", now_ms()).level == "warning"
    assert http_clock(None, now_ms()).level == "ok"


# ---------------------------------------------------------------- Redis
@pytest.fixture
def redis() -> Iterator["Redis"]:
    with EmbeddedRedis() as server:
        client = Redis.from_url(server.url, decode_responses=True)
        yield client
        # A server that is still writing its first append-only file refuses to end.
        client.config_set("appendonly", "no")
        client.close()


def url_of(client: "Redis") -> str:
    return f"unix://{client.connection_pool.connection_kwargs['path']}"


def checked(client: "Redis") -> dict[str, Level]:
    return levels(doctor_redis.check(context(HOT_URL=url_of(client))))


def test_a_redis_as_it_should_be_is_ok_throughout(redis: "Redis") -> None:
    redis.config_set("maxmemory", "1gb")
    redis.config_set("appendonly", "yes")
    assert checked(redis) == dict.fromkeys(
        ("reachable", "version", "scripts", "clock", "memory"), "ok"
    )


def test_a_wrong_password_is_found(redis: "Redis") -> None:
    redis.config_set("requirepass", "another")
    assert checked(redis) == {"authorised": "problem"}
    with_it = context(HOT_URL=url_of(redis), HOT_PASSWORD="another")
    assert levels(doctor_redis.check(with_it))["reachable"] == "ok"


def test_a_user_who_may_run_no_scripts_is_found(redis: "Redis") -> None:
    redis.acl_setuser(
        "default", enabled=True, nopass=True, keys=["*"], categories=["+@all", "-@scripting"]
    )
    assert checked(redis)["authorised"] == "problem"


def test_a_replica_and_too_few_replicas_are_found(redis: "Redis") -> None:
    waits = context(HOT_URL=url_of(redis), HOT_REPLICAS="1")
    assert levels(doctor_redis.check(waits))["replicas"] == "problem"
    redis.replicaof("127.0.0.1", 1)
    assert checked(redis)["role"] == "problem"


def test_a_redis_that_forgets_or_is_nearly_full_is_found(redis: "Redis") -> None:
    assert checked(redis)["memory"] == "warning", "without a limit"
    redis.config_set("maxmemory-policy", "allkeys-lru")
    assert checked(redis)["keeping"] == "warning"
    redis.config_set("maxmemory-policy", "noeviction")
    assert checked(redis)["keeping"] == "warning", "without an append-only file"
    redis.config_set("maxmemory", int(redis.info()["used_memory"]))
    assert checked(redis)["memory"] == "problem"


# ---------------------------------------------------------------- Kafka
def test_the_embedded_broker_is_for_the_demo() -> None:
    looked = context(BROKER_EMBEDDED="true", BROKER_BOOTSTRAP=NOWHERE)
    assert levels(doctor_kafka.check(looked)) == {"broker": "warning"}


# ---------------------------------------------------------------- HTTP
class Says(BaseHTTPRequestHandler):
    """Answers every GET with the server's status."""

    def do_GET(self) -> None:
        assert isinstance(self.server, HttpServer)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


class HttpServer(ThreadingHTTPServer):
    status = 200


@pytest.fixture
def target() -> Iterator[HttpServer]:
    server = HttpServer(("127.0.0.1", 0), Says)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def receiver(target: HttpServer, **variables: str) -> dict[str, Level]:
    address = f"http://127.0.0.1:{target.server_port}"
    return levels(doctor_alerting.receiver(context(DELIVERY_URL=address, **variables)))


def test_something_else_at_alertmanager_s_address_is_found(target: HttpServer) -> None:
    assert receiver(target) == {"reachable": "problem"}


def test_a_receiver_that_wants_another_token_is_found(target: HttpServer) -> None:
    target.status = 401
    assert receiver(target) == {"authorised": "problem"}
    assert receiver(target, DELIVERY_CHANNEL="webhook") == {"authorised": "problem"}


def test_a_webhook_may_refuse_a_get(target: HttpServer) -> None:
    target.status = 405
    assert receiver(target, DELIVERY_CHANNEL="webhook") == {"reachable": "ok"}


def test_alerts_that_would_run_out_are_found(target: HttpServer) -> None:
    found = receiver(target, DELIVERY_HOLD="1m")
    assert found["settings"] == "problem"
    assert "settings" not in receiver(target, DELIVERY_CHANNEL="webhook", DELIVERY_HOLD="1m")
