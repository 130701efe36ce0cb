"""Settings file of a command: named, or found; an error of a server says which one it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.main import cli
from deploy.installation import ROOT
from deploy.stack.ports import free_port
from schemas.settings.model import Settings

TIMEOUT_S = 60


def shown_group(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """`track.group` of the settings that a command uses."""
    result = CliRunner().invoke(cli, ["config", "show", *arguments], env=environment)
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if line.startswith("group ="))
    return line.split('"')[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORDERTIDE_SETTINGS", raising=False)
    for name in ("ordertide", "variable", "option"):
        Path(f"{name}.toml").write_text(f'[track]\ngroup = "{name}"\n')
    return tmp_path


def test_the_option_comes_before_the_variable_and_that_before_the_file_found_here() -> None:
    variable = {"ORDERTIDE_SETTINGS": "variable.toml"}
    assert shown_group("--settings", "option.toml", environment=variable) == "option"
    assert shown_group(environment=variable) == "variable"
    assert shown_group() == "ordertide"
    Path("ordertide.toml").unlink()
    assert shown_group() == Settings().track.group
    assert shown_group(environment={"ORDERTIDE_TRACK_GROUP": "mine"}) == "mine"


def test_config_check_takes_the_file_that_the_other_commands_use() -> None:
    def checked(*arguments: str) -> str:
        return CliRunner().invoke(cli, ["config", "check", *arguments]).output

    assert checked() == "ordertide.toml: ok\n"
    assert checked("option.toml") == checked("--settings", "option.toml") == "option.toml: ok\n"
    Path("ordertide.toml").unlink()
    assert checked().startswith("the defaults are ok: no settings file; name one with --settings")


def test_a_missing_file_that_the_variable_names_is_traced_to_it() -> None:
    result = CliRunner().invoke(cli, ["list"], env={"ORDERTIDE_SETTINGS": "nowhere.toml"})
    assert "nowhere.toml: no such file; correct ORDERTIDE_SETTINGS" in str(result.exception)


@pytest.mark.parametrize(
    ("name", "environment", "used"),
    [
        ("option.toml", {}, "settings: option.toml"),
        (None, {"ORDERTIDE_SETTINGS": "variable.toml"}, "variable.toml (ORDERTIDE_SETTINGS)"),
        (None, {}, "settings: ordertide.toml"),
    ],
)
def test_a_command_that_can_not_connect_names_its_settings(
    name: str | None, environment: dict[str, str], used: str, here: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    option = ["--settings", name] if name else []
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "write", "hot", *option],
        env={**os.environ, **environment, "ORDERTIDE_BROKER_BOOTSTRAP": address},
        cwd=here,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert f"broker {address}: no answer" in last
    assert used in last
