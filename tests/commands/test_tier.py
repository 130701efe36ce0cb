"""`ordertide tier` as a person uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.main import cli
from commands.wiring.tiers import BUILT_IN, written_tiers
from schemas.errors import SettingsError
from schemas.instants import format_instant
from schemas.settings.model import read_settings
from storage_tiering.installed import open_tier
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.opening import open_warm
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support import stack
from tests.support.tiers.elastic_places import clear
from tests.support.tiers.orders import START, Log, accepted, document

SECRET = "hunter2"


@pytest.fixture
def place() -> Iterator[tuple[str, str]]:
    """(URL, prefix) with nothing installed."""
    url, prefix = stack.address("elasticsearch")["url"], stack.namespace()
    yield url, prefix
    clear(url, prefix)


@pytest.fixture
def path(place: tuple[str, str], tmp_path: Path) -> Path:
    url, prefix = place
    return settings_file(tmp_path, f'url = "{url}"\nprefix = "{prefix}"')


def settings_file(folder: Path, warm: str) -> Path:
    path = folder / "ordertide.toml"
    path.write_text(f"[warm]\n{warm}\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["tier", *map(str, arguments)])


@pytest.mark.stack
def test_init_says_what_it_did_and_the_second_time_nothing(
    path: Path, place: tuple[str, str]
) -> None:
    first, second = run("init", "--settings", path), run("init", "--settings", path)
    assert first.exit_code == second.exit_code == 0
    assert f"made      index template {place[1]}-orders\n" in first.output
    assert {line.partition("  ")[0] for line in first.output.splitlines()} == {"made"}
    assert all(line.startswith("as it was") for line in second.output.splitlines())


@pytest.mark.stack
def test_status_shows_periods_and_how_far_they_were_written(
    path: Path, place: tuple[str, str]
) -> None:
    before = run("status", "--settings", path)
    assert before.exit_code == 1
    assert "run 'ordertide tier init'" in before.output
    run("init", "--settings", path)
    tier = open_warm(read_settings(path, {}))
    assert isinstance(tier, ElasticTier)
    tier.write_orders(Log().changes(document()))
    tier.write_events(Log().events(accepted(), accepted(event_id="2")))
    tier.expire(START)
    assert tier.flush(force=True)
    tier.close()
    after = run("status", "--settings", path)
    assert after.exit_code == 0
    assert "written    through 2017-10-02 10:56" in after.output
    lines = {line.split()[0]: line.split()[1] for line in after.output.splitlines()[2:]}
    assert lines == {f"{place[1]}-events-2017-10": "2", f"{place[1]}-orders-2017-10": "1"}


def test_without_a_url_the_warm_tier_is_sqlite_and_needs_no_init(tmp_path: Path) -> None:
    path = settings_file(tmp_path, f'folder = "{tmp_path / "warm"}"')
    tier = open_warm(read_settings(path, {}))
    assert isinstance(tier, SqliteTier)
    tier.close()
    refused = run("init", "--settings", path)
    assert isinstance(refused.exception, SettingsError)
    assert "the warm tier is SQLite" in str(refused.exception)


def test_elasticsearch_is_read_from_although_no_folder_was_made(tmp_path: Path) -> None:
    path = settings_file(tmp_path, f'url = "http://host:9200"\nfolder = "{tmp_path / "none"}"')
    tiers = written_tiers(read_settings(path, {"ORDERTIDE_WARM_API_KEY": SECRET}), BUILT_IN)
    assert isinstance(tiers["warm"], ElasticTier)
    for tier in tiers.values():
        tier.close()


def test_secrets_come_from_the_environment_only_and_are_not_shown(tmp_path: Path) -> None:
    for key in ("api_key", "password"):
        with pytest.raises(SettingsError, match=f"ORDERTIDE_WARM_{key.upper()}"):
            read_settings(settings_file(tmp_path, f'{key} = "{SECRET}"'), {})
    settings = read_settings(None, {"ORDERTIDE_WARM_PASSWORD": SECRET})
    assert settings.warm.password == SECRET
    assert SECRET not in repr(settings)


@pytest.mark.stack
def test_indices_of_before_are_named_and_filled_again(
    path: Path, place: tuple[str, str], tmp_path: Path
) -> None:
    path.write_text(path.read_text() + f'[archive]\nfolder = "{tmp_path / "archive"}"\n')
    settings = read_settings(path, {})
    index = f"{place[1]}-orders-2017-10"
    run("init", "--settings", path)
    with connect(place[0]) as client:  # as an earlier release has made it
        fields = {"milestones": {"type": "flattened"}}
        former = {"_meta": {"ordertide": {"version": 6}}, "properties": fields}
        client.indices.create(index=index, mappings=former)
    order = Log().changes(document(milestones={"SHIPPED": format_instant(START)}))
    warm = open_warm(settings)
    warm.write_orders(order)
    assert warm.flush(force=True)
    told = run("init", "--settings", path)
    assert f"kept      index {index}: " in told.output
    advice = "'ordertide tier rebuild warm --outdated' makes them again"
    for output in (told.output, run("status", "--settings", path).output):
        assert f"documents of {index} were written before" in output
        assert advice in output
    assert warm.find("default", "e481f51c") is not None, "look-ups answer meanwhile"
    refused = run("rebuild", "warm", "--outdated", "--settings", path)
    assert f"{index}: their fields have other types now" in str(refused.exception)
    archive = open_tier("archive", settings)
    archive.write_orders(order)
    archive.flush(force=True)
    archive.close()
    filled = run("rebuild", "warm", "--outdated", "--settings", path)
    assert filled.exit_code == 0, filled.output
    with connect(place[0]) as client:
        query = {"range": {"milestones.SHIPPED": {"gte": "2017-10-01"}}}
        assert client.count(index=index, query=query)["count"] == 1
    assert advice not in run("status", "--settings", path).output
    found = warm.find("default", "e481f51c")
    assert found is not None
    assert found.document.version == 1
    warm.close()


def test_only_elasticsearch_has_outdated_indices(tmp_path: Path) -> None:
    path = settings_file(tmp_path, f'folder = "{tmp_path / "warm"}"')
    ended = run("rebuild", "warm", "--outdated", "--settings", path)
    assert "--outdated is for the warm tier in Elasticsearch" in str(ended.exception)
