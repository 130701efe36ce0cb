"""The doctor on actions: faults of the table, dead actions, and actions that nobody takes."""

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from commands.doctor.actions import check
from commands.doctor.findings import CheckContext, Finding
from commands.wiring.process import now_ms
from schemas.instants import HOUR_MS
from schemas.settings.model import read_settings
from sinks.actions.outbox import Arrival, Outbox, Result
from sinks.subscriptions.deliveries import Attempted, Deliveries, NewDelivery
from tests.support.actions import action

TABLE = """version = 1
[receivers.desk]
channel = "log"
[kinds.confirm_order]
receiver = "desk"
"""


def examined(folder: Path, table: str = TABLE) -> dict[str, Finding]:
    (folder / "actions.toml").write_text(table, "utf-8")
    variables = {
        "ORDERTIDE_ACT_FOLDER": str(folder),
        "ORDERTIDE_ACT_ACTIONS": str(folder / "actions.toml"),
        "ORDERTIDE_PRIVACY_KEYS": str(folder / "keys.json"),
    }
    context = CheckContext(read_settings(None, variables), timeout_s=20.0)
    return {finding.subject: finding for finding in check(context)}


def filled(folder: Path, due_at: int, *, is_dead: bool) -> None:
    wanted = action()
    with closing(Outbox(folder / "outbox.sqlite")) as outbox, outbox.transaction():
        arrival = Arrival(wanted.action_id, "desk", 2**60, due_at, msgspec.json.encode(wanted))
        outbox.insert([arrival], due_at, due_at)
        if is_dead:
            taken = outbox.take("desk", due_at, 1)
            outbox.settle([Result(each, "dead", 3, "refused", 0, due_at) for each in taken])


def test_a_table_that_is_well_and_no_outbox(tmp_path: Path) -> None:
    found = examined(tmp_path)
    assert {each.level for each in found.values()} == {"ok"}
    assert "1 receiver for 1 kind" in found["table"].found
    assert "has not run on this host" in found["outbox"].found
    assert not (tmp_path / "outbox.sqlite").exists()


@pytest.mark.parametrize(
    ("table", "subject", "fault"),
    [
        (
            TABLE.replace('"log"', '"lok"'),
            "table",
            ":3: receivers.desk.channel: action channel lok",
        ),
        (f'{TABLE}template = "shiped"\n', "table", ":4: kinds.confirm_order.template: 'shiped' is"),
        (
            TABLE.replace('"log"', '"webhook"\noptions = {url = "https://10.0.0.7"}'),
            "receivers",
            ":2: receivers.desk: secret is missing",
        ),
    ],
)
def test_a_faulty_table_is_a_problem_with_its_line(
    tmp_path: Path, table: str, subject: str, fault: str
) -> None:
    found = examined(tmp_path, table)[subject]
    assert found.level == "problem"
    assert fault in found.found
    assert found.remedy


def test_messages_need_the_key_file(tmp_path: Path) -> None:
    found = examined(tmp_path, f'{TABLE}template = "shipped"\n')["keys"]
    assert (found.level, "wait for it" in found.found) == ("warning", True)
    (tmp_path / "keys.json").touch()
    assert "keys" not in examined(tmp_path, f'{TABLE}template = "shipped"\n')


def test_dead_actions_are_a_warning(tmp_path: Path) -> None:
    filled(tmp_path, now_ms(), is_dead=True)
    found = examined(tmp_path)
    assert (found["dead actions"].level, found["dead actions"].found) == ("warning", "1 at desk")
    assert "outbox" not in found


def test_actions_that_nobody_takes_are_a_warning(tmp_path: Path) -> None:
    filled(tmp_path, now_ms() - HOUR_MS, is_dead=False)
    found = examined(tmp_path)["waiting"]
    assert found.level == "warning"
    assert found.found.startswith("1 action, due since 1.0 h")


def test_an_outbox_in_which_all_is_well_is_named(tmp_path: Path) -> None:
    filled(tmp_path, now_ms(), is_dead=False)
    assert "nothing dead, nothing overdue" in examined(tmp_path)["outbox"].found


def test_a_file_that_is_no_outbox_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite").write_bytes(b"x" * 4_096)
    found = examined(tmp_path)["outbox"]
    assert (found.level, "not a database" in found.found) == ("problem", True)


def test_dead_deliveries_of_webhooks_are_a_warning(tmp_path: Path) -> None:
    assert "webhooks" not in examined(tmp_path), "no file, nothing to say"
    with closing(Deliveries(tmp_path / "deliveries.sqlite")) as deliveries:
        assert examined(tmp_path)["webhooks"].level == "ok"
        with deliveries.transaction():
            event = deliveries.add_event(b"{}")
            deliveries.add([NewDelivery("d-1", "wh_1", "SO-1", event, "order.changed", 1)], 1)
            (taken,) = deliveries.take("wh_1", 1, 1)
            deliveries.settle([Attempted(taken, "dead", 1, 1, 410, ended_at=1)], 1)
    found = examined(tmp_path)["webhooks"]
    assert (found.level, found.found) == ("warning", "1 dead deliveries of wh_1")
