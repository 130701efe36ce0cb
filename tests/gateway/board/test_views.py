"""View models: lanes, storms, the chart, the map, and the texts in both languages."""

import re
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from string import Formatter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.wiring.wording import alert_text
from dataflows.definition_files import read_lifecycle, read_rules
from gateway.board import site
from gateway.board.board_page import FILTERS, Board, BoardQuery
from gateway.board.cards import OLD_ORDERS, STORM_ORDERS, Old, Storm, folded, is_old, old_at
from gateway.board.gantt import Axis, gantt
from gateway.board.handling import Desk
from gateway.board.order_page import why_of
from gateway.board.progress import Progress
from gateway.board.reasons import reason
from gateway.board.route_map import land, route_map
from gateway.board.wording import LANGUAGES, Words, texts
from schemas.alert_notes import AlertNotes
from schemas.alert_text import Language
from schemas.card import Card
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from tests.support.sample_orders import NOW, sample

TABLE = read_lifecycle()
RULES = read_rules(None, TABLE)
PROGRESS = Progress(TABLE)
ALL = BoardQuery()
BOARD = Path(site.__file__).parent


def words(language: Language = "en") -> Words:
    return Words(language, UTC, alert_text(RULES, TABLE, language))


def board(query: BoardQuery = ALL) -> Board:
    desk = Desk(words(), AlertNotes(), NOW)
    return Board(words(), PROGRESS, sample().view, "default", query, NOW, desk)


# ---------------------------------------------------------------- texts
def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", sorted(texts()))
def test_a_text_is_there_in_both_languages_with_the_same_values(key: str) -> None:
    text = texts()[key]
    assert set(text) == set(LANGUAGES)
    assert all(each.strip() for each in text.values())
    assert fields(text["en"]) == fields(text["zh"])


def test_every_text_named_in_code_or_templates_exists_and_is_used() -> None:
    sources = [
        path.read_text(encoding="utf-8")
        for path in BOARD.rglob("*")
        if path.suffix in {".py", ".html"}
    ]
    named = set[str]()
    for source in sources:
        named |= set(re.findall(r"(?:say|raw|has)\(\s*f?['\"]([a-z_]+(?:\.\w+)*)['\"]", source))
    assert named <= texts().keys()
    everything = "\n".join(sources)
    for key in texts():
        stem = key.rpartition(".")[0]
        dynamic = (f"'{stem}.' ~", f'"{stem}.{{', f'f"{stem}.{{')
        is_named = f"'{key}'" in everything or f'"{key}"' in everything
        assert is_named or any(each in everything for each in dynamic), f"{key} is never shown"


def test_every_status_and_lane_has_a_label_in_both_languages() -> None:
    for language in LANGUAGES:
        for code in TABLE.codes:
            assert words(language).status(code)
        for stage in range(5):
            assert words(language).say(f"stage.{stage}")


# ---------------------------------------------------------------- lanes
def test_the_lanes_hold_what_the_documents_say() -> None:
    live = [order for order in sample().orders.values() if order.order_id in sample().view._orders]  # noqa: SLF001 - which orders are live
    page = board().page([])
    for lane in page.lanes:
        assert lane.orders == sum(order.lane == lane.lane for order in live)
        assert sum(share.orders for share in lane.shares) <= lane.orders
    assert page.figures[0].value == str(len(live))


@pytest.mark.parametrize("name", ["carrier", "supplier", "status", "rule"])
def test_a_filter_leaves_the_orders_that_it_names(name: str) -> None:
    choices = next(each for each in board().filters() if each.name == name).choices
    chosen = next((each for each in choices if each.value == "SHIPPED"), choices[0])
    query = msgspec.convert([chosen.value if each == name else "" for each in FILTERS], BoardQuery)
    cards = [card for lane in ("overdue", "warning") for card in board(query).cards[lane]]
    assert cards
    assert all(query.is_meant(card) for card in cards)
    if name in {"status", "carrier"}:
        assert {getattr(card, name) for card in cards} == {chosen.value}
    assert query.href() == f"/?{name}={chosen.value}"


