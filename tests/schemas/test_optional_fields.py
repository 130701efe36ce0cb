"""Optional fields: blank ones are absent; what can't be used costs only itself, and is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import Headers, read_message
from schemas.errors import Rejected
from schemas.event import Event, field_of, read_event
from schemas.optional_fields import REFUSED, REQUIRED
from schemas.sanitization import DROPPED

Json = dict[str, Any]

PLAIN = {
    "event_id": "e",
    "source": "shop",
    "order_id": "o",
    "status_code": "PAID",
    "timestamp": "2024-03-01T10:00:00Z",
}
# One good value of each field that may be left out.
GOOD: Json = {
    "location": {"name": "Hub", "lat": 1.5, "lon": 2.5, "datum": "WGS84"},
    "destination": {"town": "Hangzhou", "lat": 30.0, "lon": 120.0},
    "attributes": {"colour": "red", "points": 7},
    "planned": {"SHIPPED": "2024-03-02T10:00:00Z"},
    "references": {"erp": ["SO-1", "SO-2"], "wms": "W-1"},
    "promised_at": "2024-03-05",
    "ship_by": "2024-03-03T12:00:00Z",
    "carrier": "sf",
    "supplier_id": "s1",
    "customer_id": "c1",
    "operator": "Li",
    "ip": "10.0.0.1",
    "replaces": "A",
    "parcels_expected": 2,
}
OBJECTS = ("location", "destination", "attributes", "planned", "references")
BLANKS = ("", "  ", "\u3000", "\u00a0", None)
BLANK_FIELDS = (
    *("carrier", "customer_id", "shipment", "waybill", "supplier_id", "corrects", "tenant", "kind"),
    *("zone", "recorded_at", "format", "promised_at", "ship_by", "operator", "ip", "replaces"),
    *("parcels_expected", "personal", *OBJECTS),
)


def read(**fields: object) -> tuple[Event, Json]:
    event, data = read_event(json.dumps(PLAIN | fields).encode())
    assert isinstance(event, Event)
    return event, json.loads(data)


def refusal(**fields: object) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read(**fields)
    return caught.value


@pytest.mark.parametrize("name", BLANK_FIELDS)
@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_a_blank_field_is_absent(name: str, blank: str | None, *, is_ascii: bool) -> None:
    data = json.dumps(PLAIN | {name: blank}, ensure_ascii=is_ascii).encode()
    event, kept = read_event(data)
    assert isinstance(event, Event)
    assert event == read()[0]
    assert DROPPED not in json.loads(kept)


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_value_inside_an_object_is_absent(blank: str | None) -> None:
    event, _ = read(
        references={"erp": [blank, "7"], "wms": blank, "oms": [blank]},
        location={"name": blank, "lat": blank, "lon": blank},
        destination={"town": blank, "country": "CN"},
        planned={"SHIPPED": blank},
    )
    assert event.references == {"erp": ["7"]}
    assert (event.location, event.planned) == (None, None)
    assert event.destination is not None
    assert (event.destination.town, event.destination.country) == (None, "CN")
    assert event.dropped_fields is None


def test_a_blank_attribute_is_a_value_of_its_own() -> None:
    event, _ = read(attributes={"remark": "", "colour": None}, carrier=" ")
    assert event.attributes == {"remark": "", "colour": None}


def test_a_blank_order_id_is_refused() -> None:
    assert "order_id" in refusal(order_id="", carrier="").reason


UNUSABLE: list[tuple[Json, list[str]]] = [
    ({"location": "Hub"}, ["location"]),
    ({"location": [1, 2]}, ["location"]),
    ({"location": {"lat": 91, "lon": 0}}, ["location.lat"]),
    ({"location": {"lat": 1, "lon": -180.5}}, ["location.lon"]),
    ({"location": {"lat": "31.2", "lon": 121.4}}, ["location.lat"]),
    ({"location": {"lat": True, "name": 7}}, ["location.lat", "location.name"]),
    ({"location": {"datum": "BD09", "lat": 1}}, ["location.datum"]),
    ({"location": {"name": "x" * 257, "lat": 1}}, ["location.name"]),
    ({"destination": {"country": 86, "lat": 100}}, ["destination.country", "destination.lat"]),
    ({"attributes": [1]}, ["attributes"]),
    ({"attributes": {"box": {"a": 1}, "list": [1]}}, ["attributes.box", "attributes.list"]),
    ({"attributes": {"": 1, "n" * 65: 1}}, ["attributes.", "attributes." + "n" * 65]),
    ({"planned": "tomorrow"}, ["planned"]),
    ({"planned": {"SHIPPED": "2024-03-01"}}, ["planned.SHIPPED"]),
    ({"planned": {"SHIPPED": 1_709_287_200}}, ["planned.SHIPPED"]),
    ({"planned": {"SHIPPED": "9999-12-31T00:00:00Z"}}, ["planned.SHIPPED"]),
    ({"promised_at": "soon"}, ["promised_at"]),
    ({"promised_at": "2024-13-01"}, ["promised_at"]),
    ({"promised_at": "2024-03-01T10:00:00"}, ["promised_at"]),
    ({"promised_at": "9999-12-31"}, ["promised_at"]),
    ({"promised_at": "1969-12-31"}, ["promised_at"]),
    ({"promised_at": 1_709_287_200}, ["promised_at"]),
    ({"promised_at": "Withdrawn"}, ["promised_at"]),
    ({"ship_by": {"date": "2024-03-01"}, "promised_at": "2024-03-02"}, ["ship_by"]),
    ({"carrier": 7}, ["carrier"]),
    ({"carrier": "x" * 257}, ["carrier"]),
    ({"carrier": ["sf"]}, ["carrier"]),
    ({"supplier_id": 42, "customer_id": 43}, ["supplier_id", "customer_id"]),
    ({"operator": 7, "ip": True}, ["operator", "ip"]),
    ({"replaces": 7}, ["replaces"]),
    ({"parcels_expected": 0}, ["parcels_expected"]),
    ({"parcels_expected": 251}, ["parcels_expected"]),
    ({"parcels_expected": "2"}, ["parcels_expected"]),
    ({"references": "SO-1"}, ["references"]),
    ({"references": ["SO-1"]}, ["references"]),
    ({"references": {"erp": 7}}, ["references.erp"]),
    ({"references": {"erp": [7, "SO-1", "x" * 257, {}]}}, ["references.erp"]),
    ({"references": {"erp": {"id": "1"}, "wms": "2"}}, ["references.erp"]),
    ({"references": {"k" * 65: "1", "": "2"}}, ["references." + "k" * 65, "references."]),
    ({"dropped_fields": 7}, ["dropped_fields"]),
]


@pytest.mark.parametrize(("fields", "dropped"), UNUSABLE)
def test_an_unusable_field_costs_only_itself_and_is_named(fields: Json, dropped: list[str]) -> None:
    event, kept = read(**fields)
    assert sorted(event.dropped_fields or []) == sorted(dropped)
    assert kept[DROPPED] == event.dropped_fields
    assert event.order_id == "o"
    assert event.status_code == "PAID"
    assert read_event(json.dumps(kept).encode())[0] == event, "it isn't usable yet"


def test_the_values_beside_an_unusable_one_stay() -> None:
    event, kept = read(
        location={"name": "Hub", "lat": 91, "lon": 4},
        references={"erp": [7, "SO-1"], "wms": "W"},
        attributes={"a": {}, "b": 1},
        planned={"SHIPPED": "x", "DELIVERED": "2024-03-02T00:00:00Z"},
    )
    assert kept["location"] == {"name": "Hub", "lon": 4}
    assert event.references == {"erp": ["SO-1"], "wms": "W"}
    assert event.attributes == {"b": 1}
    assert set(event.planned or ()) == {"DELIVERED"}


@pytest.mark.parametrize("field", ["promised_at", "ship_by"])
def test_a_promise_can_be_withdrawn(field: str) -> None:
    event, kept = read(**{field: "withdrawn"})
    assert getattr(event, field) == kept[field] == "withdrawn"
    assert event.dropped_fields is None


NEEDED: dict[str, list[object]] = {
    "kind": ["transfer", "rumour", 7, {}, "tick"],
    "corrects": [7, ["e1"], "x" * 257],
    "tenant": [7, True, "x" * 257],
    "format": [2, "1", 1.5],
    "recorded_at": ["yesterday", "2024-03-01T10:00:00", 7],
    "shipment": [7, "x" * 257],
    "waybill": [7, ["W1"], "x" * 257],
    "zone": ["Mars/Olympus", "/etc/passwd", "../UTC", "Europe", 8],
    "personal": ["Li Ming", ["Li Ming"], 7],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in NEEDED.items() for value in values]
)
def test_an_unusable_field_that_says_what_the_event_is_refuses_it_by_name(
    field: str, value: object
) -> None:
    reason = refusal(**{field: value})
    assert reason.code == "invalid_event"
    assert reason.reason.startswith(f"{field}: ") or f"$.{field}" in reason.reason


@pytest.mark.parametrize("customer", [7, "x" * 257, ["c1"], {"id": "c1"}])
def test_an_unusable_customer_refuses_the_event_where_personal_data_stands(
    customer: object,
) -> None:
    """Left out, the customer's data would be sealed under another key, and erased with none."""
    reason = refusal(customer_id=customer, personal={"name": "Li"})
    assert reason.code == "invalid_event"
    assert reason.reason.startswith("customer_id: ")
    nothing: tuple[object, ...] = ("", None, {})
    for missing in nothing:
        event, _ = read(customer_id=customer, personal=missing)
        assert event.dropped_fields == ["customer_id"]


