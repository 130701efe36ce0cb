"""`ordertide config`: every fault at once, every value with its origin, no secret shown."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from commands.config import command
from commands.config_show import effective_settings
from schemas.settings.model import KEYS, Settings, read_settings, read_sourced
from schemas.settings.page import settings_page, settings_schema


def written(folder: Path, text: str, name: str = "ordertide.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(command, arguments, env=environment)


def test_a_good_file_is_ok(tmp_path: Path) -> None:
    path = written(tmp_path, "[track]\nworkers = 2\n")
    result = run("check", str(path))
    assert (result.exit_code, result.output) == (0, f"{path}: ok\n")


def test_all_faults_of_keys_and_values_are_listed(tmp_path: Path) -> None:
    path = written(tmp_path, '[hot]\nkeep = "long"\nurls = "x"\n[track]\nclock = "wall"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: ") for line in lines)


def test_hosts_without_a_bucket_are_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, '[track]\nhosts = "a:7001,b:7001"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert result.output == (
        f'{path}: track.hosts needs the state in a bucket: set state.store = "s3"\n'
    )


def test_faults_in_the_files_that_the_settings_name_are_listed_with_them(tmp_path: Path) -> None:
    rules = written(tmp_path, "version = 1\n[[rule]]\nid = 'x'\nstatuses = ['NOWHERE']\n", "r.toml")
    folder = str(tmp_path / "same")
    text = f"""
[track]
rules = "{rules}"
folder = "{folder}"
[warm]
folder = "{rules}"
[archive]
folder = "{folder}"
[telemetry]
level = "loud"
"""
    result = run("check", str(written(tmp_path, text)))
    assert result.exit_code == 2
    for words in (
        "track.rules: ",
        f"warm.folder: {rules} is a file",
        "track.folder and archive.folder are the same folder",
        "telemetry.level: 'loud' is none",
    ):
        assert words in result.output


def test_a_missing_lifecycle_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[track]\nlifecycle = "nowhere.toml"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert "track.lifecycle: nowhere.toml: " in result.output


def test_show_says_where_each_value_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, '[hot]\nkeep = "24h"\n')
    environment = {"ORDERTIDE_HOT_PREFIX": "mine"}
    shown = run("show", "--settings", str(path), environment=environment).output
    origins = {
        line.partition("  #")[0].strip(): line.split("# ")[-1] for line in shown.splitlines()
    }
    assert origins['keep = "24h"'] == "file"
    assert origins['prefix = "mine"'] == "ORDERTIDE_HOT_PREFIX"
    assert origins["workers = 1"] == "default"


def test_show_masks_secrets_and_can_be_read_again(tmp_path: Path) -> None:
    environment = {
        "ORDERTIDE_HOT_URL": "redis://me:geheim@redis:6379/0",
        "ORDERTIDE_BROKER_PROPERTIES_SASL_PASSWORD": "geheim",
        "ORDERTIDE_BROKER_PROPERTIES_SASL_MECHANISM": "PLAIN",
        "ORDERTIDE_TRACK_WORKERS": "3",
    }
    shown = effective_settings(read_sourced(None, environment))
    assert "geheim" not in shown
    assert "redis://me:***@redis:6379/0" in shown
    assert "properties.sasl.password is set and secret" in shown
    again = read_settings(written(tmp_path, shown), {})
    assert again.track.workers == 3
    assert again.broker.properties == {"sasl.mechanism": "PLAIN"}


def test_what_show_prints_of_the_defaults_is_the_defaults(tmp_path: Path) -> None:
    shown = effective_settings(read_sourced(None, {}))
    assert read_settings(written(tmp_path, shown), {}) == Settings()


def test_the_schema_knows_every_key_that_may_stand_in_the_file() -> None:
    schema = settings_schema()
    sections = schema["$defs"]["Settings"]["properties"]
    assert set(sections) == set(KEYS)
    assert json.loads(run("schema").output) == json.loads(msgspec.json.encode(schema))
    hot = schema["$defs"]["HotSettings"]["properties"]
    assert hot["keep"]["pattern"]
    assert hot["keep"]["description"]
    assert "password" not in hot


@pytest.mark.parametrize("section", sorted(KEYS))
def test_the_page_lists_every_key_with_its_variable(section: str) -> None:
    page = settings_page()
    assert f"## [{section}]" in page
    assert all(f"`{key.variable}`" in page for key in KEYS[section].values())


def test_conditions_are_tried_on_generated_orders(tmp_path: Path) -> None:
    text = """
version = 1
[attributes]
parts = {type = "int"}
[[rule]]
id = "shares"
statuses = ["PAID"]
anchor = "condition"
when = "has(order.parts) && 100 / order.parts > 30"
severity = "warning"
"""
    rules = written(tmp_path, text, "r.toml")
    result = run("check", str(written(tmp_path, f'[track]\nrules = "{rules}"\n')))
    assert result.exit_code == 2
    assert f"track.rules: {rules}: rule shares: when: INVALID_ARGUMENT: divide by zero" in (
        result.output
    )
    rules.write_text(text.replace("order.parts)", "order.parts) && order.parts > 0"))
    assert run("check", str(tmp_path / "ordertide.toml")).exit_code == 0


def test_a_calendar_that_has_ended_is_a_fault_unless_history_is_read(tmp_path: Path) -> None:
    rules = written(
        tmp_path,
        """version = 1
[[rule]]
id = "ship"
statuses = ["PAID"]
anchor = "created"
after = "2wd"
calendar = "office"
severity = "warning"
[calendar.office]
years = [2019, 2020]
""",
        "r.toml",
    )
    live = run("check", str(written(tmp_path, f'[track]\nrules = "{rules}"\n')))
    assert live.exit_code == 2
    assert f"track.rules: {rules}:9: calendar.office: its years end with 2020" in live.output
    assert 'rule ship (line 2, after = "2wd")' in live.output
    history = f'[track]\nrules = "{rules}"\nclock = "recorded"\n'
    assert run("check", str(written(tmp_path, history))).exit_code == 0
