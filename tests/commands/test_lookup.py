"""Exit codes of `ordertide lookup`: a missing order is not a missing answer."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.lookup import NO_ANSWER, NOT_FOUND, command
from deploy.stack.ports import free_port
from schemas.settings.model import read_settings
from storage_tiering.installed import open_tier
from tests.support.tiers.orders import Log, document


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