def test_an_event_whose_only_number_is_unusable_names_what_was_left_out() -> None:
    reason = refusal(order_id=None, references={"erp": 7})
    assert reason.code == "no_order"
    assert "references.erp can't be used" in reason.reason


def test_the_last_of_a_field_that_comes_twice_counts_also_where_the_first_is_unusable() -> None:
    data = b'{"carrier":7,"carrier":"sf",' + json.dumps(PLAIN).encode()[1:]
    event, _ = read_event(data)
    assert isinstance(event, Event)
    assert (event.carrier, event.dropped_fields) == ("sf", None)


def test_a_tick_is_no_event_with_an_unusable_kind() -> None:
    event, _ = read_event(b'{"kind":"tick","recorded_at":"2024-03-01T00:00:00Z","zone":7}')
    assert not isinstance(event, Event)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(GOOD)), value=ANY, others=st.sets(st.sampled_from(sorted(GOOD))))
def test_whatever_stands_in_an_optional_field_nothing_but_the_field_is_lost(
    *,
    name: str,
    value: Any,  # noqa: ANN401 - any JSON
    others: set[str],
) -> None:
    rest = {other: GOOD[other] for other in others - {name}}
    event, kept = read(**rest, **{name: value})
    assert {n: v for n, v in kept.items() if n not in {name, DROPPED}} == PLAIN | rest
    assert {field_of(dropped) for dropped in event.dropped_fields or []} <= {name}
    alone, _ = read(**rest)
    assert all(
        getattr(event, other) == getattr(alone, other)
        for other in Event.__struct_fields__
        if other not in {name, DROPPED}
    )


