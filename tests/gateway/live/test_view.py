"""The live view equals a count over the latest documents, whatever changes in between."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.view import ATTENTION, LiveView
from schemas.card import Card, card_of
from schemas.instants import HOUR_MS, format_instant
from schemas.keys import order_key
from schemas.order import ArmedDeadline, Lane, OrderDocument
from tests.support.alerts import alert
from tests.support.tiers.orders import START, document

NAMES = ("a", "b", "c", "订单-1")
STATUSES = ("PAID", "SHIPPED", None)
LANES: tuple[Lane, ...] = ("normal", "warning", "overdue")
hours = st.integers(0, 5).map(lambda hour: START + hour * HOUR_MS)


@st.composite
def orders(draw: st.DrawFn) -> OrderDocument:
    lane = draw(st.sampled_from(LANES))
    kinds = {"normal": [], "warning": ["warning"], "overdue": ["overdue", "warning"]}[lane]
    alerts = [
        alert(f"rule-{draw(st.integers(0, 9))}", kind, opened_at=draw(hours)) for kind in kinds
    ]
    due = draw(st.lists(hours, max_size=2))
    return document(
        draw(st.sampled_from(NAMES)),
        version=draw(st.integers(1, 6)),
        lane=lane,
        status=draw(st.sampled_from(STATUSES)),
        carrier=draw(st.sampled_from(("sf", "sto", None))),
        open_alerts=alerts,
        deadlines=[
            ArmedDeadline(rule="late", due_at=format_instant(at), severity="overdue") for at in due
        ],
    )


def latest(changes: Iterable[OrderDocument | str]) -> dict[str, OrderDocument]:
    """The live orders, by brute force."""
    held: dict[str, OrderDocument] = {}
    for change in changes:
        if isinstance(change, str):
            held.pop(order_key("default", change), None)
            continue
        key = order_key(change.tenant, change.order_id)
        if key not in held or change.version > held[key].version:
            held[key] = change
    return held


@given(st.lists(st.one_of(orders(), st.sampled_from(NAMES)), max_size=30))
def test_it_equals_a_count_over_the_latest_documents(
    changes: list[OrderDocument | str],
) -> None:
    view = LiveView()
    for change in changes:
        if isinstance(change, str):
            view.remove(order_key("default", change))
        else:
            view.apply(order_key(change.tenant, change.order_id), change)
    held = latest(changes)
    assert len(view) == len(held)
    assert view.count_by("lane") == Counter(order.lane for order in held.values())
    assert view.count_by("status") == Counter(order.status or "" for order in held.values())
    assert view.count_by("carrier") == Counter(order.carrier or "" for order in held.values())
    cards = [card_of(key, order) for key, order in held.items() if order.lane != "normal"]
    for lane in ATTENTION:
        meant = sorted((c for c in cards if c.lane == lane), key=lambda c: (c.due_at, c.key))
        assert view.page(lane) == meant
        assert view.page(lane, skip=1, limit=2) == meant[1:3]
        assert view.page(lane, is_with_sf, skip=1) == list(filter(is_with_sf, meant))[1:]
    rows = [(a.since_at, a.alert_id) for card in cards for a in card.alerts]
    newest = [(row.since_at, row.alert.alert_id) for row in view.newest(3)]
    assert newest == sorted(rows, reverse=True)[:3]


def is_with_sf(card: Card) -> bool:
    return card.carrier == "sf"


def test_an_older_document_changes_nothing() -> None:
    view = LiveView()
    assert view.apply("k", document("a", version=2, status="SHIPPED"))
    assert not view.apply("k", document("a", version=2, status="PAID"))
    assert not view.apply("k", document("a", version=1, status="PAID"))
    assert view.count_by("status") == {"SHIPPED": 1}


def test_what_is_overdue_stands_first_by_when_it_was_due() -> None:
    view = LiveView()
    for name, hour in (("late", 3), ("latest", 1)):
        opened = alert("rule-1", opened_at=START + hour * HOUR_MS)
        view.apply(name, document(name, lane="overdue", open_alerts=[opened]))
    assert [card.order_id for card in view.page("overdue")] == ["latest", "late"]


def test_a_warning_is_due_when_it_becomes_overdue() -> None:
    at, later = (format_instant(START + hour * HOUR_MS) for hour in (1, 9))
    deadline = ArmedDeadline(rule="rule-1", due_at=later, severity="overdue")
    order = document(
        "a", lane="warning", open_alerts=[alert("rule-1", "warning", opened_at=START + HOUR_MS)]
    )
    assert card_of("a", order).due_at == at
    assert card_of("a", msgspec.structs.replace(order, deadlines=[deadline])).due_at == later


def test_an_escalation_is_news_like_an_opening() -> None:
    late = format_instant(START + 9 * HOUR_MS)
    opened = alert("rule-1", opened_at=START + 5 * HOUR_MS)
    escalated = {**alert("rule-2", opened_at=START + HOUR_MS), "escalated_at": late}
    order = document("a", lane="overdue", open_alerts=[opened, escalated])
    view = LiveView()
    view.apply("k", order)
    assert [(row.alert, row.since_at) for row in view.newest(1)] == [(order.open_alerts[1], late)]
