"""The doctor on polling: credentials, the carrier's server, and what is left of the rate."""

from contextlib import closing
from pathlib import Path

import pytest

from commands.doctor.findings import CheckContext, Finding
from commands.doctor.polling import check
from commands.poll.asked import AskedParcels, Memory
from commands.wiring.process import now_ms
from deploy.stack.ports import free_port
from schemas.instants import HOUR_MS, MINUTE_MS
from schemas.settings.model import read_settings
from tests.support.polled_carrier import CUSTOMER, KEY, Clock, PolledCarrier

ACCOUNT = "ORDERTIDE_POLL_CARRIERS_KUAIDI100_MAIN"


def examined(folder: Path, url: str = "", **options: str) -> list[Finding]:
    given = {"SECRET": KEY, "CUSTOMER": CUSTOMER, "URL": url, "RATE": "0.01"} | options
    variables = {f"{ACCOUNT}_{name}": value for name, value in given.items() if value and url}
    variables["ORDERTIDE_POLL_FOLDER"] = str(folder)
    return [*check(CheckContext(read_settings(None, variables), timeout_s=20.0))]


def remembered(folder: Path, parcels: int, ago_ms: int) -> None:
    now = now_ms()
    with closing(AskedParcels(folder / "asked.sqlite", now)) as asked:
        numbers = [
            (f"380542000{number:04}", Memory(now - ago_ms, b"")) for number in range(parcels)
        ]
        asked.remember("kuaidi100/main", numbers)


def test_without_an_account_no_carrier_is_polled(tmp_path: Path) -> None:
    (found,) = examined(tmp_path)
    assert (found.level, found.found) == ("ok", "none: no carrier is polled")


def test_an_account_without_its_secret_is_a_problem(tmp_path: Path) -> None:
    (found,) = examined(tmp_path, "http://127.0.0.1:1", SECRET="")
    assert found.level == "problem"
    assert "secret is missing" in found.found


def test_a_carrier_that_answers_is_asked_for_no_parcel(tmp_path: Path) -> None:
    with PolledCarrier(Clock(now_ms()), {}) as carrier:
        reached, rate = examined(tmp_path, carrier.url)
        assert not carrier.asked
    assert (reached.level, rate.level) == ("ok", "ok")
    assert "answers" in reached.found
    assert "has not run on this host" in rate.found


def test_a_carrier_that_is_away_is_a_problem(tmp_path: Path) -> None:
    reached, _ = examined(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert (reached.level, reached.subject) == ("problem", "reachable")
    assert "poll.carriers.kuaidi100.main.url" in reached.remedy


@pytest.mark.parametrize(
    ("parcels", "ago_ms", "level", "part"),
    [
        (2, MINUTE_MS, "ok", "2 parcels need 0.00 of 0.01 requests/s"),
        (16, MINUTE_MS, "warning", "16 parcels need 0.01 of 0.01 requests/s"),
        (16, 2 * HOUR_MS, "ok", "0 parcels need"),
        (2, 6 * HOUR_MS, "warning", "last answer 6.0 h ago"),
    ],
)
def test_the_rate_that_is_left_follows_from_the_memory(
    tmp_path: Path, parcels: int, ago_ms: int, level: str, part: str
) -> None:
    remembered(tmp_path, parcels, ago_ms)
    with PolledCarrier(Clock(now_ms()), {}) as carrier:
        _, rate = examined(tmp_path, carrier.url)
    assert rate.level == level
    assert part in rate.found


def test_a_damaged_memory_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "asked.sqlite").write_bytes(b"no database" * 100)
    with PolledCarrier(Clock(now_ms()), {}) as carrier:
        _, rate = examined(tmp_path, carrier.url)
    assert rate.level == "problem"
    assert "move the file away" in rate.remedy
