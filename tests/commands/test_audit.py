"""`ordertide audit` over a warm tier and an archive in folders."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.audit import command
from deploy.installation import write_settings
from deploy.stack.ports import free_port
from schemas.instants import DAY_MS
from schemas.outcomes import Outcome
from schemas.settings.model import read_settings
from storage_tiering.installed import open_tier
from storage_tiering.tier import Outcomes
from tests.contracts.test_outcomes import COMMAND, action, entry, records
from tests.support.tiers.orders import START

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The archive has all entries, the warm tier the later ones."""
    redis = f"redis://127.0.0.1:{free_port()}/0"
    folders = {name: {"folder": str(tmp_path / name)} for name in ("warm", "archive")}
    path = write_settings(tmp_path / "o.toml", {**folders, "hot": {"url": redis}})
    outcomes: list[Outcome] = [
        entry("1", what="alert.opened", source="rule:late_delivery"),
        entry("2", START + DAY_MS, **COMMAND),
        entry("3", START + DAY_MS, "B", operator="u-6", ip="2001:db8::1"),
        action("4", START + DAY_MS),
    ]
    for name, some in (("archive", outcomes), ("warm", outcomes[1:])):
        tier = open_tier(name, read_settings(path, {}))
        assert isinstance(tier, Outcomes)
        tier.write_outcomes(records(*some))
        assert tier.flush(force=True)
        tier.close()

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(command, ["--settings", str(path), *arguments])

    return invoke


def test_past_alerts_and_commands_of_an_order_come_from_both_tiers_once(run: Run) -> None:
    ended = run("A")
    assert ended.exit_code == 0, ended.output
    rows = [line.split() for line in ended.stdout.splitlines()]
    assert [row[3] for row in rows[1:]] == ["command.accepted", "alert.opened"]
    assert "u-5, 192.0.2.7, erp" in ended.stdout


def test_commands_are_found_by_operator_address_and_time(run: Run) -> None:
    def ids(*arguments: str) -> list[str]:
        lines = run("--json", *arguments).stdout.splitlines()
        return [json.loads(line)["audit_id"] for line in lines]

    assert ids("--operator", "u-5") == ids("--ip", "192.0.2.7") == ["2"]
    assert ids("--since", "2017-10-03") == ["3", "2"]
    assert ids("--until", "2017-10-03T00:00:00Z") == ["1"]
    assert ids("--limit", "1") == ["3"]


def test_actions_are_shown_as_their_receivers_get_them(run: Run) -> None:
    ended = run("A", "--actions", "--json")
    assert [json.loads(line)["action_id"] for line in ended.stdout.splitlines()] == ["4"]
    assert "notify by late_delivery" in run("--actions").stdout


def test_no_entry_is_exit_code_1_and_a_day_that_is_none_is_named(run: Run) -> None:
    missing = run("A", "--operator", "nobody")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "no audit entry matches" in missing.stderr
    wrong = run("--since", "yesterday")
    assert "--since 'yesterday'" in str(wrong.exception)
