"""The query of a carrier that answers with our own fields."""

import json
from urllib.parse import parse_qsl

import pytest

from dataflows.carriers.installed import open_carrier, open_poller
from dataflows.carriers.pollable import Asked, Poller
from schemas.errors import SettingsError
from tests.support.carrier_samples import PAYLOADS

PUSH = PAYLOADS / "rest" / "depot.json"
ONE, TWO = Asked("DP000001", "depot"), Asked("DP000002", "depot")


def poller(**options: str) -> Poller:
    found, _ = open_poller("rest", {"url": "http://x", "carriers": "depot"} | options)
    assert isinstance(found, Poller)
    return found


def test_a_query_names_the_parcels_of_a_batch_and_the_token() -> None:
    asking = poller(batch="2", token="t 1")
    assert asking.batch == 2
    request = asking.request([ONE, TWO], 0)
    assert (request.method, request.body) == ("GET", None)
    named = [("waybill", "DP000001"), ("waybill", "DP000002")]
    assert parse_qsl(request.path.removeprefix("?")) == named
    assert request.headers == {"authorization": "Bearer t 1"}
    assert poller().request([ONE], 0).headers == {}


def test_an_answer_gives_the_events_of_a_push() -> None:
    pushed = open_carrier("rest", {"token": "0123456789abcdef"}).events(PUSH.read_bytes())
    assert poller().read([ONE], PUSH.read_bytes()).contents.events == pushed


def test_a_scan_without_a_carrier_is_that_of_the_parcel_and_one_without_a_waybill_none() -> None:
    place = {"name": "Recife", "lat": -8.05, "lon": -34.88}
    scan = {"status_code": "IN_TRANSIT", "timestamp": "2026-03-01T10:00:00Z", "location": place}
    scans = [scan | {"waybill": "DP000001"}, scan | {"order_id": "SO-1"}]
    (event,), _, unreadable = poller().read([ONE], json.dumps(scans).encode()).contents
    assert (event["waybill"], event["carrier"], event["location"]) == ("DP000001", "depot", place)
    assert [each.place for each in unreadable] == ["events[1]"]
    assert poller().read([ONE], b"[]").contents.events == []


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"carriers": ""}, "write the codes of its carriers"),
        ({"carriers": "顺丰"}, "write sf"),
        ({"batch": "0"}, "from 1 to 100"),
        ({"batch": "many"}, "from 1 to 100"),
        ({"batch": "101"}, "from 1 to 100"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, str], part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        poller(**options)
