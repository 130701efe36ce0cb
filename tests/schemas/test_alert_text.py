"""Sentences of alerts: one line in each language, the same for an alert wherever it is shown."""

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.definition_files import read_lifecycle, read_rules
from schemas.alert import Because
from schemas.alert_text import PHRASES, UNITS, AlertText, Language, promised_day
from schemas.display import printable
from schemas.event import Location
from schemas.instants import EPOCH, format_instant
from schemas.order import OrderDocument, ShipmentView
from schemas.promises import promise
from tests.support.alerts import alert, order

TABLE = read_lifecycle()
RULES = {rule.id: rule.row.label for rule in read_rules(None, TABLE).rules}
STATUSES = {row.code: row.label for row in TABLE.rows}
EN, ZH = AlertText("en", RULES, STATUSES), AlertText("zh", RULES, STATUSES)
PROMISED = "2018-08-24T15:59:59.999Z"  # 24 August in China
LATE = Because(
    anchor="promised_at",
    anchor_event="07",
    anchor_at=PROMISED,
    limit="0s",
    due_at=PROMISED,
    last_event="SHIPPED",
    last_event_at="2018-08-15T08:00:00.000Z",
)
WUHAN = {
    "shipment": "SF1",
    "status": "IN_TRANSIT",
    "updated_at": "2018-08-15T08:00:00.000Z",
    "location": {"name": "Wuhan"},
}
JINAN = WUHAN | {"shipment": "SF2", "updated_at": "2018-08-10T03:00:00Z", "status": "COLLECTED"}
JINAN |= {"location": {"name": "Jinan"}}
TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)


def late(because: Because = LATE, **fields: Any) -> OrderDocument:  # noqa: ANN401 - any field
    """Order 4711 with an alert."""
    opened = alert("late_delivery", order_id="4711") | {"because": msgspec.to_builtins(because)}
    document = order("4711", 1, opened, shipments=[WUHAN])
    return msgspec.structs.replace(document, **{"promised_at": PROMISED} | fields)


def summary(text: AlertText, document: OrderDocument) -> str:
    return text.summary(document, document.open_alerts[0])


def test_a_summary_names_rule_order_promise_and_what_was_heard_last() -> None:
    assert summary(EN, late()) == (
        "Late delivery: order 4711, promised 24 Aug, last heard Shipped 15 Aug, Wuhan"
    )
    assert summary(ZH, late()) == (
        "配送延误：订单 4711，承诺 8月24日，最近动态 已发货 8月15日，Wuhan"
    )


def test_a_description_gives_the_reason_and_the_last_event() -> None:
    document = late()
    (opened,) = document.open_alerts
    assert EN.description(document, opened) == (
        "Past the promised delivery, 2018-08-24. Last event: Shipped, 2018-08-15 08:00 UTC, Wuhan."
    )
    assert ZH.description(document, opened) == (
        "已过承诺送达时间（2018-08-24）。最近动态：已发货，2018-08-15 08:00 UTC，Wuhan。"
    )


def test_an_alert_of_a_parcel_speaks_of_that_parcel() -> None:
    because = msgspec.structs.replace(LATE, anchor="last_update", limit="2d", shipment="SF2")
    document = order("4711", 1, alert("carrier_silent"), shipments=[WUHAN, JINAN])
    opened = msgspec.structs.replace(document.open_alerts[0], because=because)
    assert EN.summary(document, opened) == (
        "No logistics update: order 4711, parcel SF2, last heard Collected 10 Aug, Jinan"
    )
    assert EN.description(document, opened).startswith("More than 2 days since the last update, ")


def test_the_place_is_the_one_of_the_last_event_or_none() -> None:
    moved = msgspec.structs.replace(LATE, last_event_at="2018-08-16T08:00:00.000Z")
    assert "Wuhan" in summary(EN, late())
    assert "Wuhan" not in summary(EN, late(moved))


def test_an_order_that_was_shipped_and_never_scanned_is_where_it_was_shipped() -> None:
    parcel = msgspec.convert(
        {"shipment": "SF1", "carrier": "sf", "location": {"name": "Wuhan"}}, ShipmentView
    )
    assert summary(EN, late(shipments=[parcel])).endswith("last heard Shipped 15 Aug, Wuhan")
    because = msgspec.structs.replace(LATE, anchor="announced SHIPPED", limit="2d", shipment="SF1")
    document = late(because, shipments=[parcel])
    assert summary(EN, document).endswith(
        "parcel SF1, promised 24 Aug, last heard Shipped 15 Aug, Wuhan"
    )


def test_another_year_than_the_due_time_s_is_named() -> None:
    document = late(promised_at="2019-01-02T15:59:59.999Z")
    assert "promised 2 Jan 2019," in summary(EN, document)
    assert "承诺 2019年1月2日，" in summary(ZH, document)


