"""Contract of carrier plug-ins, on real pushes and on garbage."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataflows.carriers.carrier import Carrier
from dataflows.carriers.installed import open_carrier
from dataflows.carriers.wording import canonical_carrier
from dataflows.definition_files import read_lifecycle
from schemas.errors import Busy, Rejected
from schemas.event import Event, decode_event
from schemas.plugins import CARRIERS
from tests.support.carrier_samples import SAMPLES, Sample

CODES = set(read_lifecycle().codes)
REASONS = {
    *(
        "invalid_utf8",
        "malformed_json",
        "invalid_event",
        "implausible_time",
        "too_large",
        "no_order",
    ),
}

# The fixtures are stateless: one instance serves all examples. A crowded machine generates slowly.
fuzz = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)

UNKNOWN = dict.fromkeys(("statusCode", "opCode", "status_code", "scanTypeCode"), "777")

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(params=sorted(SAMPLES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sample(name: str) -> Sample:
    return SAMPLES[name]


@pytest.fixture
def carrier(name: str, sample: Sample) -> Carrier:
    return open_carrier(name, sample.settings)


def decoded(events: list[dict[str, Any]]) -> list[Event]:
    found = [decode_event(msgspec.json.encode(event)) for event in events]
    assert all(isinstance(event, Event) for event in found)
    return [event for event in found if isinstance(event, Event)]


def test_every_carrier_that_ordertide_brings_is_under_contract() -> None:
    points = CARRIERS.installed().values()
    ours = {point.name for point in points if point.dist and point.dist.name == "ordertide"}
    assert ours == set(SAMPLES)


def test_a_push_with_its_signature_is_the_carriers(carrier: Carrier, sample: Sample) -> None:
    for payload in sample.payloads():
        carrier.verify(*sample.sign(payload, sample.secret))


def test_a_push_signed_with_another_secret_is_refused(carrier: Carrier, sample: Sample) -> None:
    for payload in sample.payloads():
        with pytest.raises(Rejected, match=r"^bad_signature: "):
            carrier.verify(*sample.sign(payload, f"{sample.secret}?"))


def test_a_push_without_a_signature_is_refused(carrier: Carrier, sample: Sample) -> None:
    for payload in sample.payloads():
        with pytest.raises(Rejected, match=r"^bad_signature: "):
            carrier.verify(*sample.unsigned(payload))


@fuzz
@given(body=st.binary(max_size=200))
def test_garbage_is_never_signed(carrier: Carrier, body: bytes) -> None:
    with pytest.raises(Rejected, match=r"^bad_signature: "):
        carrier.verify({}, body)


def test_a_taken_push_is_acknowledged_in_the_carriers_own_words(
    carrier: Carrier, sample: Sample
) -> None:
    answer = carrier.acknowledge(None)
    assert (answer.status, answer.body) == (200, sample.taken)
    assert answer.headers == {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("error", "status"), [(Busy("Kafka is away"), 503), (Rejected("x", "not ours"), 400)]
)
def test_a_push_that_was_not_taken_is_not_acknowledged(
    carrier: Carrier, sample: Sample, error: Busy | Rejected, status: int
) -> None:
    answer = carrier.acknowledge(error)
    assert answer.status == status
    said, taken = json.loads(answer.body), json.loads(sample.taken)
    assert said.keys() == taken.keys()
    assert all(said[field] != taken[field] for field in said)
    assert error.reason in said.values()


def test_every_event_is_one_that_the_engine_takes(carrier: Carrier, sample: Sample) -> None:
    for payload in sample.payloads():
        events = decoded(carrier.events(sample.body(payload)))
        assert len(events) == len(sample.nodes(payload))
        for event in events:
            assert event.status_code in CODES
            assert event.source == f"carrier:{carrier.name}"
            assert event.carrier == canonical_carrier(event.carrier or "")
            assert event.waybill
            assert (event.order_id is not None) == sample.names_orders


def test_every_scan_has_its_own_id_even_two_in_one_second(carrier: Carrier, sample: Sample) -> None:
    for payload in sample.payloads():
        events = decoded(carrier.events(sample.body(payload)))
        assert len({(event.source, event.event_id) for event in events}) == len(events)


def test_the_same_push_twice_gives_the_same_events(carrier: Carrier, sample: Sample) -> None:
    for payload in sample.payloads():
        body = sample.body(payload)
        assert carrier.events(body) == carrier.events(body)


@fuzz
@given(lots=st.randoms(use_true_random=False))
def test_a_scan_gives_the_same_event_in_every_push_that_holds_it(
    carrier: Carrier, sample: Sample, lots: random.Random
) -> None:
    for payload in sample.payloads():
        nodes = sample.nodes(payload)
        alone = carrier.events(sample.body(payload))
        chosen = lots.sample(range(len(nodes)), lots.randint(0, len(nodes)))
        other = sample.with_nodes(payload, [nodes[i] for i in chosen])
        assert carrier.events(sample.body(other)) == [alone[i] for i in chosen]


def test_an_unknown_code_is_a_scan_that_keeps_its_code(carrier: Carrier, sample: Sample) -> None:
    payload = sample.payloads()[0]
    nodes = [node | UNKNOWN for node in sample.nodes(payload)]
    for event in carrier.events(sample.body(sample.with_nodes(payload, nodes))):
        assert (event["status_code"], event["raw_status"]) == ("SCAN", "777")


def test_a_code_can_be_mapped_by_the_settings(name: str, sample: Sample) -> None:
    carrier = open_carrier(name, {**sample.settings, "statuses": {"777": "LOST"}})
    payload = sample.payloads()[0]
    nodes = [node | UNKNOWN for node in sample.nodes(payload)]
    events = carrier.events(sample.body(sample.with_nodes(payload, nodes)))
    assert {event["status_code"] for event in events} == {"LOST"}


@pytest.mark.parametrize("zone", ["+07:00", "Asia/Bangkok"])
def test_a_time_without_a_zone_is_in_the_configured_zone(
    carrier: Carrier, name: str, sample: Sample, zone: str
) -> None:
    body = sample.body(sample.payloads()[0])
    further_west = open_carrier(name, {**sample.settings, "zone": zone})
    for here, there in zip(
        decoded(carrier.events(body)), decoded(further_west.events(body)), strict=True
    ):
        assert there.at - here.at == 3_600_000
        assert there.event_id == here.event_id


@fuzz
@given(body=st.binary(max_size=300))
def test_bytes_that_say_nothing_are_rejected(carrier: Carrier, body: bytes) -> None:
    with pytest.raises(Rejected) as rejected:
        carrier.events(body)
    assert rejected.value.code in REASONS


@fuzz
@given(data=anything)
def test_any_json_gives_valid_events_or_is_rejected(
    carrier: Carrier, sample: Sample, data: object
) -> None:
    takes_or_rejects(carrier, sample.body(json.dumps(data)))


@fuzz
@given(lots=st.randoms(use_true_random=False), value=anything)
def test_a_push_with_a_broken_field_gives_valid_events_or_is_rejected(
    carrier: Carrier, sample: Sample, lots: random.Random, value: object
) -> None:
    for payload in sample.payloads():
        data = json.loads(payload)
        damage(data, lots, value)
        takes_or_rejects(carrier, sample.body(json.dumps(data)))


@pytest.mark.parametrize("payload", ["[" * 100_000, '{"x":' * 100_000, '"\\ud800"', "NaN", ""])
def test_malformed_json_is_rejected(carrier: Carrier, sample: Sample, payload: str) -> None:
    with pytest.raises(Rejected) as rejected:
        carrier.events(sample.body(payload))
    assert rejected.value.code in {"malformed_json", "invalid_event"}


@pytest.mark.parametrize(
    "time", ["", "yesterday", "2016-01-04", "20160104", "2016-13-04 20:16:42", "9" * 5_000]
)
def test_a_push_of_one_scan_without_a_time_is_rejected(
    carrier: Carrier, sample: Sample, time: str
) -> None:
    payload = sample.payloads()[0]
    node = sample.nodes(payload)[0] | timed(time) | {"ftime": None}
    with pytest.raises(Rejected, match="time: ") as rejected:
        carrier.events(sample.body(sample.with_nodes(payload, [node])))
    assert rejected.value.code == "invalid_event"
    assert len(rejected.value.reason) < 100


@pytest.mark.parametrize("time", ["0001-01-01 00:00:00", "9999-12-31T23:59:59-23:59"])
def test_a_push_whose_only_scan_is_from_a_broken_clock_is_rejected(
    carrier: Carrier, sample: Sample, time: str
) -> None:
    payload = sample.payloads()[0]
    node = sample.nodes(payload)[0] | timed(time) | {"ftime": None}
    with pytest.raises(Rejected, match=r"^implausible_time: "):
        carrier.events(sample.body(sample.with_nodes(payload, [node])))


@pytest.mark.parametrize(
    "time",
    ["", None, "0000-00-00 00:00:00", "0000-00-00", "2016-01-04", "2016-02-30 01:00:00", 5, {}],
)
def test_a_scan_without_a_time_is_noted_and_the_others_count(
    carrier: Carrier, sample: Sample, time: object
) -> None:
    payload = sample.payloads()[0]
    nodes = sample.nodes(payload)
    odd = [nodes[0] | timed(time)]
    mixed = sample.with_nodes(payload, [nodes[0], *odd, *nodes[1:]])
    contents = carrier.contents(sample.body(mixed))
    assert contents.events == carrier.events(sample.body(payload))
    (unreadable,) = contents.unreadable
    assert unreadable.is_lost
    assert "[1]" in unreadable.place
    assert "time: " in unreadable.error.reason


@pytest.mark.parametrize("node", [None, 7, "text", [], {}, {"mailno": None}])
def test_a_scan_that_is_none_is_noted_and_the_others_count(
    carrier: Carrier, sample: Sample, node: object
) -> None:
    payload = sample.payloads()[0]
    nodes = sample.nodes(payload)
    mixed = sample.with_nodes(payload, [*nodes, node])
    contents = carrier.contents(sample.body(mixed))
    assert contents.events == carrier.events(sample.body(payload))
    assert [one.is_lost for one in contents.unreadable] == [True]


def test_scans_without_a_mapping_are_named(carrier: Carrier, sample: Sample) -> None:
    payload = sample.payloads()[0]
    nodes = sample.nodes(payload)
    assert carrier.contents(sample.body(payload)).unmapped == frozenset()
    mixed = [nodes[0], nodes[1] | UNKNOWN]
    contents = carrier.contents(sample.body(sample.with_nodes(payload, mixed)))
    assert contents.unmapped == {1}


def timed(time: object) -> dict[str, object]:
    """The fields that hold a scan's time, whatever the carrier calls it."""
    return dict.fromkeys(("time", "ftime", "acceptTime", "timestamp", "scanTime"), time)


def takes_or_rejects(carrier: Carrier, body: bytes) -> None:
    """Events that the engine takes, or one of the documented reasons; nothing else."""
    try:
        events = carrier.events(body)
    except Rejected as rejected:
        if rejected.code not in REASONS:
            raise
        return
    assert all(event.status_code in CODES for event in decoded(events))


def damage(data: dict[str, Any], lots: random.Random, value: object) -> None:
    """Put `value` in the place of something in `data`, at any depth, or take something away."""
    parent, key = lots.choice(list(all_places(data)))
    if lots.random() < 0.2:
        del parent[key]
    else:
        parent[key] = copy.deepcopy(value)


def all_places(data: object) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything below `data`."""
    if not isinstance(data, dict | list):
        return
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, inner in items:
        yield data, key
        yield from all_places(inner)
