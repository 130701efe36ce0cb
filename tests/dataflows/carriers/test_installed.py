"""Plug-ins are found by their entry points; a broken one is named with its reason."""

from pathlib import Path

import pytest

from dataflows.carriers.installed import load_carrier, open_carrier
from dataflows.carriers.kuaidi100 import Kuaidi100
from schemas.errors import SettingsError
from schemas.plugins import CARRIERS
from tests.support.plugin_site import install, point

PLUGIN = """
from ordertide import Acknowledgement, Carrier, CarrierConfig

class Config(CarrierConfig, frozen=True, kw_only=True):
    zone: str = "+00:00"

class Pigeon(Carrier):
    name = "pigeon"
    Config = Config

    def __init__(self, config): self.config = config
    def verify(self, headers, body): pass
    def events(self, body): return []
    def acknowledge(self, error): return Acknowledgement(200, {}, b"coo")

class Half(Carrier):
    name = "pigeon"
    Config = Config

    def verify(self, headers, body): pass

class Other(Pigeon):
    name = "other"

class Bare(Pigeon):
    Config = dict

def function(): pass
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, with the module of a plug-in."""
    (tmp_path / "pigeon_post.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_built_in_carriers_are_installed() -> None:
    assert {"kuaidi100", "sf"} <= set(CARRIERS.installed())


def test_a_carrier_is_opened_with_its_settings() -> None:
    assert isinstance(open_carrier("kuaidi100", {"salt": "salt"}), Kuaidi100)


def test_a_plug_in_of_another_package_is_found(site: Path) -> None:
    install(site, "pigeon-post", CARRIERS, "pigeon", "pigeon_post:Pigeon")
    carrier = open_carrier("pigeon", {"statuses": {"coo": "DELIVERED"}})
    assert carrier.acknowledge(None).body == b"coo"


def test_a_carrier_that_is_not_installed_is_named_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"carrier pony: no such plug-in; installed: .*sf"):
        open_carrier("pony", {})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "carrier kuaidi100: salt is missing; write a text"),
        ({"salt": ""}, "kuaidi100: salt: it is empty; write a text"),
        ({"salt": "salt", "slat": "?"}, "slat: unknown key; did you mean salt[?]"),
        ({"salt": "salt", "zone": "+8"}, "zone: no zone '[+]8'; write an offset like"),
        ({"salt": "salt", "zone": "+99:00"}, "zone: no zone '[+]99:00'"),
        ({"salt": "salt", "zone": "Asia/Atlantis"}, "zone: no zone 'Asia/Atlantis'"),
        ({"salt": "salt", "zone": "../../etc/passwd"}, "zone: no zone"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        open_carrier("kuaidi100", settings)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:Pigeon", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("pigeon_post:Stork", "AttributeError: .*Stork"),
        ("pigeon_post:function", "is no subclass of ordertide.Carrier"),
        ("pigeon_post:Half", "doesn't implement __init__, acknowledge, events"),
        ("pigeon_post:Other", "is registered as pigeon but its name isn't that"),
        ("pigeon_post:Bare", "has no Config that extends ordertide.CarrierConfig"),
    ],
)
@pytest.mark.usefixtures("site")
def test_a_broken_plug_in_is_named_with_its_reason(value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"carrier pigeon: {value}: {reason}.*; repair or"):
        load_carrier(point(CARRIERS, "pigeon", value))


def test_a_broken_plug_in_does_not_stop_the_others(site: Path) -> None:
    install(site, "pigeon-post", CARRIERS, "pigeon", "no_such_module:Pigeon")
    assert isinstance(open_carrier("kuaidi100", {"salt": "salt"}), Kuaidi100)
    with pytest.raises(SettingsError, match=r"no_such_module:Pigeon of pigeon-post 1.0: "):
        open_carrier("pigeon", {})


def test_two_packages_with_the_same_carrier_are_refused(site: Path) -> None:
    install(site, "pigeon-post", CARRIERS, "pigeon", "pigeon_post:Pigeon")
    install(site, "pigeon-fork", CARRIERS, "pigeon", "pigeon_post:Other")
    with pytest.raises(SettingsError, match=r"carrier pigeon: both .* and .*; uninstall one"):
        CARRIERS.installed()