def test_an_order_of_which_only_the_id_is_known_has_sentences_too() -> None:
    (opened,) = late().open_alerts
    assert EN.summary(order("4711"), opened) == (
        "Late delivery: order 4711, last heard Shipped 15 Aug"
    )


def test_what_has_no_label_is_shown_by_its_id() -> None:
    assert AlertText().summary(order("4711"), late().open_alerts[0]) == (
        "late_delivery: order 4711, last heard SHIPPED 15 Aug"
    )
    assert AlertText("zh", {"x": {"en": "X"}}).rule("x") == "X"


@pytest.mark.parametrize(
    ("anchor", "limit", "en"),
    [
        ("created", "1d", "More than 1 day since the creation of the order, {at}"),
        ("milestone PAID, SHIPPED", "36h", "More than 36 hours since Paid or Shipped, {at}"),
        ("milestone CANCELLED", "0s", "Since Cancelled, {at}"),
        ("ship_by", "0s", "Past the promised dispatch, {at}"),
        ("promised_at", "-0ms", "Past the promised delivery, {at}"),
        ("planned DELIVERED", "-2h", "Less than 2 hours to the planned time of Delivered, {at}"),
        ("announced SHIPPED", "2wd", "More than 2 working days since Shipped and its announcement"),
        ("PAID after CANCELLED", "0s", "Since Paid after Cancelled, {at}"),
        ("condition", "order.x >\n  1", "Its condition is true since {due}: order.x > 1"),
        ("condition", "2h", "Its condition is true for more than 2 hours, since {at}"),
        ("rule removed", "", "Due since {due}; its rule has left the rules file"),
    ],
)
def test_every_anchor_and_limit_reads_as_a_reason(anchor: str, limit: str, en: str) -> None:
    because = msgspec.structs.replace(
        LATE, anchor=anchor, limit=limit, anchor_at="2018-08-15T10:15:00.000Z"
    )
    wanted = en.format(at="2018-08-15 10:15 UTC", due="2018-08-24 15:59 UTC")
    assert EN.reason(because).startswith(wanted)
    assert ZH.reason(because) != EN.reason(because)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Sao_Paulo", "Asia/Kolkata", "UTC"])
@given(day=st.dates(EPOCH.date(), EPOCH.date() + timedelta(days=40_000)))
def test_a_promised_day_is_the_day_that_was_promised(zone: str, day: Any) -> None:  # noqa: ANN401 - a date
    assert promised_day(format_instant(promise(day.isoformat(), zone))) == day.isoformat()


def test_a_promised_instant_stays_one() -> None:
    assert promised_day("2018-08-24T16:30:00.000Z") == "2018-08-24T16:30:00.000Z"
    assert promised_day("soon") == "soon"


@st.composite
def hostile(draw: st.DrawFn) -> OrderDocument:
    """An order with any text in any field that sentences read."""
    instants = st.one_of(TEXT, st.just(PROMISED))
    anchors = st.sampled_from(["", "milestone ", "planned ", "announced ", "PAID after "])
    because = Because(
        anchor=draw(anchors) + draw(TEXT),
        anchor_event=draw(TEXT),
        anchor_at=draw(instants),
        limit=draw(TEXT),
        due_at=draw(instants),
        last_event=draw(TEXT),
        last_event_at=draw(instants),
        shipment=draw(st.none() | TEXT),
    )
    parcel = ShipmentView(
        shipment=because.shipment or "",
        status=draw(st.none() | TEXT),
        updated_at=because.last_event_at,
        location=Location(name=draw(TEXT)),
    )
    opened = msgspec.structs.replace(late().open_alerts[0], because=because, rule=draw(TEXT))
    return late(
        order_id=draw(TEXT),
        promised_at=draw(st.none() | instants),
        shipments=[parcel],
        open_alerts=[opened],
    )


@given(hostile(), st.sampled_from(["en", "zh"]), TEXT)
def test_no_text_from_outside_breaks_a_sentence(
    document: OrderDocument, language: Language, label: str
) -> None:
    (opened,) = document.open_alerts
    text = AlertText(language, {opened.rule: {language: label}}, STATUSES)
    sentences = [text.summary(document, opened), text.description(document, opened)]
    for sentence in sentences:
        assert printable(sentence) == sentence, "one line that steers nothing"
    assert printable(document.order_id) in sentences[0]


@pytest.mark.parametrize("limit", ["1d", "72h", "-2h", "2wd", "30m"])
def test_a_number_stands_apart_from_its_unit_in_chinese(limit: str) -> None:
    """As in the spans of the board, which stand beside limits."""
    assert re.fullmatch(r"\d+ \D+", ZH.duration(limit))
    because = msgspec.structs.replace(LATE, anchor="created", limit=limit)
    assert re.search(rf"(已超过|不足) {ZH.duration(limit)}", ZH.reason(because))


def test_both_languages_have_the_same_phrases() -> None:
    assert PHRASES["en"].keys() == PHRASES["zh"].keys()
    assert UNITS["en"].keys() == UNITS["zh"].keys()
