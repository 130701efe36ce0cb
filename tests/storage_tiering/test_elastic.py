"""The warm tier on Elasticsearch alone: indices, fields, refreshes, queries."""

import time
from collections.abc import Iterator, Mapping

import msgspec
import pytest
from elasticsearch import Elasticsearch

from schemas.errors import Rejected, SettingsError
from schemas.instants import HOUR_MS, format_instant
from schemas.order import AcceptedEvent
from schemas.search import OrderQuery
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.documents import order_id_of
from storage_tiering.warm.elastic.tier import ElasticTier
from tests.support.alerts import alert, order
from tests.support.tiers.elastic_places import drop_indices, indices_of, shared_place
from tests.support.tiers.orders import PERIOD_END, START, WARM_KEEP_MS, Log, accepted, document

pytestmark = pytest.mark.stack

NOVEMBER = PERIOD_END + HOUR_MS
SELDOM_S = 1e9


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[str, str]]:
    with shared_place() as made:
        yield made


@pytest.fixture
def tier(place: tuple[str, str]) -> Iterator[ElasticTier]:
    url, prefix = place
    opened = ElasticTier(connect(url), prefix)
    yield opened
    drop_indices(opened.client, prefix)
    opened.close()


@pytest.fixture
def log() -> Log:
    return Log()


def with_original(event: AcceptedEvent, original: Mapping[str, object]) -> AcceptedEvent:
    return msgspec.structs.replace(event, event=msgspec.Raw(msgspec.json.encode(original)))


def indices(tier: ElasticTier) -> set[str]:
    return indices_of(tier.client, tier.names.prefix)


def names(tier: ElasticTier, query: OrderQuery, limit: int = 100) -> list[str]:
    return [found.order_id for found in tier.search(query, limit=limit).orders]


def total(client: Elasticsearch, index: str, query: Mapping[str, object]) -> int:
    return int(client.count(index=index, query=query)["count"])


def test_orders_lie_by_their_period_and_events_by_their_arrival(
    tier: ElasticTier, log: Log
) -> None:
    tier.write_orders(log.changes(document("a"), document("b", warm_period="2017-11")))
    tier.write_events(log.events(accepted("a", at=START, arrival_at=NOVEMBER)))
    assert indices(tier) == {"orders-2017-10", "orders-2017-11", "events-2017-11"}


def test_the_events_of_an_order_are_found_over_all_months(tier: ElasticTier, log: Log) -> None:
    timeline = [accepted(event_id="1"), accepted(event_id="2", at=NOVEMBER)]
    tier.write_orders(log.changes(document()))
    tier.write_events(log.events(*timeline))
    assert tier.flush(force=True)
    found = tier.find("default", "e481f51c")
    assert found is not None
    assert found.timeline == timeline