def storm_cards() -> list[Card]:
    cards = board().cards["warning"]
    return list(next(item for item in folded(cards, old_at(NOW)) if isinstance(item, Storm)).cards)


def test_old_trouble_is_folded_and_opened_by_a_filter() -> None:
    cards = storm_cards()[:OLD_ORDERS]
    (fold,) = folded(cards, old_at(NOW + 31 * DAY_MS))
    assert isinstance(fold, Storm), "a storm is told first"
    apart = [msgspec.structs.replace(card, carrier=None) for card in cards]
    (old,) = folded(apart, old_at(NOW + 31 * DAY_MS))
    assert isinstance(old, Old)
    assert len(folded(apart, old_at(NOW + 20 * DAY_MS))) == len(apart)
    assert len(folded(apart[1:], old_at(NOW + 31 * DAY_MS))) == len(apart) - 1
    opened = board(BoardQuery(old="1"))
    assert {is_old(card, old_at(NOW)) for lane in opened.cards.values() for card in lane} <= {True}


def test_a_storm_is_folded_from_twenty_alerts_on() -> None:
    cards = storm_cards()
    assert len(cards) >= STORM_ORDERS
    assert len(folded(cards, old_at(NOW))) == 1
    assert folded(cards[: STORM_ORDERS - 1], old_at(NOW)) == cards[: STORM_ORDERS - 1]


@given(apart_ms=st.integers(0, 60 * MINUTE_MS))
def test_alerts_far_apart_are_no_storm(apart_ms: int) -> None:
    cards = []
    for number, card in enumerate(storm_cards()[:STORM_ORDERS]):
        at = format_instant(NOW - DAY_MS + number * apart_ms)
        alert = msgspec.structs.replace(card.alerts[0], opened_at=at, escalated_at=None)
        cards.append(msgspec.structs.replace(card, alerts=(alert,)))
    is_storm = isinstance(folded(cards, old_at(NOW))[0], Storm)
    assert is_storm == (apart_ms <= 15 * MINUTE_MS)


