"""Erasing a customer of a flow that ran: nothing of that person opens, before, now or later."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from commands.privacy.command import command
from privacy.keys import FileKeyStore, KeyErased
from privacy.originals import open_rejected
from privacy.seal import open_event
from schemas import topics
from schemas.order import AcceptedEvent
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.records import ACCEPTED, decode
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord, Outcomes, Tier
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.engine import Engine, Json

ANN, BOB = {"name": "Ann Secret"}, {"name": "Bob Open"}
T0 = 1_517_400_000_000  # 2018-01-31T12:00:00Z
AT = "2018-01-31T10:15:00Z"
LATER = T0 + 600_000


def event(number: str, **fields: object) -> Json:
    return {
        "event_id": number,
        "source": "shop",
        "status_code": "PENDING_PAYMENT",
        "timestamp": AT,
        **fields,
    }


HERS = [
    event("1", order_id="o1", customer_id="ann", waybill="SF1", personal=ANN),
    event("2", order_id="o1", status_code="PAID", personal=ANN),
    event("3", source="carrier:sf", waybill="SF1", status_code="COLLECTED", personal=ANN),
    # The order learns its customer after both were sealed.
    event("4", source="carrier:sf", waybill="SF9", status_code="COLLECTED", personal=ANN),
    event("5", order_id="o9", waybill="SF9", personal=ANN),
    event("6", order_id="o9", status_code="PAID", customer_id="ann"),
    event("7", references={"erp": "SO-1"}, status_code="PAID", personal=ANN),
    event("8", order_id="o8", references={"erp": ["SO-1"]}, customer_id="ann"),
    # A parcel that is never registered waits.
    event("9", source="carrier:sf", waybill="SF9", status_code="IN_TRANSIT", personal=ANN),
]
HER_ORDERS = {("default", name) for name in ("o1", "o8", "o9")}
REJECTED = [
    event("r1", order_id="o1", customer_id="ann", status_code="NOPE", personal=ANN),
    event("r2", order_id="o1", status_code="NOPE", personal=ANN),
    event("r3", waybill="SF9", status_code="NOPE", personal=ANN),
]
CUT_OFF = [json.dumps(each).encode()[:-3] for each in REJECTED]
HIS = [
    event("b1", order_id="b1", customer_id="bob", waybill="SF2", personal=BOB),
    event("b2", order_id="b1", status_code="PAID", personal=BOB),
    event("b3", source="carrier:sf", waybill="SF2", status_code="COLLECTED", personal=BOB),
    event("b4", order_id="o1", tenant="other", customer_id="ann", personal=BOB),
]


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


def tiers_of(folder: Path) -> list[Tier]:
    return [SqliteTier(folder / "warm"), ParquetTier(LocalFiles(folder / "archive"))]


def write_tiers(broker: EmbeddedBroker, folder: Path) -> None:
    for tier in tiers_of(folder):
        for topic in (topics.ORDERS_CHANGES, topics.ORDERS_EVENTS):
            records = [*map(decode, read_all(broker.connection, topic))]
            tier.write_orders([each for each in records if isinstance(each, OrderRecord)])
            tier.write_events([each for each in records if isinstance(each, EventRecord)])
        for topic in (topics.ORDERS_AUDIT, topics.ORDERS_ACTIONS):
            records = [*map(decode, read_all(broker.connection, topic))]
            assert isinstance(tier, Outcomes)
            tier.write_outcomes([each for each in records if isinstance(each, OutcomeRecord)])
        tier.flush(force=True)
        tier.close()


def erase(engine: Engine, *arguments: str) -> Result:
    path = engine.folder / "erase.toml"
    folder = engine.folder
    tiers = f'[warm]\nfolder = "{folder / "warm"}"\n[archive]\nfolder = "{folder / "archive"}"\n'
    hot = '[hot]\nurl = "redis://127.0.0.1:1/0"\n'
    path.write_text(engine.settings() + "\n" + tiers + hot)
    return CliRunner().invoke(command, ["erase", *arguments, "--settings", str(path)])


def accepted(broker: EmbeddedBroker) -> Iterator[AcceptedEvent]:
    for message in read_all(broker.connection, topics.ORDERS_EVENTS):
        yield ACCEPTED.decode(message.value or b"")


def stored(broker: EmbeddedBroker, folder: Path) -> dict[str, list[bytes]]:
    """Every event that was kept, by whose it is."""
    events = [bytes(each.event) for each in accepted(broker)]
    for tier in tiers_of(folder):
        for tenant, order in [*(("default", o) for o in ("o1", "o8", "o9", "b1")), ("other", "o1")]:
            found = tier.find(tenant, order)
            events += [bytes(each.event) for each in found.timeline] if found else []
        tier.close()
    by_whom: dict[str, list[bytes]] = {"ann": [], "bob": []}
    for data in events:
        fields = json.loads(data)
        if "personal" in fields:
            by_whom["bob" if fields["event_id"].startswith("b") else "ann"].append(data)
    return by_whom


def assert_outcomes_hold_nothing_personal(broker: EmbeddedBroker, places: Json) -> None:
    for topic in (topics.ORDERS_AUDIT, topics.ORDERS_ACTIONS):
        told = [message.value or b"" for message in read_all(broker.connection, topic)]
        of_orders = [(each["tenant"], each["order_id"]) for each in map(json.loads, told)]
        hers = [place for place in of_orders if place in HER_ORDERS]
        assert places[topic]["records"] == len(hers) > 0
        assert (places[topic]["sealed"], places[topic]["clear"]) == (0, 0)
        assert not [value for value in told if b"Secret" in value or b"sealed" in value]


def test_nothing_of_an_erased_customer_opens_wherever_it_lies(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    engine = Engine(broker, tmp_path)
    try:
        engine.start()
        engine.feed([*HERS, *REJECTED, *HIS])
        for data in CUT_OFF:
            engine.feed_raw(data)
        engine.tick(LATER)
        engine.wait_for_clock(LATER - 60_000)
        engine.wait_for_barrier()
        write_tiers(broker, tmp_path)
        keys = FileKeyStore(Path(engine.privacy))
        before = stored(broker, tmp_path)
        assert len(before["ann"]) >= 15
        assert {open_event(data, keys)["name"] for data in before["ann"]} == {"Ann Secret"}

        result = erase(engine, "ann", "--json")
        report = json.loads(result.stdout)
        places = {place["place"]: place for place in report["places"]}
        # No Redis answers here: the report names it, but it holds nothing that the others don't.
        assert (result.exit_code, report["is_complete"]) == (0, True)
        assert [name for name, place in places.items() if place["fault"]] == ["hot"]
        assert not any(place["still_opens"] for place in report["places"])
        assert (report["orders"], places["events"]["clear"]) == (3, 13)
        assert places["events.rejected"]["sealed"] == 6
        for name in ("state", "warm", "archive", "orders.events", "orders.changes"):
            assert places[name]["records"] >= 3, places
        assert_outcomes_hold_nothing_personal(broker, places)
        for data in before["ann"]:
            with pytest.raises(KeyErased):
                open_event(data, keys)
        assert {open_event(data, keys)["name"] for data in before["bob"]} == {"Bob Open"}
        letters = list(read_all(broker.connection, topics.EVENTS_REJECTED))
        assert len(letters) == 6
        for letter in letters:
            with pytest.raises(KeyErased):
                open_rejected(letter.value or b"", keys, letter.headers)

        # What comes later is not kept either, and a new order of hers infects its parcel.
        engine.feed([event("20", order_id="o20", waybill="SF20", status_code="PENDING_PAYMENT")])
        engine.feed([event("21", order_id="o20", customer_id="ann", waybill="SF20")])
        engine.tick(LATER + 60_000)
        engine.wait_for_clock(LATER + 60_000)
        engine.feed([event("22", source="carrier:sf", waybill="SF20", personal=ANN)])
        engine.feed([event("23", order_id="o1", personal=ANN, status_code="ALLOCATED")])
        engine.tick(LATER + 120_000)
        engine.wait_for_clock(LATER + 120_000)
        late = [bytes(each.event) for each in accepted(broker)]
        for data in late:
            fields = json.loads(data)
            if fields["event_id"] in {"22", "23"}:
                with pytest.raises(KeyErased):
                    open_event(data, keys)
        assert {json.loads(data)["event_id"] for data in late} >= {"22", "23"}
        keys.close()
        engine.stop()
    finally:
        engine.close()


def test_an_event_that_waits_for_the_clock_is_found_in_the_state(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    engine = Engine(broker, tmp_path)
    try:
        engine.start()
        engine.feed([HERS[0] | {"references": {"waybill": "SF1"}}])
        engine.tick(LATER)
        engine.wait_for_clock(LATER)
        for number, waiting in enumerate(("SF1", "SF2")):  # known to be hers, and not
            engine.feed([event(f"s{number}", source="carrier:sf", waybill=waiting, personal=ANN)])
        engine.wait_for_barrier()
        engine.wait_for_barrier()
        assert engine.metrics()["waiting"] == 2
        report = json.loads(erase(engine, "ann", "--json").stdout)
        [state] = [place for place in report["places"] if place["place"] == "state"]
        assert state["records"] == 2, "her order, and the event of her parcel"
        assert (state["sealed"], state["still_opens"]) == (1, 0)
        engine.stop()
    finally:
        engine.close()


def test_a_flow_that_reads_the_topic_again_seals_nothing_of_an_erased_customer(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = Engine(broker, tmp_path / "first")
    try:
        first.start()
        first.feed([*HERS, *REJECTED, *HIS])
        first.tick(LATER)
        first.wait_for_clock(LATER - 60_000)
        first.stop()
        assert erase(first, "ann").exit_code == 0
    finally:
        first.close()
    count = len([*read_all(broker.connection, topics.ORDERS_EVENTS)])
    second = Engine(broker, tmp_path / "second")
    second.privacy = first.privacy
    keys = FileKeyStore(Path(first.privacy))
    try:
        second.start("--begin-anew")
        numbers = itertools.count(1)
        second.wait_until(
            lambda message: message.topic == topics.ORDERS_EVENTS and next(numbers) == 2 * count
        )
        second.stop()
    finally:
        second.close()
    again = [bytes(each.event) for each in accepted(broker)]
    assert len(again) == 2 * count
    for data in again:
        fields = json.loads(data)
        if "personal" in fields and not fields["event_id"].startswith("b"):
            with pytest.raises(KeyErased):
                open_event(data, keys)
        elif "personal" in fields:
            assert open_event(data, keys) == BOB
    keys.close()


def test_a_place_that_cannot_be_searched_is_named_and_the_rest_is_erased(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    engine = Engine(broker, tmp_path)
    keys = FileKeyStore(Path(engine.privacy))
    key = keys.key_for("default", "ann")
    (tmp_path / "warm").mkdir()
    (tmp_path / "warm" / "2018-01.sqlite").write_bytes(b"no database at all" * 99)
    result = erase(engine, "ann")
    assert result.exit_code == 1
    assert "  warm            not searched: warm store 2018-01.sqlite: " in result.output
    assert "not complete: run it again when all places answer" in result.output
    assert keys.find(key.key_id) is None
    keys.close()
    engine.close()


def test_a_dry_run_erases_nothing_and_a_missing_key_file_is_named(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    engine = Engine(broker, tmp_path)
    missing = erase(engine, "ann")
    assert "keys.json: no key file; name the one of `track` with --keys" in str(missing.exception)
    keys = FileKeyStore(Path(engine.privacy))
    key = keys.key_for("default", "ann")
    result = erase(engine, "ann", "--dry-run")
    assert "customer ann of tenant default: not erased (dry run)" in result.output
    assert keys.find(key.key_id) == key
    result = erase(engine, "\x1b[31mann")
    assert "customer \\x1b[31mann of tenant default: erased" in result.output
    assert "nothing was found; check the id and the tenant" in result.output
    keys.close()
    engine.close()
