"""The index templates in a real Elasticsearch: installed once, renewed, never taken back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from schemas.errors import StateError
from schemas.order import AcceptedEvent, OrderDocument
from schemas.outcomes import OutcomeQuery
from schemas.search import OrderQuery
from storage_tiering.warm.elastic import templates as elastic_templates
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.rewriting import Rewriting
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.elastic.vocabulary import Vocabulary
from tests.contracts.test_outcomes import action, entry, records
from tests.support import stack
from tests.support.tiers.elastic_places import clear, indices_of, install
from tests.support.tiers.orders import START, Log, accepted, document

SHIPPED = Path(elastic_templates.__file__).parent / "index_templates"
# Whoever changes a template gives it a new version and writes its digest here.
DIGESTS = {
    1: "bcbc3124be5f02c9917c6a2626285e63",
    2: "48e2af50789783d3ec20f15fd15d74a9",
    3: "a6c07a507a82400a1da5b861a351e03d",
    4: "ea2b9065dc617fffe95a0fe224e3257b",
    5: "2b99b5721443c31533a3c4e50fb6cff5",
    6: "d48318e0a087fd81955f73d306065225",
    7: "2d490b6b162a6a1b03fcfedee181de23",
    8: "d232f8f405f8aa3c4d88c142ed05fe9f",
}


VOCABULARY = Vocabulary(stages={"PAID": 0, "SHIPPED": 2}, attributes={"cold_chain": "bool"})


@pytest.fixture
def tier() -> Iterator[ElasticTier]:
    """With nothing installed."""
    url, prefix = stack.address("elasticsearch")["url"], stack.namespace()
    opened = ElasticTier(connect(url), prefix)
    yield opened
    opened.close()
    clear(url, prefix)


@pytest.fixture
def former(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of templates of a release that had no lanes yet."""
    folder = tmp_path / "templates"
    shutil.copytree(SHIPPED, folder)
    change_field(folder, "lane", None)
    monkeypatch.setattr(elastic_templates, "FOLDER", folder)
    return folder


def change_field(folder: Path, name: str, mapping: dict[str, str] | None) -> None:
    path = folder / "order_fields.json"
    fields = msgspec.json.decode(path.read_bytes())
    fields["properties"] |= {name: mapping}
    if mapping is None:
        del fields["properties"][name]
    path.write_bytes(msgspec.json.encode(fields))


def did(tier: ElasticTier, vocabulary: Vocabulary = VOCABULARY) -> dict[str, str]:
    """{what, without the prefix: what was done}."""
    changes = tier.templates.install(vocabulary, tier.periods, tier.letter_periods)
    return {change.what.replace(f"{tier.names.prefix}-", ""): change.did for change in changes}


def write(tier: ElasticTier) -> None:
    log = Log()
    tier.write_orders(log.changes(document(lane="overdue")))
    tier.write_events(log.events(accepted()))
    assert tier.flush(force=True)


def test_templates_that_changed_have_a_new_version() -> None:
    assert elastic_templates.digest() == DIGESTS[elastic_templates.VERSION]


@pytest.mark.parametrize(
    ("noun", "file", "more"),
    [
        (OrderDocument, "order_fields", {"geo"}),
        (AcceptedEvent, "event_fields", {"geo", "user", "source"}),
    ],
)
def test_every_field_of_a_record_has_a_mapping(
    noun: type[msgspec.Struct], file: str, more: set[str]
) -> None:
    mapped = elastic_templates.shipped(file)["properties"].keys()
    assert mapped == {*noun.__struct_fields__, "@timestamp", "derived", *more}


@pytest.mark.parametrize("kind", elastic_templates.KINDS)
def test_every_index_has_a_timestamp(kind: str) -> None:
    fields = elastic_templates.fields_of(kind, VOCABULARY)
    assert fields["properties"]["@timestamp"]["type"] == "date"