def test_a_storm_opens_its_orders_as_a_list() -> None:
    storm = storm_cards()
    place = "Salvador"
    query = BoardQuery(rule="carrier_silent", carrier="loggi", place=place, lane="warning")
    opened = board(query).page([]).lanes[1]
    keys = {item.key for item in opened.items}
    assert {card.key for card in storm} <= keys
    assert len(keys) == opened.orders
    assert not [key for key in keys if key.startswith("storm ")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_card_says_why_it_is_there(language: Language) -> None:
    for card in [*board().cards["overdue"], *board().cards["warning"]]:
        for alert in card.alerts:
            text = reason(words(language), card, alert, NOW)
            assert text
            assert "{" not in text


def test_a_why_box_has_the_last_event_and_the_limit_that_was_passed() -> None:
    desk = Desk(words(), AlertNotes(), NOW)
    limits: dict[str, set[str]] = {}
    for order in sample().orders.values():
        for alert in order.open_alerts:
            why = why_of(words(), order, alert, NOW, desk)
            assert re.fullmatch(r"Last event: .+, \d+ \w+( \d{4})? \d\d:\d\d, .+ ago", why.heard)
            limits.setdefault(alert.rule, set()).add(why.limit)
    assert limits["carrier_silent"] == {"2 days allowed"}
    assert limits["late_delivery"] == {""}, "its short sentence has it"
    assert limits["cold_chain"] == {"at most 8.0"}


# ---------------------------------------------------------------- chart
@given(st.lists(st.integers(0, 400 * HOUR_MS), min_size=2, max_size=12, unique=True))
def test_an_axis_keeps_the_order_of_time(instants: list[int]) -> None:
    axis = Axis(instants, 100, 800)
    marks = sorted(instants)
    for earlier, later in pairwise(marks):
        assert axis.x(earlier) <= axis.x(later)
    assert axis.x(marks[0]) >= 100
    assert axis.x(marks[-1]) <= 800.1


def test_a_long_idle_stretch_is_folded() -> None:
    axis = Axis([0, HOUR_MS, 400 * HOUR_MS, 401 * HOUR_MS], 0, 700)
    assert len(axis.folds) == 1
    assert axis.x(HOUR_MS) - axis.x(0) > 100, "the hours beside it have room again"


def test_a_chart_has_a_row_a_stage_and_a_row_a_parcel() -> None:
    order = sample().orders["demo-00138"]
    chart = gantt(words(), PROGRESS, order, sample().timelines["demo-00138"], NOW, 800)
    assert chart is not None
    assert [row.label for row in chart.rows[:4]] == ["Paid", "Allocated", "Shipped", "Delivered"]
    assert len(chart.rows) == 4 + len(order.shipments)
    assert {bar.kind for bar in chart.rows[3].bars} == {"planned", "openlate"}
    assert all(chart.left <= bar.x <= chart.width for row in chart.rows for bar in row.bars)


def test_a_chart_of_every_order_fits() -> None:
    for order_id, order in sample().orders.items():
        for width in (336, 860):
            chart = gantt(words("zh"), PROGRESS, order, sample().timelines[order_id], NOW, width)
            assert chart is not None
            ends = [bar.x + bar.width for row in chart.rows for bar in row.bars]
            assert max(ends, default=0) <= width + 2


# ---------------------------------------------------------------- map
def test_a_place_without_coordinates_is_listed_and_never_placed() -> None:
    order, timeline = sample().orders["demo-00138"], list(sample().timelines["demo-00138"])
    drawn = route_map(order, timeline)
    assert drawn is not None
    number = next(n for n, event in enumerate(timeline) if event.status == "IN_TRANSIT")
    sent = msgspec.json.decode(bytes(timeline[number].event))
    del sent["location"]["lat"], sent["location"]["lon"]
    changed = msgspec.structs.replace(
        timeline[number], event=msgspec.Raw(msgspec.json.encode(sent))
    )
    without = route_map(order, [*timeline[:number], changed, *timeline[number + 1 :]])
    assert without is not None
    assert without.unplaced == [sent["location"]["name"]]
    count = sum(len(way.stops) for way in without.ways)
    assert count == sum(len(way.stops) for way in drawn.ways) - 1


def test_all_places_lie_on_the_map() -> None:
    for order_id, order in sample().orders.items():
        drawn = route_map(order, sample().timelines[order_id])
        if drawn is None:
            continue
        for way in drawn.ways:
            for stop in way.stops:
                assert 0 < stop.x < drawn.width
                assert 0 < stop.y < drawn.height


def test_no_outline_runs_around_the_world() -> None:
    for outline in land():
        pairs = pairwise([*outline.points, outline.points[0]])
        assert max(abs(one[0] - other[0]) for one, other in pairs) < 90


def test_an_order_without_places_has_no_map() -> None:
    olist = next(o for o in sample().orders.values() if not o.order_id.startswith("demo"))
    assert route_map(olist, sample().timelines[olist.order_id]) is None


# ---------------------------------------------------------------- words
@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (48_000, "48 s"),
        (12 * MINUTE_MS, "12 min"),
        (3 * HOUR_MS + 12 * MINUTE_MS, "3 h 12 min"),
        (47 * HOUR_MS, "47 h"),
        (51 * HOUR_MS, "2 d 3 h"),
        (48 * HOUR_MS, "2 d"),
        (40 * DAY_MS + HOUR_MS, "40 d"),
    ],
)
def test_a_span_has_its_two_largest_units(ms: int, text: str) -> None:
    assert words().span(ms) == words().span(-ms) == text


def test_a_promised_day_is_that_day_in_any_zone() -> None:
    last_ms = "2018-12-31T02:59:59.999Z"  # the end of 30 December, three hours west
    assert words().promise(last_ms, NOW) == "30 Dec"
    assert words("zh").promise(last_ms, NOW) == "12月30日"
    assert words().promise("2018-12-30T21:00:00.000Z", NOW) == "30 Dec 21:00"
    assert words().stamp(parse_instant("2017-12-30T21:00:00.000Z"), NOW) == "30 Dec 2017 21:00"
