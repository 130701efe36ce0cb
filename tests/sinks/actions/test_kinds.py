"""Kinds of actions as a table: quiet hours, messages a day, amounts, tenants."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert import Because
from schemas.errors import Busy, SettingsError
from schemas.event import Destination
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from sinks.actions.amounts import AmountRow, NoAmount, amount_of
from sinks.actions.channels.memory import MemoryChannel
from sinks.actions.quiet_hours import local_time, next_day_at, parse_quiet, zone_of
from sinks.actions.table import ActionTable, KindRow, TenantRow, parse_actions
from sinks.actions.table import undeclared as undeclared_in
from tests.support.actions import BEGIN_AT, Acting, action
from tests.support.alerts import order
from tests.support.tiers.orders import document

NIGHT = parse_instant("2026-11-30T21:30:00.000Z")  # 22:30 in Berlin, 05:30 in Shanghai
BERLIN = Destination(town="Berlin", country="DE")
STEPS = [
    AmountRow("0s", percent=5, most={"EUR": 10}),
    AmountRow("1d", percent=10),
    AmountRow("3d", fixed={"EUR": 15, "CNY": 100}),
]


@pytest.fixture
def channel() -> MemoryChannel:
    return MemoryChannel()


@pytest.fixture
def acting(tmp_path: Path, channel: MemoryChannel) -> Acting:
    made = Acting(tmp_path, {"confirm_order": channel})
    made.now_at = NIGHT
    return made


def with_kind(acting: Acting, row: KindRow) -> None:
    acting.table = ActionTable("actions.toml", acting.table.receivers, {"confirm_order": row})


def in_outbox(acting: Acting) -> dict[str, float | None]:
    registry = acting.metrics.registry
    labels = ({"receiver": "confirm_order", "state": state} for state in ("waiting", "held"))
    return {each["state"]: registry.get_sample_value("ordertide_outbox", each) for each in labels}


# ---------------------------------------------------------------- quiet hours
@given(
    at=st.integers(0, 4_000_000_000_000),
    hours=st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda h: h[0] != h[1]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai"]),
)
def test_quiet_hours_end_at_their_end_within_a_day(
    at: int, hours: tuple[int, int], zone: str
) -> None:
    begin, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in hours)
    ends_at = parse_quiet(f"{begin}-{end}").ends_at(at, ZoneInfo(zone))
    now = f"{local_time(at, ZoneInfo(zone)):%H:%M}"
    is_quiet = begin <= now < end if begin < end else now >= begin or now < end
    assert (ends_at is not None) == is_quiet
    if ends_at is not None:
        assert at < ends_at + HOUR_MS, "the hour that clocks go back"
        assert ends_at - at <= DAY_MS + HOUR_MS
        ended = f"{local_time(ends_at, ZoneInfo(zone)):%H:%M}"
        assert ended == end or zone in {"Europe/Berlin", "America/New_York"}, "the hour left out"


def test_the_hour_that_clocks_leave_out_ends_quiet_hours_once() -> None:
    before = parse_instant("2026-03-29T00:30:00.000Z")  # 01:30; clocks jump from 02:00 to 03:00
    ends_at = parse_quiet("22:00-02:30").ends_at(before, ZoneInfo("Europe/Berlin"))
    assert ends_at == before + 60 * MINUTE_MS
    assert parse_quiet("22:00-02:30").ends_at(ends_at, ZoneInfo("Europe/Berlin")) is None


@pytest.mark.parametrize(
    ("destination", "zone"),
    [
        (BERLIN, "Europe/Berlin"),
        (Destination(country="cn"), "Asia/Shanghai"),
        (Destination(country="CN", lat=43.8, lon=87.6), "Asia/Shanghai"),
        (Destination(country="JP"), "Asia/Tokyo"),
        (Destination(country="US"), "UTC"),
        (Destination(country="US", lat=34.0, lon=-118.2), "America/Los_Angeles"),
        (Destination(country="US", lat=40.7, lon=-74.0), "America/New_York"),
        (Destination(country="Atlantis"), "UTC"),
        (Destination(town="Ulm"), "UTC"),
        (None, "UTC"),
    ],
)
def test_the_zone_is_that_of_the_destination_else_of_the_table(
    destination: Destination | None, zone: str
) -> None:
    assert zone_of(destination, "UTC", NIGHT) == zone


def test_an_action_waits_for_the_end_of_the_recipients_quiet_hours(
    acting: Acting, channel: MemoryChannel
) -> None:
    with_kind(acting, KindRow("confirm_order", quiet="21:00-08:00"))
    acting.orders.documents["SO-1"] = document("SO-1", destination=BERLIN)
    acting.request(action(at=NIGHT))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["waiting"], "a wait")
        worker.keep_up()
        assert in_outbox(acting) == {"waiting": 0, "held": 1}
        acting.now_at = parse_instant("2026-12-01T06:59:00.000Z")
        for _ in range(20):
            worker.step()
        assert not channel.taken
        acting.now_at += MINUTE_MS
        acting.run_to_the_end(worker, 1)
    assert len(channel.taken) == 1
    reason = "quiet hours until 08:00 Europe/Berlin"
    assert acting.notes()[0]["text"] == (
        f"confirm_order: done by confirm_order (taken), after {reason}"
    )
    assert acting.audit()[0]["detail"]["waited"] == reason


def test_an_action_that_is_void_before_quiet_hours_end_expires_with_the_reason(
    acting: Acting, channel: MemoryChannel
) -> None:
    with_kind(acting, KindRow("confirm_order", quiet="21:00-08:00", zone="Europe/Berlin"))
    acting.orders.documents["SO-1"] = document("SO-1")
    acting.request(action(at=NIGHT, expires_ms=2 * HOUR_MS))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert not channel.taken
    assert acting.notes()[0]["text"] == (
        "confirm_order: expired (quiet hours until 08:00 Europe/Berlin, and void by then)"
    )


def test_an_order_that_no_tier_has_is_awaited(acting: Acting, channel: MemoryChannel) -> None:
    with_kind(acting, KindRow("confirm_order", quiet="02:00-03:00"))
    acting.request(action(at=NIGHT))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["waiting"], "a wait")
        acting.orders.documents["SO-1"] = document("SO-1")
        acting.run_to_the_end(worker, 1)
    assert len(channel.taken) == 1
    assert acting.notes()[0]["action"]["attempts"] == "1"


# ---------------------------------------------------------------- messages a day
def orders_of(acting: Acting, *order_ids: str, customer: str | None = "C-1") -> None:
    for order_id in order_ids:
        acting.orders.documents[order_id] = document(order_id, customer_id=customer)
    acting.request(*(action(order_id, at=NIGHT) for order_id in order_ids))


def test_a_person_gets_so_many_a_day_and_the_next_on_the_next(
    acting: Acting, channel: MemoryChannel
) -> None:
    with_kind(acting, KindRow("confirm_order", most_a_day=2, zone="Europe/Berlin"))
    orders_of(acting, "SO-1", "SO-2", "SO-3")
    orders_of(acting, "SO-4", customer="C-2")
    with acting.worker() as worker:
        acting.run_until(
            worker, lambda: acting.states(worker) == ["done", "done", "done", "waiting"], "three"
        )
    with acting.worker() as worker:
        acting.now_at += HOUR_MS  # 23:30
        for _ in range(20):
            worker.step()
        assert acting.states(worker) == ["done", "done", "done", "waiting"], "also after a restart"
        acting.now_at += 30 * MINUTE_MS
        acting.run_to_the_end(worker, 4)
    assert len(channel.taken) == 4
    (held,) = [each for each in acting.audit() if "waited" in each["detail"]]
    assert held["detail"]["waited"] == (
        "2 of 2 messages a day were sent on 2026-11-30, Europe/Berlin"
    )


def test_what_was_not_sent_is_not_counted(acting: Acting, channel: MemoryChannel) -> None:
    with_kind(acting, KindRow("confirm_order", most_a_day=1))
    channel.answers.append(Busy("away"))
    orders_of(acting, "SO-1")
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["failed"], "a failure")
        assert not worker.outbox.contacts(NIGHT)
        acting.run_to_the_end(worker, 1)
        assert [each.day for each in worker.outbox.contacts(NIGHT)] == ["2026-11-30"]


def test_the_next_day_begins_at_midnight_in_the_zone() -> None:
    assert format_instant(next_day_at(NIGHT, ZoneInfo("Europe/Berlin"))) == (
        "2026-11-30T23:00:00.000Z"
    )


# ---------------------------------------------------------------- amounts
def late_order(late_ms: int, **attributes: object) -> tuple[str, str] | str:
    promised = format_instant(BEGIN_AT - late_ms)
    told = document(promised_at=promised, attributes=attributes)
    try:
        amount = amount_of(STEPS, action(), told)
    except NoAmount as none:
        return str(none)
    return amount.value, amount.currency


@pytest.mark.parametrize(
    ("late_ms", "attributes", "amount"),
    [
        (0, {"order_value": 99.9, "currency": "EUR"}, ("5.00", "EUR")),
        (0, {"order_value": 1000, "currency": "EUR"}, ("10.00", "EUR")),
        (0, {"order_value": 1000, "currency": "JPY"}, ("50", "JPY")),
        (DAY_MS, {"order_value": 19.99, "currency": "EUR"}, ("2.00", "EUR")),
        (DAY_MS, {"order_value": "0.05", "currency": "EUR"}, ("0.01", "EUR")),
        (DAY_MS, {"order_value": 12.3456, "currency": "KWD"}, ("1.235", "KWD")),
        (4 * DAY_MS, {"currency": "CNY"}, ("100.00", "CNY")),
        (4 * DAY_MS, {"currency": "USD"}, "no amount: the table has none in USD"),
        (0, {"currency": "EUR"}, "no amount: the order has no order_value"),
        (0, {"order_value": True, "currency": "EUR"}, "no amount: the order has no order_value"),
        (0, {"order_value": "nan", "currency": "EUR"}, "no amount: the order has no order_value"),
        (0, {"order_value": 5}, "no amount: the order has no currency"),
    ],
)
def test_an_amount_is_that_of_the_step_reached(
    late_ms: int, attributes: dict[str, object], amount: tuple[str, str] | str
) -> None:
    assert late_order(late_ms, **attributes) == amount


def test_an_order_that_came_late_is_late_until_it_came() -> None:
    promised, came = BEGIN_AT - 10 * DAY_MS, BEGIN_AT - 8 * DAY_MS
    told = document(
        promised_at=format_instant(promised),
        milestones={"DELIVERED": format_instant(came)},
        attributes={"order_value": 50, "currency": "EUR"},
    )
    amount = amount_of(STEPS, action(), told)
    assert (amount.value, amount.late) == ("5.00", "2d")


def test_an_action_of_a_promise_counts_from_the_promise_that_it_names() -> None:
    because = Because(
        anchor="ship_by",
        anchor_event="0" * 16,
        anchor_at=format_instant(BEGIN_AT - DAY_MS),
        limit="24h",
        due_at=format_instant(BEGIN_AT),
        last_event="PAID",
        last_event_at=format_instant(BEGIN_AT),
    )
    told = document(
        promised_at=format_instant(BEGIN_AT + DAY_MS),
        attributes={"order_value": 50, "currency": "EUR"},
    )
    wanted = action()
    assert amount_of(STEPS, wanted, told).late == "0ms"
    by_ship_by = type(wanted)(
        **{name: getattr(wanted, name) for name in wanted.__struct_fields__ if name != "because"},
        because=because,
    )
    assert amount_of(STEPS, by_ship_by, told).late == "1d"


def test_a_compensation_is_sent_with_its_amount_and_has_it_in_its_outcome(
    acting: Acting, channel: MemoryChannel
) -> None:
    with_kind(acting, KindRow("confirm_order", amounts=STEPS))
    attributes = {"order_value": 80, "currency": "EUR"}
    promised = format_instant(NIGHT - DAY_MS)
    acting.orders.documents["SO-1"] = document("SO-1", promised_at=promised, attributes=attributes)
    acting.orders.documents["SO-2"] = order("SO-2")
    acting.request(action("SO-1", at=NIGHT), action("SO-2", at=NIGHT))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 2)
    (request,) = channel.taken
    assert str(request.amount) == "8.00 EUR"
    texts = sorted(each["text"] for each in acting.notes())
    assert texts == [
        "confirm_order: done by confirm_order (taken), 8.00 EUR",
        "confirm_order: skipped (no amount: the order has no currency)",
    ]
    details = [each["detail"] for each in acting.audit() if each["what"] == "action.done"]
    assert [(each["amount"], each["currency"], each["late"]) for each in details] == [
        ("8.00", "EUR", "1d")
    ]


# ---------------------------------------------------------------- tenants, and faults
def test_a_tenant_has_its_own_receiver_and_hours(tmp_path: Path) -> None:
    desk, other = MemoryChannel("desk"), MemoryChannel("other")
    acting = Acting(tmp_path, {"desk": desk, "other": other})
    row = KindRow("desk", quiet="21:00-08:00", tenants={"shop-eu": TenantRow(receiver="other")})
    acting.table = ActionTable("actions.toml", acting.table.receivers, {"confirm": row})
    assert acting.table.row_of("confirm", "shop-eu") == KindRow(
        "other", quiet="21:00-08:00", tenants=row.tenants
    )
    acting.orders.documents["SO-1"] = document("SO-1")
    acting.request(action(kind="confirm"), action(kind="confirm", tenant="shop-eu"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 2)
    assert [each.action.tenant for each in desk.taken] == ["default"]
    assert [each.action.tenant for each in other.taken] == ["shop-eu"]


FAULTY = """version = 1
[receivers.desk]
channel = "log"
[kinds.a]
receiver = "desk"
quiet = "21-8"
zone = "Mars"
most_a_day = 0
[kinds.b]
receiver = "desk"
amounts = [
  {late = "2d", percent = 5},
  {late = "1d", percent = 120},
  {late = "soon", fixed = {euro = 5}},
  {late = "4d"},
]
[kinds.b.tenants.shop]
receiver = "desk2"
quiet = "08:00-08:00"
"""


HOURS = "write them like 21:00-08:00"
FAULTS = [
    (6, f"a.quiet: '21-8' are no hours; {HOURS}"),
    (7, "a.zone: 'Mars' is no time zone; write one like Asia/Shanghai"),
    (11, "b.amounts: late doesn't rise from step to step; sort the steps, each late once"),
    (13, "b.amounts.1.percent: 120 is out of range; write one up to 100"),
    (14, "b.amounts.2.late: 'soon' is no duration; write a number and ms, s, m, h or d, like 48h"),
    (14, "b.amounts.2.fixed.euro: 'euro' is no currency; write its code, like EUR"),
    (15, "b.amounts.3: write either percent or fixed, like {late = '1d', percent = 10}"),
    (18, "b.tenants.shop.receiver: 'desk2' is no receiver; write 'desk'"),
    (19, "b.tenants.shop.quiet: '08:00-08:00' is the whole day; leave some, like 21:00-08:00"),
]


def test_each_fault_of_a_kind_has_its_line() -> None:
    with pytest.raises(SettingsError) as refused:
        parse_actions(FAULTY, "actions.toml")
    assert str(refused.value) == (
        "actions.toml:8: kinds.a.most_a_day: 0 is out of range; write one of at least 1"
    )
    with pytest.raises(SettingsError) as refused:
        parse_actions(FAULTY.replace("most_a_day = 0\n", "\n"), "actions.toml")
    assert str(refused.value).splitlines() == [
        f"actions.toml:{line}: kinds.{fault}" for line, fault in FAULTS
    ]


def test_amounts_need_attributes_that_the_rules_declare() -> None:
    table = ActionTable("actions.toml", {}, {"pay": KindRow("desk", amounts=STEPS)})
    assert [*undeclared_in(table, {"currency": "str", "order_value": "float"})] == []
    value, currency = undeclared_in(table, {"order_value": "str"})
    assert value == (
        "actions.toml: kinds.pay.amounts: the rules declare no attribute order_value; add "
        'order_value = {type = "float"} under their [attributes]'
    )
    assert "no attribute currency" in currency
    fixed = KindRow("desk", amounts=STEPS[2:])
    (line,) = undeclared_in(ActionTable("actions.toml", {}, {"pay": fixed}), {})
    assert "no attribute currency" in line
