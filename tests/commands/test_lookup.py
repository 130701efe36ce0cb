"""Exit codes of `ordertide lookup`: a missing order is not a missing answer."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from commands.lookup import NO_ANSWER, NOT_FOUND, command
from dataflows.definition_files import read_lifecycle, read_rules
from deploy.stack.ports import free_port
from schemas.instants import format_instant
from schemas.settings.model import read_settings
from storage_tiering.installed import open_tier
from tests.support.tiers.orders import START, Log, accepted, document

RULE_IDS = [rule.id for rule in read_rules(None, read_lifecycle()).rules]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings with a warm tier that holds an order, and servers that are away."""
    path = tmp_path / "own.toml"
    path.write_text(
        f"""
[tiers]
lookup = "warm"
[hot]
url = "redis://127.0.0.1:{free_port()}/0"
[warm]
folder = "{tmp_path / "warm"}"
[archive]
folder = "{tmp_path / "archive"}"
"""
    )
    tier = open_tier("warm", read_settings(path, {}))
    tier.write_orders(Log().changes(document("SO-1")))
    tier.flush(force=True)
    tier.close()
    return path


def looked_up(order: str, settings: Path, lookup: str = "warm") -> Result:
    environment = {"ORDERTIDE_TIERS_LOOKUP": lookup}
    return CliRunner().invoke(command, [order, "--settings", str(settings)], env=environment)


def test_an_order_that_no_tier_has_is_exit_code_1(settings: Path) -> None:
    assert looked_up("SO-1", settings).exit_code == 0
    missing = looked_up("SO-2", settings)
    assert missing.exit_code == NOT_FOUND == 1
    assert "is in none of the tiers warm; check the id" in missing.output


def test_a_tier_that_gives_no_answer_is_exit_code_3_with_its_address(settings: Path) -> None:
    address = read_settings(settings, {}).hot.url.removeprefix("redis://").removesuffix("/0")
    silent = looked_up("SO-2", settings, "hot,warm")
    assert silent.exit_code == NO_ANSWER == 3
    assert f"no answer from {address} (connection refused)" in silent.output
    assert f"(settings: {settings})" in silent.output
    assert "Error 111" not in silent.output
    assert looked_up("SO-1", settings, "hot,warm").exit_code == 0


def test_tiers_that_were_never_written_give_no_answer(settings: Path) -> None:
    nothing = looked_up("SO-1", settings, "archive")
    assert nothing.exit_code == NO_ANSWER
    assert "nothing was written to archive yet, their folders are missing" in nothing.output


def test_explain_prints_the_state_of_every_rule(settings: Path) -> None:
    paid = {
        "event_id": "1",
        "source": "shop",
        "order_id": "SO-1",
        "status_code": "PAID",
        "timestamp": format_instant(START),
    }
    event = msgspec.structs.replace(accepted("SO-1"), event=msgspec.Raw(msgspec.json.encode(paid)))
    tier = open_tier("warm", read_settings(settings, {}))
    tier.write_events(Log().events(event))
    tier.flush(force=True)
    tier.close()
    arguments = ["SO-1", "--settings", str(settings), "--explain"]
    environment = {"ORDERTIDE_TIERS_LOOKUP": "warm"}
    text = CliRunner().invoke(command, arguments, env=environment)
    assert text.exit_code == 0, text.output
    assert "  rule         " in text.output
    as_json = CliRunner().invoke(command, [*arguments, "--json"], env=environment)
    rules = {each["rule"] for each in json.loads(as_json.output)["rules"]}
    assert rules == set(RULE_IDS)
    assert text.output.count("  rule         ") == len(json.loads(as_json.output)["rules"])
