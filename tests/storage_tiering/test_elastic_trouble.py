"""Temporary errors of a real Elasticsearch: each is waited out, and then everything is right.

A server of its own, as most of it concerns the whole node.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.stack.elasticsearch import Elasticsearch
from schemas.errors import Busy, Rejected
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from tests.storage_tiering.test_writer import Setting
from tests.support.tiers.elastic_places import drop_indices, install, need_elasticsearch
from tests.support.tiers.orders import START, Log, accepted, document, message

PREFIX = "ordertide"
ORDERS, EVENTS = "ordertide-orders-2017-10", "ordertide-events-2017-10"
# Of the memory for what is being written; a node's own default is a tenth of its heap.
PRESSURE_BYTES = 100_000
LONG = {"note": "x" * 500}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elasticsearch]:
    need_elasticsearch()
    settings = {"indexing_pressure.memory.limit": f"{PRESSURE_BYTES}b"}
    folder = tmp_path_factory.mktemp("elasticsearch")
    with Elasticsearch(folder, heap_mb=256, settings=settings) as started:
        install(started.address["url"], PREFIX)
        yield started


@pytest.fixture
def tier(server: Elasticsearch) -> Iterator[ElasticTier]:
    opened = ElasticTier(connect(server.address["url"]), PREFIX)
    yield opened
    drop_indices(opened.client, PREFIX)
    opened.close()


@pytest.fixture
def log() -> Log:
    return Log()


def write(tier: ElasticTier, version: int = 1) -> None:
    log = Log()
    tier.write_orders(log.changes(document(version=version)))
    tier.write_events(log.events(accepted(event_id=f"{version}")))
    assert tier.flush(force=True)


def version_in(tier: ElasticTier) -> int | None:
    found = tier.find("default", "e481f51c")
    return found.document.version if found else None


def set_cluster(tier: ElasticTier, **settings: object) -> None:
    """Two underscores are a dot; None takes a setting back."""
    named = {name.replace("__", "."): value for name, value in settings.items()}
    tier.client.cluster.put_settings(transient=named)


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("read_only_allow_delete", "the disks are full"),
        ("write", "an index is read-only"),
        ("read_only", "FORBIDDEN/5"),
    ],
)
@pytest.mark.parametrize("index", [ORDERS, EVENTS])
def test_a_blocked_index_is_busy_until_the_block_is_gone(
    tier: ElasticTier, block: str, reason: str, index: str
) -> None:
    write(tier, 1)
    tier.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": True})
    with pytest.raises(Busy, match=reason) as busy:
        write(tier, 2)
    assert busy.value.retry_after_s >= 1
    assert version_in(tier) == 1, "look-ups go on"
    tier.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": None})
    write(tier, 2)
    assert version_in(tier) == 2
    assert tier.counts().events == 2


def test_an_overloaded_node_is_busy_until_it_has_caught_up(tier: ElasticTier, log: Log) -> None:
    much = log.changes(*(document(f"o{n}", attributes=LONG) for n in range(400)))
    with pytest.raises(Busy, match="es_rejected_execution_exception"):
        tier.write_orders(much)
    for start in range(0, len(much), 50):
        tier.write_orders(much[start : start + 50])
    assert tier.counts().orders == 400


def test_a_node_short_of_memory_is_busy_until_it_has_some(tier: ElasticTier) -> None:
    write(tier, 1)
    set_cluster(tier, network__breaker__inflight_requests__limit="1b")
    try:
        with pytest.raises(Busy, match="circuit_breaking_exception"):
            write(tier, 2)
        with pytest.raises(Busy, match="circuit_breaking_exception"):
            version_in(tier)
    finally:
        set_cluster(tier, network__breaker__inflight_requests__limit=None)
    write(tier, 2)
    assert version_in(tier) == 2


def test_a_shard_that_is_not_there_is_busy_and_no_events_are_missed(
    tier: ElasticTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_red(tier, EVENTS)
    with monkeypatch.context() as impatient:
        impatient.setattr("storage_tiering.warm.elastic.periods.SHARD_TIMEOUT", "100ms")
        with pytest.raises(Busy, match="unavailable_shards_exception") as busy:
            write(tier)
    assert "已支付" not in busy.value.reason, "no document gets into a log"
    assert tier.periods.all() == {ORDERS: "2017-10", EVENTS: "2017-10"}
    tier.periods.refresh([ORDERS])
    with pytest.raises(Busy, match="missing shards"):
        version_in(tier)
    make_green(tier, EVENTS)
    write(tier)
    assert version_in(tier) == 1
    assert tier.counts().events == 1


def make_red(tier: ElasticTier, index: str) -> None:
    """An index without shards, as when the node that held them is gone."""
    nowhere = {"index.routing.allocation.require._name": "nowhere"}
    tier.client.indices.create(index=index, settings=nowhere, wait_for_active_shards="0")
    assert tier.client.cluster.health(index=index)["status"] == "red"


def make_green(tier: ElasticTier, index: str) -> None:
    anywhere = {"index.routing.allocation.require._name": None}
    tier.client.indices.put_settings(index=index, settings=anywhere)
    tier.client.cluster.health(index=index, wait_for_status="yellow", timeout="60s")


def test_a_closed_index_is_busy_until_it_is_opened(tier: ElasticTier) -> None:
    write(tier, 1)
    tier.client.indices.close(index=ORDERS)
    with pytest.raises(Busy, match="index_closed_exception"):
        write(tier, 2)
    tier.client.indices.open(index=ORDERS)
    write(tier, 2)
    assert version_in(tier) == 2


def test_a_node_with_no_room_for_another_index_is_busy(tier: ElasticTier) -> None:
    set_cluster(tier, cluster__max_shards_per_node=1)
    try:
        with pytest.raises(Busy, match="raise cluster"):
            write(tier)
    finally:
        set_cluster(tier, cluster__max_shards_per_node=None)
    write(tier)
    assert version_in(tier) == 1


def test_an_index_that_somebody_dropped_is_made_again(tier: ElasticTier) -> None:
    set_cluster(tier, action__auto_create_index="false")
    try:
        write(tier, 1)
        drop_indices(tier.client, PREFIX)
        with pytest.raises(Busy, match="index_not_found_exception"):
            write(tier, 2)
        write(tier, 2)
    finally:
        set_cluster(tier, action__auto_create_index=None)
    assert version_in(tier) == 2


CONFLICTS: dict[str, dict[str, Any]] = {
    "a name with a null byte": {"attributes": {"col\0our": "red"}},
    "a date that is none": {"created_at": "yesterday"},
    "a parcel's date that is none": {"shipments": [{"shipment": "", "updated_at": "2017-13-40"}]},
}


@pytest.mark.parametrize("conflict", CONFLICTS.values(), ids=CONFLICTS)
def test_a_record_that_does_not_fit_is_rejected_alone(
    tier: ElasticTier, log: Log, tmp_path: Path, conflict: dict[str, Any]
) -> None:
    orders = [document(f"o{n}") for n in range(9)] + [document("misfit", **conflict)]
    with pytest.raises(Rejected, match="mapping_conflict: document_parsing_exception"):
        tier.write_orders(log.changes(*orders))
    assert tier.counts().orders == 9, "the others were taken"
    messages = [message(record, START) for record in log.changes(*orders)]
    messages += [message(record) for record in log.events(accepted("o1"), accepted("misfit"))]
    setting = Setting(tier, messages, tmp_path)
    setting.write_all()
    setting.stop.set()
    setting.writer.run()
    assert [code for _, code in setting.letters.letters] == ["mapping_conflict"]
    assert setting.reader.committed == len(messages)
    assert (tier.counts().orders, tier.counts().events) == (9, 2)


def test_a_batch_with_a_misfit_waits_first_for_what_can_pass(tier: ElasticTier, log: Log) -> None:
    write(tier, 1)
    tier.client.indices.put_settings(index=ORDERS, settings={"index.blocks.write": True})
    misfit = document("misfit", created_at="yesterday", warm_period="2017-11")
    batch = log.changes(document(version=2), misfit)
    with pytest.raises(Busy):
        tier.write_orders(batch)
    tier.client.indices.put_settings(index=ORDERS, settings={"index.blocks.write": None})
    with pytest.raises(Rejected):
        tier.write_orders(batch)
    assert tier.flush(force=True)
    assert version_in(tier) == 2


@pytest.mark.parametrize("value", [b"1e999", b'"\xc9"'])
def test_a_number_beyond_all_floats_and_bytes_that_are_no_text_are_rejected(
    value: bytes, tier: ElasticTier, log: Log
) -> None:
    (record,) = log.events(accepted())
    strange = record.data.replace(b'"source":"shop"', b'"source":"shop","weight_kg":' + value)
    with pytest.raises(Rejected, match="unreadable_value"):
        tier.write_events([msgspec.structs.replace(record, data=strange)])