@pytest.mark.stack
def test_a_declared_attribute_gets_its_field_and_the_writer_takes_it_from_the_templates(
    tier: ElasticTier,
) -> None:
    did(tier)
    write(tier)
    more = msgspec.structs.replace(VOCABULARY, attributes={"weight_kg": "float"})
    changes = did(tier, more)
    assert changes["component template order_fields"] == "changed"
    assert changes["index orders-2017-10"] == "changed"
    later = ElasticTier(tier.client, tier.names.prefix)
    later.write_orders(Log().changes(document("b", attributes={"weight_kg": 2.5, "note": "x"})))
    assert later.flush(force=True)
    total = {"kg": {"sum": {"field": "derived.attributes.weight_kg"}}}
    answer = tier.client.search(index=tier.names.orders("*"), size=0, aggs=total)
    assert answer["aggregations"]["kg"]["value"] == 2.5


@pytest.mark.stack
def test_the_second_installation_changes_nothing(tier: ElasticTier) -> None:
    assert {*did(tier).values()} == {"made"}
    write(tier)
    second = did(tier)
    assert {*second.values()} == {"as it was"}
    assert {"index orders-2017-10", "index events-2017-10"} < second.keys()


@pytest.mark.stack
def test_without_templates_nothing_is_written_and_the_way_out_is_named(tier: ElasticTier) -> None:
    for attempt in (tier.write_orders, tier.write_events):
        records = Log().changes(document()) if attempt == tier.write_orders else None
        with pytest.raises(StateError, match="run 'ordertide tier init'"):
            attempt(records or Log().events(accepted()))  # type: ignore[arg-type]  # its own kind
    tier.expire(START)
    with pytest.raises(StateError, match="run 'ordertide tier init'"):
        tier.flush(force=True)
    assert indices_of(tier.client, tier.names.prefix) == set()
    assert tier.find("default", "e481f51c") is None, "reading needs none"
    did(tier)
    write(tier)
    assert tier.find("default", "e481f51c") is not None


