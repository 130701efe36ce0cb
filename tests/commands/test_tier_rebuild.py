"""`ordertide tier status` and `rebuild` on tiers that have lost writes, and the doctor's report."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.doctor import archive as doctor_archive
from commands.doctor import warm as doctor_warm
from commands.doctor.findings import CheckContext, Finding
from commands.main import cli
from schemas.errors import SettingsError
from schemas.settings.model import Settings, read_settings
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.opening import open_archive
from storage_tiering.hot.embedded import EmbeddedRedis
from storage_tiering.hot.opening import open_hot
from storage_tiering.tier import Staleness, Tier, WritesLost
from storage_tiering.warm.opening import open_warm
from tests.support.tiers.archive_files import flip
from tests.support.tiers.orders import START, Log, accepted, document

LASTING = Staleness(
    reason="", lasting="retired orders are missing: run 'ordertide tier rebuild warm'"
)
NAMES = [f"order-{number}" for number in range(5)]


class Installation:
    """A folder with a warm tier and an archive that hold the same orders."""

    def __init__(self, folder: Path, hot_url: str) -> None:
        self.folder = folder
        self.path = folder / "ordertide.toml"
        self.path.write_text(
            f'[hot]\nurl = "{hot_url}"\n[warm]\nfolder = "{folder / "warm"}"\n'
            f'[archive]\nfolder = "{folder / "archive"}"\n'
        )
        self.settings: Settings = read_settings(self.path, {})
        for tier in (open_warm(self.settings), open_archive(self.settings)):
            self.write(tier)
            tier.close()

    def write(self, tier: Tier) -> None:
        log = Log()
        tier.write_orders(log.changes(*(document(name, 3) for name in NAMES)))
        events = [accepted(name, str(n), START + n) for name in NAMES for n in range(3)]
        tier.write_events(log.events(*events))
        tier.expire(START)
        assert tier.flush(force=True)
        tier.note({(ORDERS_CHANGES, 0): 5, (ORDERS_EVENTS, 0): 15})

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--settings", str(self.path)])


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: EmbeddedRedis) -> Installation:
    return Installation(tmp_path, server.url)


def finding(context: CheckContext, part: str) -> Finding | None:
    check = {"warm": doctor_warm.check, "archive": doctor_archive.check}[part]
    return next((each for each in check(context) if each.subject == "writes"), None)


def test_status_and_doctor_say_nothing_of_tiers_that_hold_what_was_written(
    place: Installation,
) -> None:
    result = place.run("tier", "status", "warm", "archive")
    assert result.exit_code == 0
    assert result.output.count("all that was written to it") == 2
    context = CheckContext(place.settings, 5.0)
    assert finding(context, "warm") is finding(context, "archive") is None


def test_status_and_doctor_name_a_stale_tier_and_what_to_do(place: Installation) -> None:
    tier = open_warm(place.settings)
    tier.set_staleness(LASTING)
    tier.close()
    lost = min((place.folder / "archive" / ORDERS_EVENTS).glob("*/*.parquet"))
    lost.unlink()
    result = place.run("tier", "status", "warm", "archive")
    assert result.exit_code == 1
    assert f"stale      warm: {LASTING.lasting}" in result.output
    assert lost.stem in result.output
    context = CheckContext(place.settings, 5.0)
    warm, archive = finding(context, "warm"), finding(context, "archive")
    assert warm is not None
    assert (warm.level, warm.remedy) == ("warning", LASTING.lasting)
    assert archive is not None
    assert lost.stem in archive.found
    assert archive.remedy == "run 'ordertide archive verify --repair'"


def test_the_warm_tier_is_rebuilt_from_the_archive(place: Installation) -> None:
    shutil.rmtree(place.folder / "warm")
    tier = open_warm(place.settings)
    tier.set_staleness(LASTING)
    tier.close()
    result = place.run("tier", "rebuild", "warm")
    assert result.exit_code == 0, result.output
    assert "5 changes and 15 events" in result.output
    assert "it can be vouched for" in result.output
    tier = open_warm(place.settings)
    for name in NAMES:
        found = tier.find("default", name)
        assert found is not None
        assert (found.document, found.stale) == (document(name, 3), None)
        assert found.timeline == [accepted(name, str(n), START + n) for n in range(3)]
    tier.close()
    assert place.run("tier", "rebuild", "warm").exit_code == 0, "done again it changes nothing"


def test_a_damaged_archive_ends_a_rebuild_and_the_staleness_stays(place: Installation) -> None:
    tier = open_warm(place.settings)
    tier.set_staleness(LASTING)
    path = min((place.folder / "archive" / ORDERS_CHANGES).glob("*/*.parquet"))
    flip(path)
    result = place.run("tier", "rebuild", "warm")
    assert path.stem in str(result.exception)
    assert tier.staleness() == LASTING
    tier.close()


def test_without_an_archive_a_rebuild_says_what_is_left(place: Installation) -> None:
    shutil.rmtree(place.folder / "archive")
    result = place.run("tier", "rebuild", "warm")
    assert isinstance(result.exception, SettingsError)
    assert "--from-topics writes what they have" in str(result.exception)


@pytest.mark.parametrize("arguments", [("hot",), ("warm", "--from-topics")])
def test_a_running_writer_notices_that_a_rebuild_was_asked_for(
    place: Installation, arguments: tuple[str, ...]
) -> None:
    opener = open_hot if arguments[0] == "hot" else open_warm
    tier = opener(place.settings)
    place.write(tier)
    result = place.run("tier", "rebuild", *arguments)
    assert result.exit_code == 0, result.output
    with pytest.raises(WritesLost):
        tier.note({(ORDERS_CHANGES, 0): 6})
    staleness = tier.staleness()
    assert staleness is not None
    assert "a rebuild was requested" in str(staleness)
    tier.close()
