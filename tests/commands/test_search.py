"""`ordertide search` over a warm tier in a folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.search import command
from deploy.installation import write_settings
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.tiers.orders import START, Log, document

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    tier = SqliteTier(tmp_path / "warm")
    tier.write_orders(
        Log().changes(
            document("SO-1001", lane="overdue", references={"waybill": ["SF 0099 8877"]}),
            document("SO-1002", status="SHIPPED", updated_at=START + 1_000),
        )
    )
    tier.close()
    settings = write_settings(tmp_path / "o.toml", {"warm": {"folder": str(tmp_path / "warm")}})

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(command, ["--settings", str(settings), *arguments])

    return invoke


def test_the_last_four_characters_of_a_waybill_find_its_order(run: Run) -> None:
    ended = run("8877")
    assert ended.exit_code == 0, ended.output
    assert "SO-1001" in ended.output
    assert "SO-1002" not in ended.output


def test_fields_alone_find_as_well_and_json_is_a_document_a_line(run: Run) -> None:
    ended = run("--status", "SHIPPED", "--json")
    assert [json.loads(line)["order_id"] for line in ended.output.splitlines()] == ["SO-1002"]


def test_more_than_the_limit_is_said(run: Run) -> None:
    ended = run("SO-10", "--limit", "1")
    assert "SO-1002" in ended.output
    assert "--limit shows more" in ended.output


def test_nothing_found_is_exit_code_1_with_the_way_out(run: Run) -> None:
    ended = run("877")
    assert ended.exit_code == 1
    assert "a part of a number needs 4 characters" in ended.output


def test_a_number_without_letters_or_digits_is_refused(run: Run) -> None:
    ended = run("--", "---")
    assert "no letter or digit" in str(ended.exception)
