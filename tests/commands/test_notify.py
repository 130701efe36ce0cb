"""`ordertide notify preview`: a message as it would be sent, and the fields it may use."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.notify import command
from commands.wiring.messages import links_of, messages_of
from gateway.access.folder import open_folder
from gateway.access.shares import Shares
from schemas.instants import DAY_MS
from schemas.settings.model import read_settings
from sinks.actions.messages.fields import Fields
from sinks.actions.table import parse_actions
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.actions import BEGIN_AT, action
from tests.support.tiers.orders import Log, document

TABLE = """version = 1
templates = "templates"
[receivers.customers]
channel = "log"
[kinds.notify_thanks]
receiver = "customers"
template = "thanks"
[kinds.confirm_order]
receiver = "customers"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "actions.toml").write_text(TABLE, "utf-8")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "thanks.en.txt").write_text("Subject: Thanks\n\n{{ shop }}\n")
    path = tmp_path / "ordertide.toml"
    path.write_text(
        f'[act]\nactions = "{tmp_path / "actions.toml"}"\n'
        f'[serve]\nfolder = "{tmp_path / "serve"}"\npublic_url = "https://shop.example.com"\n'
        f'title = "The Shop"\n[warm]\nfolder = "{tmp_path / "warm"}"\n[tiers]\nlookup = "warm"\n'
    )
    return path


def preview(*arguments: str, settings: Path) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["preview", *arguments, "--settings", str(settings)])
    return result.exit_code, result.output or str(result.exception)


def test_a_shipped_template_is_shown_for_a_sample_order_with_all_fields(settings: Path) -> None:
    code, text = preview("delayed", settings=settings)
    assert code == 0, text
    assert text.startswith("Subject: The Shop: your order SO-2026-1 is delayed\n\nWe promised")
    assert "https://shop.example.com/t/SAMPLE" in text
    assert not Path(read_settings(settings).serve.folder).exists(), "nothing is made for a sample"
    for field in Fields._fields:
        assert f"\n{field} " in text, field


def test_a_language_is_chosen(settings: Path) -> None:
    code, text = preview("shipped", "--language", "zh", settings=settings)
    assert code == 0
    assert "已发货" in text
    code, text = preview("notify_thanks", "--language", "zh", settings=settings)
    assert (code, text) == (1, "thanks: there is no template in zh; write one")


def test_a_kind_has_its_own_template_as_json(settings: Path) -> None:
    code, text = preview("notify_thanks", "--json", settings=settings)
    assert code == 0
    shown = json.loads(text)
    assert shown["message"]["text"] == "The Shop\n"
    assert [*shown["fields"]] == [*Fields._fields]


def test_an_order_of_the_tiers_is_taken(settings: Path, tmp_path: Path) -> None:
    tier = SqliteTier(tmp_path / "warm", keep_ms=10_000 * DAY_MS)
    tier.write_orders(Log().changes(document("SO-7", attributes={"language": "zh"})))
    tier.flush(force=True)
    tier.close()
    code, text = preview("confirmed", "--order", "SO-7", settings=settings)
    assert code == 0, text
    assert "我们已收到您的订单 SO-7" in text
    assert "https://shop.example.com/t/" in text
    assert "SAMPLE" not in text
    code, text = preview("confirmed", "--order", "SO-8", settings=settings)
    assert code == 1
    assert "'SO-8'" in text


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("shiped", "shiped: no such kind or template; did you mean shipped?"),
        ("confirm_order", "kinds.confirm_order.template is missing, so it is no message"),
    ],
)
def test_what_is_no_message_is_named(settings: Path, kind: str, fault: str) -> None:
    code, text = preview(kind, settings=settings)
    assert code == 1
    assert fault in text


def test_without_messages_the_folder_of_serve_is_not_needed(settings: Path) -> None:
    read = read_settings(settings)
    messages = messages_of(read, parse_actions("version = 1\nreceivers = {}\nkinds = {}", "a.toml"))
    assert not messages.templates
    assert not Path(read.serve.folder).exists()


def test_the_link_is_the_same_on_every_attempt_and_opens_the_order(settings: Path) -> None:
    read = read_settings(settings)
    links = [links_of(read)(action("SO-9"), BEGIN_AT, "zh") for _ in range(2)]
    assert links[0] == links[1]
    assert links[0] != links_of(read)(action("SO-8"), BEGIN_AT, "zh")
    address, _, query = links[0].partition("?")
    assert query == "lang=zh"
    shares = Shares(open_folder(Path(read.serve.folder)).secret)
    opened = shares.opened(address.rpartition("/")[2], BEGIN_AT / 1000)
    assert opened
    assert (opened.tenant, opened.order_id, opened.level) == ("default", "SO-9", "town")
    assert shares.opened(address.rpartition("/")[2], (BEGIN_AT + 91 * DAY_MS) / 1000) is None