def test_an_order_with_more_events_than_a_page_has_them_all(
    tier: ElasticTier, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage_tiering.warm.elastic.search.PAGE", 10)
    tier.write_orders(log.changes(document()))
    timeline = [accepted(event_id=str(number), at=START + number) for number in range(30)]
    tier.write_events(log.events(*timeline))
    assert tier.flush(force=True)
    found = tier.find("default", "e481f51c")
    assert found is not None
    assert found.timeline == timeline


def test_an_outdated_period_is_a_dropped_index(tier: ElasticTier, log: Log) -> None:
    tier.write_orders(log.changes(document("a"), document("b", warm_period="2017-11")))
    tier.write_events(log.events(accepted("a"), accepted("b", at=NOVEMBER)))
    tier.expire(PERIOD_END + WARM_KEEP_MS - 1)
    assert len(indices(tier)) == 4
    tier.expire(PERIOD_END + WARM_KEEP_MS)
    assert indices(tier) == {"orders-2017-11", "events-2017-11"}
    assert tier.flush(force=True)
    assert tier.find("default", "b") is not None


def test_late_records_do_not_bring_an_outdated_period_back(
    tier: ElasticTier, place: tuple[str, str], log: Log
) -> None:
    tier.expire(PERIOD_END + WARM_KEEP_MS)
    assert tier.flush(force=True)
    later = ElasticTier(connect(place[0]), place[1])  # started after that
    for each in (tier, later):
        each.write_orders(log.changes(document()))
        each.write_events(log.events(accepted()))
    later.close()
    assert indices(tier) == set()


def test_indices_of_others_with_a_similar_name_are_left_alone(tier: ElasticTier) -> None:
    strange = f"{tier.names.prefix}-orders-2017-10-copy"
    tier.client.indices.create(index=strange)
    tier.expire(PERIOD_END + WARM_KEEP_MS)
    assert tier.client.indices.exists(index=strange)
    tier.client.indices.delete(index=strange)


def test_what_is_committed_can_be_searched(place: tuple[str, str], tier: ElasticTier) -> None:
    log, writer = Log(), ElasticTier(connect(place[0]), place[1], refresh_every_s=SELDOM_S)
    writer.write_orders(log.changes(document(version=1)))
    assert writer.flush(), "the first one is due at once"
    writer.write_orders(log.changes(document(version=2)))
    assert not writer.flush(), "nothing is committed that searches may not see"
    assert [found.version for found in tier.search(OrderQuery()).orders] == [1]
    assert writer.flush(force=True)
    assert [found.version for found in tier.search(OrderQuery()).orders] == [2]
    assert writer.flush(), "nothing was written since"
    writer.close()


def test_freshness_is_said_only_of_what_can_be_searched(
    place: tuple[str, str], tier: ElasticTier
) -> None:
    log, writer = Log(), ElasticTier(connect(place[0]), place[1], refresh_every_s=SELDOM_S)
    assert writer.flush()
    writer.write_orders(log.changes(document()))
    writer.expire(START)
    assert tier.progress.watermark() is None
    assert writer.flush(force=True)
    assert tier.progress.watermark() == START
    writer.close()


def test_of_two_writers_the_one_behind_takes_nothing_back(
    place: tuple[str, str], tier: ElasticTier
) -> None:
    behind = ElasticTier(connect(place[0]), place[1])
    for writer, watermark in ((tier, START + 5), (behind, START + 1)):
        writer.expire(watermark)
        assert writer.flush(force=True)
    assert tier.progress.watermark() == START + 5
    behind.close()


def test_no_field_is_made_of_what_comes(tier: ElasticTier, log: Log) -> None:
    tier.periods.ensure([tier.names.orders("2017-10"), tier.names.events("2017-10")])
    empty = tier.client.indices.get_mapping(index=tier.names.all_periods).body
    before = {"c..d": 1, "": 2, "source": {"no": "text"}, "location": {"lat": 95, "lon": "east"}}
    tier.write_orders(log.changes(document(attributes={"a.b": 1, "colour": "red"})))
    tier.write_events(log.events(with_original(accepted(), before)))
    assert tier.flush(force=True)
    found = tier.find("default", "e481f51c")
    assert found is not None
    assert msgspec.json.decode(found.timeline[0].event) == before
    assert tier.client.indices.get_mapping(index=tier.names.all_periods) == empty
    assert len(empty) == 2


def test_an_order_is_found_by_its_attributes_parcels_and_places(
    tier: ElasticTier, log: Log
) -> None:
    parcels = [
        {"shipment": "SF1", "status": "IN_TRANSIT", "location": {"lat": 31.2, "lon": 121.5}},
        {"shipment": "SF2", "status": "DELIVERED", "location": {"name": "上海"}},
    ]
    written = document(
        shipments=parcels, attributes={"cold_chain": True}, references={"erp": ["SO-17"]}
    )
    tier.write_orders(log.changes(written))
    assert tier.flush(force=True)
    in_shanghai = {"distance": "50km", "geo.location": {"lat": 31.23, "lon": 121.47}}
    of_one_parcel = [
        {"term": {"shipments.shipment": "SF1"}},
        {"term": {"shipments.status": "DELIVERED"}},
    ]
    questions: list[tuple[dict[str, object], int]] = [
        ({"term": {"attributes.cold_chain": "true"}}, 1),
        ({"term": {"references.erp": "SO-17"}}, 1),
        (
            {"range": {"created_at": {"gte": format_instant(START), "lte": format_instant(START)}}},
            1,
        ),
        ({"range": {"created_at": {"gt": format_instant(START)}}}, 0),
        ({"geo_distance": in_shanghai}, 1),
        ({"term": {"geo.name": "上海"}}, 1),
        ({"term": {"derived.attributes.cold_chain": True}}, 1),
        ({"nested": {"path": "shipments", "query": of_one_parcel[0]}}, 1),
        ({"nested": {"path": "shipments", "query": {"bool": {"filter": of_one_parcel}}}}, 0),
    ]
    for query, expected in questions:
        assert total(tier.client, tier.names.orders("*"), query) == expected, query


def stats(tier: ElasticTier, field: str) -> tuple[int, float | None]:
    """(values, mean) of a field of orders."""
    aggregation = {"found": {"stats": {"field": field}}}
    answer = tier.client.search(index=tier.names.orders("*"), size=0, aggs=aggregation)
    found = answer["aggregations"]["found"]
    return found["count"], found["avg"]


def hours(count: int) -> str:
    return format_instant(START + count * HOUR_MS)


def test_durations_and_kept_promises_can_be_aggregated(tier: ElasticTier, log: Log) -> None:
    reached = {"PAID": hours(0), "SHIPPED": hours(12), "DELIVERED": hours(36)}
    tier.write_orders(
        log.changes(
            document("late", milestones=reached, promised_at=hours(30)),
            document("early", milestones=reached, promised_at=hours(40)),
            document("open", promised_at=hours(1)),
        )
    )
    assert tier.flush(force=True)
    assert stats(tier, "derived.delivery_h") == (2, 36.0)
    assert stats(tier, "derived.hours_late") == (2, 1.0)
    assert stats(tier, "derived.stage_h.0") == (2, 12.0)
    assert stats(tier, "derived.stage_h.2") == (2, 24.0)
    assert stats(tier, "derived.stage_h.4") == (0, None), "the last one has no end"
    assert stats(tier, "derived.hours_to.SHIPPED") == (2, 12.0)
    orders = tier.names.orders("*")
    for kept in (True, False):
        assert total(tier.client, orders, {"term": {"derived.promise_kept": kept}}) == 1
    shipped = {"days": {"date_histogram": {"field": "milestones.SHIPPED", "fixed_interval": "1d"}}}
    answer = tier.client.search(index=orders, size=0, aggs=shipped)
    assert [each["doc_count"] for each in answer["aggregations"]["days"]["buckets"]] == [2]


def test_what_grows_by_itself_is_asked_as_a_range_to_now(tier: ElasticTier, log: Log) -> None:
    def ago(count: int) -> str:
        return format_instant(int(time.time() * 1000) - count * HOUR_MS)

    promised = {"late": 30, "later": 60, "delivered": 60, "in time": -5}
    reached = {"delivered": {"DELIVERED": ago(1)}}
    tier.write_orders(
        log.changes(
            *(
                document(name, promised_at=ago(count), milestones=reached.get(name, {}))
                for name, count in promised.items()
            )
        )
    )
    assert tier.flush(force=True)
    bounds = [{"from": "now-48h", "to": "now"}, {"to": "now-48h"}]
    buckets = {"late": {"date_range": {"field": "promised_at", "ranges": bounds}}}
    not_delivered = {"bool": {"must_not": {"exists": {"field": "derived.delivered_at"}}}}
    orders = tier.names.orders("*")
    answer = tier.client.search(index=orders, query=not_delivered, size=0, aggs=buckets)
    found = answer["aggregations"]["late"]["buckets"]
    assert [each["doc_count"] for each in found] == [1, 1]
    silent = {"range": {"updated_at": {"lt": "now-24h"}}}
    assert total(tier.client, orders, silent) == len(promised), "all of them since 2017"


def test_an_event_is_found_by_what_its_original_says(tier: ElasticTier, log: Log) -> None:
    original = {
        "event_id": "e-7",
        "source": "carrier:sf",
        "waybill": "SF1",
        "customer_id": "C-1017",
        "operator": "u-5",
        "ip": "192.0.2.7",
        "attributes": {"colour": "red", "a.b": 2, "": 1, "c\0d": 3, "e": {"no": "scalar"}},
        "location": {"name": "广州", "lat": 23.1, "lon": 113.3},
    }
    tier.write_events(log.events(with_original(accepted(), original)))
    assert tier.flush(force=True)
    box = {"top_left": {"lat": 24, "lon": 113}, "bottom_right": {"lat": 23, "lon": 114}}
    instant = {"gte": format_instant(START), "lte": format_instant(START)}
    questions: list[dict[str, object]] = [
        {"term": {"event.id": "e-7"}},
        {"term": {"event.provider": "carrier:sf"}},
        {"range": {"event.created": instant}},
        {"range": {"@timestamp": instant}},
        {"term": {"user.id": "u-5"}},
        {"term": {"source.ip": "192.0.2.0/24"}},
        {"term": {"derived.waybill": "SF1"}},
        {"term": {"derived.customer_id": "C-1017"}},
        {"term": {"derived.attributes.colour": "red"}},
        {"term": {"geo.name": "广州"}},
        {"geo_bounding_box": {"geo.location": box}},
    ]
    for query in questions:
        assert total(tier.client, tier.names.events("*"), query) == 1, query


def test_an_order_can_be_fetched_by_its_id(tier: ElasticTier, log: Log) -> None:
    tier.write_orders(log.changes(document("订单/1", tenant="acme")))
    index, name = tier.names.orders("2017-10"), order_id_of("acme\x1f订单/1")
    assert tier.client.get(index=index, id=name)["_source"]["order_id"] == "订单/1"


def test_a_query_gives_the_newest_first_over_all_periods(tier: ElasticTier, log: Log) -> None:
    periods = ("2017-10", "2017-11", "2017-12")
    made = [document(f"o{n}", updated_at=START + n, warm_period=periods[n % 3]) for n in range(9)]
    tier.write_orders(log.changes(*made))
    assert tier.flush(force=True)
    assert names(tier, OrderQuery(), limit=4) == ["o8", "o7", "o6", "o5"]
    assert names(tier, OrderQuery(changed_since=START + 6)) == ["o8", "o7", "o6"]


def test_a_query_asks_for_status_and_lane(tier: ElasticTier, log: Log) -> None:
    tier.write_orders(
        log.changes(
            document("a", lane="overdue", updated_at=START + 2),
            document("b", lane="overdue", status="SHIPPED", updated_at=START + 1),
            document("c", status="SHIPPED"),
        )
    )
    assert tier.flush(force=True)
    assert names(tier, OrderQuery(lane="overdue")) == ["a", "b"]
    assert names(tier, OrderQuery(status="SHIPPED")) == ["b", "c"]
    assert names(tier, OrderQuery(status="SHIPPED", lane="overdue")) == ["b"]


def test_ten_thousand_documents_come_back_as_they_were(tier: ElasticTier, log: Log) -> None:
    written = {
        f"o{n}": document(f"o{n}", 2, START + n, customer_id=f"客户-{n % 97}", lane="warning")
        for n in range(10_000)
    }
    batch = log.changes(*written.values())
    for start in range(0, len(batch), 500):
        tier.write_orders(batch[start : start + 500])
    assert tier.flush(force=True)
    found = tier.search(OrderQuery(), limit=10_000).orders
    assert {order.order_id: order for order in found} == written


@pytest.mark.parametrize("period", ["", "2017-13", "../2017-10", "2017-1*", "2017-10,x"])
def test_a_period_that_is_no_month_is_rejected(tier: ElasticTier, log: Log, period: str) -> None:
    with pytest.raises(Rejected, match="bad_period"):
        tier.write_orders(log.changes(document(warm_period=period)))
    assert indices(tier) == set()


@pytest.mark.parametrize("prefix", ["", "Orders", "-orders", "a*", "a,b", "a b", "a/b", "x" * 65])
def test_a_prefix_that_begins_no_index_name_is_refused(prefix: str) -> None:
    with connect("http://127.0.0.1:9") as client, pytest.raises(SettingsError, match="prefix"):
        ElasticTier(client, prefix)


def test_an_escalated_alert_is_found_by_the_start_and_deadline_of_its_escalation(
    tier: ElasticTier, log: Log
) -> None:
    escalated_at = format_instant(START + 24 * HOUR_MS)
    warning = alert("late_delivery", "warning", "a")
    because = warning["because"] | {"limit": "0s", "due_at": escalated_at}
    overdue = alert("late_delivery", "overdue", "b")
    overdue |= {"escalated_at": escalated_at, "because": because}
    tier.write_orders(log.changes(order("a", 1, warning), order("b", 1, overdue)))
    assert tier.flush(force=True)
    of_one_alert = [
        {"term": {"open_alerts.because.limit": "0s"}},
        {"range": {"open_alerts.escalated_at": {"gte": escalated_at}}},
        {"range": {"open_alerts.because.due_at": {"gte": escalated_at}}},
    ]
    orders = tier.names.orders("*")
    nested = {"nested": {"path": "open_alerts", "query": {"bool": {"filter": of_one_alert}}}}
    assert total(tier.client, orders, nested) == 1
    assert total(tier.client, orders, {"term": {"derived.alerts.rules": "late_delivery"}}) == 2
    assert total(tier.client, orders, {"term": {"derived.alerts.severities": "overdue"}}) == 1
    assert total(tier.client, orders, {"term": {"derived.alerts.count": 1}}) == 2
