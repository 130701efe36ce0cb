"""Channels are plug-ins: found by their entry points, opened by the settings."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.config import command as config_command
from commands.list_plugins import command as list_command
from schemas.errors import SettingsError
from schemas.plugins import CHANNELS
from schemas.settings.model import DeliverySettings
from sinks.channels.alertmanager import AlertmanagerChannel
from sinks.channels.installed import load_channel, open_channel
from sinks.channels.webhook import WebhookChannel
from tests.support.plugin_site import install, point

PLUGIN = """
from ordertide import Channel

class Pager(Channel):
    name = "pager"

    def __init__(self, number): self.number = number
    def post(self, postings): pass
    def close(self): pass

class Mute:
    name = "pager"
    def close(self): pass

def open_pager(settings): return Pager(settings.options["number"])
def open_mute(settings): return Mute()

def open_other(settings):
    pager = Pager("1")
    pager.name = "other"
    return pager

VALUE = 3
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, with the module of a plug-in."""
    (tmp_path / "pagers.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"), [("alertmanager", AlertmanagerChannel), ("webhook", WebhookChannel)]
)
def test_the_built_in_channels_are_plug_ins(name: str, kind: type) -> None:
    channel = open_channel(DeliverySettings(channel=name))
    assert isinstance(channel, kind)
    channel.close()


def test_a_channel_of_a_plug_in_is_opened_with_its_options(site: Path) -> None:
    install(site, "pager-post", CHANNELS, "pager", "pagers:open_pager")
    channel = open_channel(DeliverySettings(channel="pager", options={"number": "117"}))
    assert vars(channel) == {"number": "117"}


def test_the_list_shows_channels_and_where_they_come_from(site: Path) -> None:
    install(site, "pager-post", CHANNELS, "pager", "pagers:open_pager")
    result = CliRunner().invoke(list_command, [])
    assert "pager                pagers:open_pager of pager-post 1.0" in result.output
    assert "webhook              sinks.channels.webhook:open_channel" in result.output


def test_a_settings_file_with_a_channel_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ordertide.toml"
    path.write_text('[delivery]\nchannel = "pigeon"\n')
    result = CliRunner().invoke(config_command, ["check", str(path)])
    assert result.exit_code != 0
    assert "delivery.channel: channel pigeon: no such plug-in; installed: alert" in result.output


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:open", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("pagers:VALUE", "is no function that takes settings and returns a channel"),
    ],
)
@pytest.mark.usefixtures("site")
def test_a_broken_channel_is_named_with_its_reason(value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"channel pager: {value}: {reason}.*; repair or"):
        load_channel(point(CHANNELS, "pager", value))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("pagers:open_mute", "its channel doesn't implement post"),
        ("pagers:open_other", "is registered as pager but its channel is called other"),
    ],
)
def test_an_object_that_is_no_such_channel_is_refused(site: Path, value: str, reason: str) -> None:
    install(site, "pager-post", CHANNELS, "pager", value)
    with pytest.raises(SettingsError, match=f"channel pager: {value} of pager-post 1.0: {reason}"):
        open_channel(DeliverySettings(channel="pager"))