def is_blank(value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Return True for a value without content: null, white space, or a list of such."""
    if isinstance(value, list):
        return all(map(is_blank, value))
    return value is None or (isinstance(value, str) and not value.strip())


@given(name=st.sampled_from(OBJECTS), key=TEXT, value=ANY)
def test_whatever_stands_in_an_object_nothing_but_that_is_lost(
    *,
    name: str,
    key: str,
    value: Any,  # noqa: ANN401 - any JSON
) -> None:
    good = {inner: held for inner, held in GOOD[name].items() if inner != key}
    _, kept = read(**{name: {**good, key: value}})
    held = kept[name]
    assert {inner: held[inner] for inner in good} == good
    assert set(held) - set(good) <= {key}
    assert len(kept.get(DROPPED, ())) <= 1
    assert key in held or kept.get(DROPPED) or is_blank(value), "lost without a word"


@given(name=st.sampled_from(sorted({*Event.__struct_fields__} - {DROPPED})), value=ANY)
def test_an_event_is_refused_only_for_a_field_that_says_what_it_is(
    *,
    name: str,
    value: Any,  # noqa: ANN401 - any JSON
) -> None:
    try:
        read(**{name: value})
    except Rejected as rejected:
        assert name in {*REQUIRED, *REFUSED}, rejected  # noqa: PT017 - nothing else may be refused


def in_cloud(fields: Json, *, is_binary: bool) -> tuple[bytes, Headers]:
    """A CloudEvent with these fields as its data."""
    names = {"id": "e", "source": "shop", "type": "PAID", "time": PLAIN["timestamp"]}
    envelope = {"specversion": "1.0", **names, "subject": "o"}
    if is_binary:
        return json.dumps(fields).encode(), [(f"ce_{n}", v.encode()) for n, v in envelope.items()]
    return json.dumps({**envelope, "data": fields}).encode(), []


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize(("fields", "dropped"), UNUSABLE)
def test_a_cloudevent_loses_only_the_unusable_field(
    fields: Json, dropped: list[str], *, is_binary: bool
) -> None:
    event, kept = read_message(*in_cloud(fields, is_binary=is_binary))
    assert isinstance(event, Event)
    assert sorted(event.dropped_fields or []) == sorted(dropped)
    assert event == read(**fields)[0]
    assert json.loads(kept)[DROPPED] == event.dropped_fields


@given(st.sampled_from(("carrier", "location.lat", "attributes.x.y", "\\x1b", "weight", "")))
def test_the_field_of_a_dropped_name_is_one_of_ours_or_other(name: str) -> None:
    assert field_of(name) in {*Event.__struct_fields__, "other"}
