"""Tiers are plug-ins: found by their entry points, opened by the settings, asked by look-ups."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.list_plugins import command as list_command
from commands.lookup import command as lookup_command
from schemas.errors import SettingsError
from schemas.plugins import TIERS
from schemas.settings.model import Settings, TiersSettings, read_settings
from storage_tiering.installed import load_tier, lookup_tiers, open_tier
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.plugin_site import install, point
from tests.support.tiers.orders import Log, document

PLUGIN = """
from pathlib import Path
from storage_tiering.warm.sqlite.tier import SqliteTier

class Shelf(SqliteTier):
    name = "shelf"

def open_shelf(settings):
    return Shelf(Path(settings.tiers.options["shelf.folder"]))

def open_other(settings):
    return SqliteTier(Path(settings.tiers.options["shelf.folder"]))

def open_nothing(settings):
    return object()

VALUE = 3
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, with the module of a plug-in."""
    (tmp_path / "shelves.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def shelf_settings(folder: Path) -> Settings:
    return Settings(tiers=TiersSettings("shelf", {"shelf.folder": str(folder / "shelf")}))


def test_the_built_in_tiers_are_plug_ins() -> None:
    assert {"hot", "warm", "archive"} <= set(TIERS.installed())


def test_a_look_up_asks_the_tier_of_a_plug_in(site: Path) -> None:
    install(site, "shelf-post", TIERS, "shelf", "shelves:open_shelf")
    path = site / "ordertide.toml"
    path.write_text(
        f'[tiers]\nlookup = "shelf"\n[tiers.options]\nshelf.folder = "{site / "shelf"}"\n'
    )
    tier = open_tier("shelf", read_settings(path))
    tier.write_orders(Log().changes(document("SO-1", status="LOST_IN_THE_ATTIC")))
    tier.flush(force=True)
    tier.close()
    result = CliRunner().invoke(lookup_command, ["SO-1", "--settings", str(path)])
    assert result.exit_code == 0, result.output
    assert "shelf" in result.output
    assert "LOST_IN_THE_ATTIC" in result.output


def test_the_list_shows_where_a_tier_comes_from(site: Path) -> None:
    install(site, "shelf-post", TIERS, "shelf", "shelves:open_shelf")
    result = CliRunner().invoke(list_command, [])
    assert "shelf                shelves:open_shelf of shelf-post 1.0" in result.output


def test_the_list_names_a_broken_tier_with_its_reason_and_goes_on(site: Path) -> None:
    install(site, "shelf-post", TIERS, "shelf", "shelves:no_such_thing")
    result = CliRunner().invoke(list_command, [])
    assert "tier shelf: shelves:no_such_thing of shelf-post 1.0: AttributeError" in result.output
    assert "storage_tiering.hot.opening:open_hot" in result.output


def test_a_look_up_order_with_a_tier_that_is_not_installed_is_refused() -> None:
    settings = Settings(tiers=TiersSettings("hot, attic"))
    with pytest.raises(
        SettingsError, match=r"tiers.lookup: tier attic: no such plug-in; installed: .*warm"
    ):
        lookup_tiers(settings)


@pytest.mark.parametrize(
    ("lookup", "fault"),
    [("hot,,warm", "'' is no name"), ("hot;warm", "'hot;warm' is no name"), ("hot,hot", "twice")],
)
def test_a_malformed_look_up_order_is_refused(tmp_path: Path, lookup: str, fault: str) -> None:
    path = tmp_path / "ordertide.toml"
    path.write_text(f'[tiers]\nlookup = "{lookup}"\n')
    with pytest.raises(SettingsError, match=f"tiers.lookup: .*{fault}"):
        read_settings(path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:open_shelf", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("shelves:open_attic", "AttributeError: .*open_attic"),
        ("shelves:VALUE", "is no function that takes Settings and returns a tier"),
    ],
)
@pytest.mark.usefixtures("site")
def test_a_broken_tier_is_named_with_its_reason(value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"tier shelf: {value}: {reason}.*; repair or"):
        load_tier(point(TIERS, "shelf", value))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            "shelves:open_nothing",
            "its tier doesn't implement close, counts, .*write_orders",
        ),
        ("shelves:open_other", "is registered as shelf but its tier is called warm"),
    ],
)
def test_an_object_that_is_no_such_tier_is_refused(site: Path, value: str, reason: str) -> None:
    install(site, "shelf-post", TIERS, "shelf", value)
    with pytest.raises(SettingsError, match=f"tier shelf: {value} of shelf-post 1.0: {reason}"):
        open_tier("shelf", shelf_settings(site))


def test_two_packages_with_the_same_tier_are_refused(site: Path) -> None:
    install(site, "shelf-post", TIERS, "hot", "shelves:open_shelf")
    with pytest.raises(SettingsError, match=r"tier hot: both .* and .*; uninstall one"):
        open_tier("hot", shelf_settings(site))


def test_the_warm_tier_is_sqlite_without_a_url(tmp_path: Path) -> None:
    path = tmp_path / "ordertide.toml"
    path.write_text(f'[warm]\nfolder = "{tmp_path / "warm"}"\n')
    tier = open_tier("warm", read_settings(path))
    assert isinstance(tier, SqliteTier)
    tier.close()
