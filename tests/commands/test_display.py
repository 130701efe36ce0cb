"""Commands over hostile orders: whatever an event brought, no line of a terminal is its own."""

import io
import json
import unicodedata
from collections.abc import Callable

import click
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from broker.fetcher import Message
from commands.doctor.command import lines as doctor_lines
from commands.doctor.findings import Report, problem
from commands.lookup import json_of
from commands.lookup_text import text_of
from commands.rejected import sample
from commands.state.set_aside import COLUMNS, SetAsideView, rows
from commands.state.verify import Verified
from commands.top.monitor import Sample, Trend
from commands.top.picture import newest_text, plain_text
from commands.wiring.wording import alert_text
from dataflows.definition_files import read_lifecycle, read_rules
from gateway.live.view import LiveView
from schemas import topics
from schemas.errors import Busy, OrdertideError, SettingsError, UnknownOrder
from schemas.order import OrderDocument
from storage_tiering.find import Answer, Asked
from storage_tiering.tier import Found
from telemetry.screen import error_text, show, show_json, table_text
from tests.support.tiers.orders import START, accepted, document

TABLE = read_lifecycle()
ALERT_TEXT = alert_text(read_rules(None, TABLE), TABLE)
EVIL = "\x1b]0;PWNED\x07\x1b[2Jevil\n  status DELIVERED\x9b31m\u202e\u2028\u2029\ud800[red]x[/red]"
AT = "2018-01-31T02:30:00.000Z"
BECAUSE = {
    "anchor": "milestone PAID",
    "anchor_event": "00",
    "anchor_at": AT,
    "limit": "1h",
    "due_at": AT,
    "last_event": "PAID",
    "last_event_at": AT,
    "shipment": None,
}
TEXT = st.one_of(
    st.just(EVIL), st.text(st.characters(exclude_categories=[]), min_size=1, max_size=8)
)


def hostile(text: str) -> OrderDocument:
    because = {**BECAUSE, **dict.fromkeys(("anchor", "limit", "last_event", "shipment"), text)}
    return document(
        order_id=text,
        status=text,
        flags=[text],
        promised_at=text,
        carrier=text,
        shipments=[{"shipment": text, "status": text, "carrier": text}],
        attributes={text: text},
        deadlines=[{"rule": text, "due_at": text, "severity": "warning", "shipment": text}],
        open_alerts=[
            {
                "alert_id": text,
                "rule": text,
                "severity": "warning",
                "opened_at": text,
                "because": because,
            }
        ],
    )


def answer(text: str) -> Answer:
    event = msgspec.structs.replace(accepted(), status=text, shipment=text, at=text)
    found = Found(document=hostile(text), timeline=[event], watermark=START)
    return Answer(tier="hot", found=found, asked=[Asked("hot", "found", text)])


def message(text: str) -> Message:
    data = text.encode("utf-8", "surrogatepass")
    names = (topics.HEADER_CODE, topics.HEADER_REASON, topics.HEADER_TOPIC, topics.HEADER_PARTITION)
    headers: list[tuple[str, bytes | None]] = [(name, data) for name in names]
    return Message(topics.EVENTS_REJECTED, 0, 0, 0, data, data, headers)


def live(text: str) -> LiveView:
    """A live view with one hostile order."""
    view = LiveView()
    view.apply("k", msgspec.structs.replace(hostile(text), lane="warning"))
    return view


def view_of(text: str) -> str:
    """The alerts of the demo on a terminal, without rich's own sequences."""
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=4000, color_system=None, legacy_windows=False
    )
    console.print(newest_text(ALERT_TEXT, live(text).newest(1)))
    return out.getvalue().rstrip("\n")


def top_of(text: str) -> str:
    """`top` in a pipe."""
    view = live(text)
    shown = Sample(
        watermark=START,
        behind_s=None,
        per_second=0.0,
        lanes=view.count_by("lane"),
        trend=Trend(0.0, {}),
        statuses=view.count_by("status"),
        carriers=view.count_by("carrier"),
        lags={},
        rows=view.newest(1),
        note=text,
    )
    return plain_text(shown, ALERT_TEXT, 1)


def set_aside(text: str) -> SetAsideView:
    return SetAsideView(
        tenant=text,
        order_id=text,
        since=AT,
        reason=text,
        waiting=1,
        releases=0,
        is_requested=True,
    )


COMMANDS: dict[str, Callable[[str], str]] = {
    "lookup": lambda text: text_of(answer(text), ALERT_TEXT, TABLE),
    "rejected list": lambda text: sample(text, message(text)),
    "state set-aside": lambda text: table_text(COLUMNS, rows([set_aside(text)])),
    "state verify": lambda text: Verified("p", faults=[text]).text(),
    "doctor": lambda text: "\n".join(doctor_lines(Report("kafka", [problem(text, text, text)]))),
    "live view": view_of,
    "top": top_of,
    "an error": lambda text: error_text(Busy(f"order {text}: no answer")),
    "an unknown order": lambda text: error_text(UnknownOrder(text)),
}


@pytest.mark.parametrize("name", COMMANDS)
@settings(max_examples=60)
@given(text=TEXT)
def test_no_text_of_an_order_adds_a_line_or_steers_the_terminal(name: str, text: str) -> None:
    plain, shown = COMMANDS[name]("x"), COMMANDS[name](text)
    assert len(shown.split("\n")) == len(plain.split("\n"))
    for character in shown.replace("\n", ""):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}, shown


def test_the_live_view_takes_no_markup_from_an_order() -> None:
    assert "[red]x[/" in view_of("[red]x[/red]")


@given(text=TEXT.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
@settings(max_examples=60, deadline=None)
def test_json_of_a_command_keeps_the_order_and_steers_nothing(text: str) -> None:
    @click.command()
    def command() -> None:
        show_json(json_of(answer(text)))

    output = CliRunner().invoke(command).output
    assert json.loads(output)["order"]["order_id"] == text
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Zl", "Zp"} for c in output[:-1])


def test_lines_of_a_command_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show("one\x1b[31m\ntwo")
    assert capsys.readouterr().out == "one\\x1b[31m\ntwo\n"


def test_an_error_is_one_line_unless_it_lists_faults() -> None:
    assert error_text(OrdertideError("a\nb")) == "ordertide: a\\x0ab"
    assert error_text(SettingsError("a\nb\x1b")) == "ordertide: a\nb\\x1b"