@pytest.mark.stack
@pytest.mark.usefixtures("former")
def test_a_new_version_brings_its_fields_to_the_indices_that_are_there(
    tier: ElasticTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    did(tier)
    write(tier)
    assert tier.search(OrderQuery(lane="overdue")).orders == []
    monkeypatch.setattr(elastic_templates, "FOLDER", SHIPPED)
    newer = elastic_templates.VERSION + 1
    monkeypatch.setattr(elastic_templates, "VERSION", newer)
    with pytest.raises(StateError, match=f"it has version {newer - 1}, version {newer} is needed"):
        write(ElasticTier(tier.client, tier.names.prefix))
    changes = did(tier)
    assert changes["component template order_fields"] == "changed"
    assert changes["index orders-2017-10"] == "changed"
    tier.write_orders(Log().changes(document(version=2, lane="overdue")))
    assert tier.flush(force=True)
    assert [found.version for found in tier.search(OrderQuery(lane="overdue")).orders] == [2]


@pytest.mark.stack
@pytest.mark.usefixtures("former")
def test_documents_of_before_are_made_again_from_themselves(
    tier: ElasticTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    did(tier)
    log = Log()
    written = [document(f"o{number}", lane="overdue") for number in range(3)]
    tier.write_orders(log.changes(*written))
    tier.write_events(log.events(accepted("o0")))
    tier.write_outcomes(records(entry("1"), action("2")))
    assert tier.flush(force=True)
    monkeypatch.setattr(elastic_templates, "FOLDER", SHIPPED)
    monkeypatch.setattr(elastic_templates, "VERSION", elastic_templates.VERSION + 1)
    did(tier)
    rewriting = Rewriting(tier.templates)
    prefix = f"{tier.names.prefix}-"
    outdated = {each.name.removeprefix(prefix) for each in rewriting.outdated()}
    kinds = ("orders", "events", "audit", "actions")
    assert outdated == {f"{kind}-2017-10" for kind in kinds}
    newer = ElasticTier(tier.client, tier.names.prefix)
    newer.write_orders(log.changes(document("o0", version=2, lane="overdue")))
    assert newer.flush(force=True)
    assert found_overdue(newer) == {"o0": 2}, "the others have no such field"
    assert newer.find("default", "o1") is not None, "look-ups answer over both"
    for each in rewriting.outdated():
        assert each.has_fields
        rewriting.rewrite(each.name)
    assert found_overdue(newer) == {"o0": 2, "o1": 1, "o2": 1}
    assert rewriting.outdated() == []
    assert {*did(tier).values()} == {"as it was"}
    found = newer.find("default", "o0")
    assert found is not None
    assert found.timeline == [accepted("o0")]
    assert newer.outcomes(OutcomeQuery()) == [entry("1")]
    assert newer.outcomes(OutcomeQuery(kind="actions")) == [action("2")]
    newer.note({})


def found_overdue(tier: ElasticTier) -> dict[str, int]:
    found = tier.search(OrderQuery(lane="overdue")).orders
    return {order.order_id: order.version for order in found}


@pytest.mark.stack
def test_an_old_writer_goes_on_while_a_new_release_is_rolled_out(
    tier: ElasticTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(elastic_templates, "VERSION", elastic_templates.VERSION + 1)
        did(tier)
    write(tier)
    with pytest.raises(StateError, match="a newer ordertide was here"):
        did(tier)


@pytest.mark.stack
def test_a_field_that_changes_its_type_is_kept_where_it_is_and_said(
    tier: ElasticTier, former: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_field(former, "lane", {"type": "long"})
    change_field(former, "status", {"type": "text"})
    did(tier)
    tier.write_events(Log().events(accepted()))
    tier.periods.ensure([tier.names.orders("2017-10")])
    monkeypatch.setattr(elastic_templates, "FOLDER", SHIPPED)
    changes = {change.what: change for change in tier.templates.install(VOCABULARY, tier.periods)}
    kept = changes[f"index {tier.names.orders('2017-10')}"]
    assert kept.did == "kept"
    assert "cannot be changed from type" in kept.reason
    outdated = {each.name: each.has_fields for each in Rewriting(tier.templates).outdated()}
    assert outdated[kept.what.removeprefix("index ")] is False
    assert {change.did for change in changes.values()} == {"changed", "kept"}
    tier.write_orders(Log().changes(document(warm_period="2017-11")))
    mapping = tier.client.indices.get_mapping(index=tier.names.orders("2017-11"))
    assert mapping[tier.names.orders("2017-11")]["mappings"]["properties"]["lane"] == {
        "type": "keyword"
    }


@pytest.mark.stack
def test_what_the_operator_sets_goes_before_ours_and_is_left_alone(tier: ElasticTier) -> None:
    custom = f"{tier.names.prefix}-custom"
    settings = {"index": {"number_of_shards": "3"}}
    did(tier)
    tier.client.cluster.put_component_template(name=custom, template={"settings": settings})
    assert {*did(tier).values()} == {"as it was"}
    write(tier)
    index = tier.names.orders("2017-10")
    held = tier.client.indices.get_settings(index=index)[index]["settings"]["index"]
    assert held["number_of_shards"] == "3"
    assert held["refresh_interval"] == "30s"
    assert tier.find("default", "e481f51c") is not None


@pytest.mark.stack
def test_two_prefixes_in_one_cluster_know_nothing_of_each_other(tier: ElasticTier) -> None:
    did(tier)
    write(tier)
    other = ElasticTier(tier.client, f"{tier.names.prefix}x")
    install(stack.address("elasticsearch")["url"], other.names.prefix)
    try:
        assert other.find("default", "e481f51c") is None
        assert other.counts().orders == 0
    finally:
        clear(stack.address("elasticsearch")["url"], other.names.prefix)
    assert tier.find("default", "e481f51c") is not None
