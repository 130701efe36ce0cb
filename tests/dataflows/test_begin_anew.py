"""Lost state is refused; `--begin-anew` discards the remains, and publishes newer documents."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bytewax.recovery import init_db_dir
from click.testing import CliRunner

from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from broker.generations import read_traces, recorded_generation
from commands.lookup import command as look_up
from dataflows.state.local.frame import REMEDY
from dataflows.state.remote.bucket import Bucket
from dataflows.state.remote.records import FORMAT
from deploy.stack.kafka import Kafka
from schemas import topics
from schemas.instants import MINUTE_MS, parse_instant
from schemas.order import OrderDocument
from schemas.versions import changes_of, generation_of
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.find import find
from storage_tiering.hot.embedded import EmbeddedRedis
from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from storage_tiering.memory import MemoryTier
from storage_tiering.records import DOCUMENT, decode
from storage_tiering.tier import EventRecord, OrderRecord, Tier
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.dataflows.test_hosts import RealBroker
from tests.dataflows.test_refusals import refusal
from tests.support.engine import Engine, Json, free_ports
from tests.support.outcome import lines, of_replay
from tests.support.s3 import S3
from tests.support.servers import need_kafka

AT = "2018-01-31T10:15:00Z"
BEGAN = parse_instant(AT)
READS = f"this version reads format {FORMAT}"
LATER = BEGAN + 10 * MINUTE_MS


def paid(number: int, status: str = "PENDING_PAYMENT", at: str = AT) -> Json:
    return {
        "event_id": f"e{number}-{status}",
        "source": "shop",
        "order_id": f"o{number}",
        "status_code": status,
        "timestamp": at,
    }


ORDERS = [paid(number) for number in range(20)]


@pytest.fixture
def stored(request: pytest.FixtureRequest, engine: Engine) -> Engine:
    """An engine with its state in a folder or a bucket, with one worker or two."""
    if "bucket" in request.param:
        settings = request.getfixturevalue("s3").settings()
        engine.state = {"store": "s3", "bucket": settings.bucket, "endpoint": settings.endpoint}
    if "two" in request.param:
        engine.track["workers"] = 2
    return engine


def run(engine: Engine, events: list[Json], until: int = LATER, *words: str) -> None:
    """Feed, until every order has been published and bytewax has recorded it; then kill -9."""
    engine.feed(events)
    engine.tick(until)
    engine.start(*words)
    engine.wait_for_clock(until)
    for _ in range(3):
        engine.wait_for_barrier()
    engine.kill()


def recovery(engine: Engine) -> Path:
    return engine.folder / "track" / "recovery"


def documents(engine: Engine) -> dict[str, OrderDocument]:
    """Last document of each order in orders.changes; a tombstone takes it out."""
    found: dict[str, OrderDocument] = {}
    for message in read_all(engine.connection, topics.ORDERS_CHANGES):
        key = (message.key or b"").decode()
        if message.value is None:
            found.pop(key, None)
        else:
            found[key] = DOCUMENT.decode(message.value)
    return {document.order_id: document for document in found.values()}


def recreate_recovery(engine: Engine) -> None:
    """Lose the recovery folder, and make another with bytewax's own tool."""
    shutil.rmtree(recovery(engine))
    recovery(engine).mkdir()
    init_db_dir(recovery(engine), 1)  # type: ignore[no-untyped-call]  # bytewax has no stubs for it


def forget_shards(engine: Engine) -> None:
    """Lose the pointers of some shards."""
    with closing(sqlite3.connect(recovery(engine) / "part-0.sqlite3")) as database, database:
        database.execute("DELETE FROM snaps WHERE step_id = 'track.track' AND state_key > 's32'")


def lose_log(engine: Engine) -> None:
    """Lose SQLite's log: in the first seconds it is all that bytewax has recorded."""
    log = recovery(engine) / "part-0.sqlite3-wal"
    assert log.exists()
    log.unlink()
    (recovery(engine) / "part-0.sqlite3-shm").unlink(missing_ok=True)


@pytest.mark.parametrize("stored", ["folder, two workers"], indirect=True)
def test_a_recovery_folder_that_lost_pointers_is_refused_and_deletes_no_order(
    stored: Engine, tmp_path: Path
) -> None:
    run(stored, ORDERS)
    shutil.copytree(stored.folder / "track", tmp_path / "kept")
    for lose in (lose_log, forget_shards, recreate_recovery):
        shutil.rmtree(stored.folder / "track")
        shutil.copytree(tmp_path / "kept", stored.folder / "track")
        lose(stored)
        said = refusal(stored)
        assert "has no pointer for" in said, lose
        assert REMEDY in said
        assert held_shards(stored) > 0


def held_shards(engine: Engine) -> int:
    path = engine.folder / "track" / "shards.sqlite"
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute("SELECT count(DISTINCT shard) FROM blobs").fetchone()
    return int(count)


def test_a_file_published_to_a_bucket_needs_its_pointers(engine: Engine, hosted: Engine) -> None:
    hosted_state, engine.state = hosted.state, {}
    run(engine, ORDERS)
    recreate_recovery(engine)
    engine.state = hosted_state
    assert "has no pointer for" in refusal(engine)


def lose_state(engine: Engine) -> None:
    """Lose the folder, and the bucket if there is one."""
    shutil.rmtree(engine.folder / "track")
    if engine.state:
        engine.state["prefix"] = "another"


@pytest.mark.parametrize("stored", ["folder, two workers", "bucket"], indirect=True)
def test_an_empty_folder_is_refused_and_begun_anew_publishes_versions_over_those_before(
    stored: Engine, tmp_path: Path
) -> None:
    run(stored, ORDERS)
    before = documents(stored)
    lose_state(stored)
    said = refusal(stored)
    assert "the group's positions [" in said
    assert "messages written to orders.changes" in said
    assert "--begin-anew" in said
    assert recorded_generation(stored.connection, "ordertide-track") == -1
    stored.tick(LATER + MINUTE_MS)
    stored.start("--begin-anew")
    stored.wait_for_clock(LATER + MINUTE_MS)
    stored.stop()
    assert "discards" in stored.output()
    found = documents(stored)
    assert found.keys() == before.keys()
    assert {generation_of(document.version) for document in found.values()} == {1}
    replayed = of_replay(lines(ORDERS), tmp_path / "replay", LATER).orders
    assert {name: changes_of(each.version) for name, each in found.items()} == {
        name: each["version"] for name, each in replayed.items()
    }


def test_a_crash_and_another_number_of_workers_keep_the_generation(engine: Engine) -> None:
    run(engine, ORDERS)
    run(engine, [], LATER + MINUTE_MS, "--begin-anew")
    for number, workers in enumerate((1, 2, 1)):
        engine.track["workers"] = workers
        at = LATER + (number + 2) * MINUTE_MS
        run(engine, [paid(number, "PAID")], at)
        found = documents(engine)
        assert generation_of(found[f"o{number}"].version) == 1
        assert found[f"o{number}"].status == "PAID"


@pytest.mark.parametrize("stored", ["folder", "bucket, two workers"], indirect=True)
def test_begin_anew_says_what_it_discards(stored: Engine) -> None:
    run(stored, ORDERS)
    run(stored, [], LATER + MINUTE_MS, "--begin-anew")
    [said] = [line for line in stored.output().splitlines() if "discards" in line]
    assert "20 live and 0 retired orders" in said
    assert "generation 0 in" in said
    assert "kept since 20" in said
    assert "read up to [0] " in said
    assert len(documents(stored)) == 20


def test_each_time_that_a_flow_begins_anew_its_generation_is_higher(engine: Engine) -> None:
    run(engine, ORDERS)
    for number in (1, 2):
        lose_state(engine)
        run(engine, [], LATER + number * MINUTE_MS, "--begin-anew")
        assert recorded_generation(engine.connection, "ordertide-track") == number
        assert {generation_of(d.version) for d in documents(engine).values()} == {number}


def test_a_backup_from_before_the_flow_was_begun_anew_is_refused(
    engine: Engine, tmp_path: Path
) -> None:
    run(engine, ORDERS)
    shutil.copytree(engine.folder / "track", tmp_path / "backup")
    run(engine, [], LATER + MINUTE_MS, "--begin-anew")
    shutil.rmtree(engine.folder / "track")
    shutil.copytree(tmp_path / "backup", engine.folder / "track")
    assert "state of generation 0" in refusal(engine)


def test_a_flow_that_was_renamed_does_not_begin_over_what_it_published(engine: Engine) -> None:
    run(engine, ORDERS)
    lose_state(engine)
    engine.track["group"] = "another"
    assert "messages written to orders.changes" in refusal(engine)


def test_a_damaged_state_is_discarded_when_asked_to(engine: Engine) -> None:
    run(engine, ORDERS)
    for path in (engine.folder / "track").glob("shards.sqlite*"):
        path.write_bytes(b"not a database" * 1_000)
    shutil.rmtree(recovery(engine))
    recovery(engine).write_bytes(b"a file")
    assert "damaged" in refusal(engine)
    run(engine, [], LATER + MINUTE_MS, "--begin-anew")
    assert "a state that can't be read" in engine.output()
    assert {generation_of(d.version) for d in documents(engine).values()} == {1}


def test_begin_anew_at_the_very_first_start_is_generation_0(engine: Engine) -> None:
    run(engine, ORDERS, LATER, "--begin-anew")
    assert {generation_of(d.version) for d in documents(engine).values()} == {0}


def test_a_crash_in_the_first_epoch_is_no_lost_state(engine: Engine) -> None:
    """The outputs are out and bytewax has no state: the same events come again."""
    engine.feed(ORDERS)
    engine.start()
    engine.wait_until(lambda message: message.topic == topics.ORDERS_CHANGES)
    engine.kill()
    run(engine, [], LATER)
    assert {d.version for d in documents(engine).values()} == {1}


def test_a_recovery_folder_whose_making_was_cut_off_is_made_again(engine: Engine) -> None:
    """Killed in its first second, a run leaves it half made beside its place."""
    unfinished = recovery(engine).with_name("recovery.new")
    unfinished.mkdir(parents=True)
    init_db_dir(unfinished, 1)  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
    run(engine, ORDERS, LATER)
    assert {d.version for d in documents(engine).values()} == {1}
    assert not unfinished.exists()


@pytest.mark.parametrize("stored", ["bucket, two workers"], indirect=True)
def test_a_bucket_of_an_older_version_is_refused_and_begun_anew_when_asked_to(
    stored: Engine, s3: S3
) -> None:
    bucket = Bucket(s3.settings(str(stored.state["bucket"])), "000")
    bucket.create("store", b"of an older version")
    assert f"holds state of an older version (object `store`), {READS}" in refusal(stored)
    run(stored, ORDERS, LATER, "--begin-anew")
    assert len(documents(stored)) == len(ORDERS)
    assert "store" not in bucket.names("")


@pytest.mark.parametrize("stored", ["bucket"], indirect=True)
def test_a_bucket_that_nobody_can_read_is_not_begun_anew(stored: Engine, s3: S3) -> None:
    run(stored, ORDERS)
    bucket = Bucket(s3.settings(str(stored.state["bucket"])), "000")
    bucket.remove(["runs/000001"])
    bucket.create("runs/000001", b"damaged")
    assert "set another state.prefix" in refusal(stored, "--begin-anew")


def test_another_host_is_not_the_one_to_begin_anew(hosted: Engine) -> None:
    ports = [free_ports(2), free_ports(2)]
    hosted.track["hosts"] = ",".join(f"127.0.0.1:{port}" for port in ports)
    hosted.track["host"] = 1
    assert "give it to host 0" in refusal(hosted, "--begin-anew")


@pytest.fixture
def younger(engine: Engine) -> Iterator[Engine]:
    """The same flow on a broker that holds its outputs and no event, as after retention."""
    with EmbeddedBroker() as broker:
        made = Engine(broker, engine.folder)
        yield made
        made.close()


def carry_over(engine: Engine, younger: Engine) -> None:
    """Copy orders.changes."""
    for message in read_all(engine.connection, topics.ORDERS_CHANGES):
        _, partition, _, _, key, value, headers = message
        younger.producer.send(topics.ORDERS_CHANGES, key, value, headers, partition=partition)
    younger.producer.flush()


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[dict[str, Tier]]:
    with EmbeddedRedis() as redis:
        made: dict[str, Tier] = {
            "hot": RedisTier(connect(redis.url), HotSettings(safety_ttl_ms=None)),
            "warm": SqliteTier(tmp_path / "warm"),
            "archive": ParquetTier(LocalFiles(tmp_path / "archive"), ArchiveSettings()),
            "memory": MemoryTier(),
        }
        yield made
        for tier in made.values():
            tier.close()


def write(tier: Tier, engine: Engine, first_offset: int = 0) -> None:
    """Write what the topics hold into a tier; offsets begin at `first_offset`."""
    for topic in (topics.ORDERS_CHANGES, topics.ORDERS_EVENTS):
        found = [
            decode(message._replace(offset=message.offset + first_offset))
            for message in read_all(engine.connection, topic)
        ]
        tier.write_orders([record for record in found if isinstance(record, OrderRecord)])
        tier.write_events([record for record in found if isinstance(record, EventRecord)])
    tier.flush(force=True)


def test_every_tier_takes_the_truth_of_the_new_generation(
    tiers: dict[str, Tier], engine: Engine, younger: Engine
) -> None:
    """Of o0 the new state has two of four events: its count of changes is lower."""
    run(engine, [*ORDERS, *(paid(0, status) for status in ("PAID", "ALLOCATED", "CANCELLED"))])
    for name, tier in tiers.items():
        write(tier, engine)
        before = find([tier], "default", "o0").found.document
        assert (before.status, changes_of(before.version)) == ("CANCELLED", 4), name
    run(younger, [paid(0), paid(0, "PAID")], LATER + MINUTE_MS, "--begin-anew")
    for name, tier in tiers.items():
        write(tier, younger, 10_000)
        after = find([tier], "default", "o0").found.document
        assert (after.status, generation_of(after.version)) == ("PAID", 1), name


def recreate(engine: Engine, younger: Engine) -> None:
    """Lose the state after `ORDERS`, and begin anew with o0 alone."""
    run(engine, ORDERS)
    carry_over(engine, younger)
    lose_state(engine)
    run(younger, [paid(0, "PAID"), paid(0)], LATER + MINUTE_MS, "--begin-anew")


def test_orders_unknown_to_the_new_state_leave_the_hot_tier_and_stay_in_the_warm_one(
    engine: Engine, younger: Engine, tmp_path: Path
) -> None:
    recreate(engine, younger)
    assert documents(younger).keys() == {"o0"}
    warm = SqliteTier(tmp_path / "warm")
    with EmbeddedRedis() as redis:
        hot = RedisTier(connect(redis.url), HotSettings(safety_ttl_ms=None))
        for each in (hot, warm):
            write(each, engine)
            write(each, younger, 10_000)
        known = find([hot, warm], "default", "o0")
        assert (known.tier, generation_of(known.found.document.version)) == ("hot", 1)
        unknown = find([hot, warm], "default", "o7")
        assert (unknown.tier, generation_of(unknown.found.document.version)) == ("warm", 0)
    warm.close()


def test_a_look_up_says_that_a_document_is_of_an_older_generation(
    engine: Engine, younger: Engine, tmp_path: Path
) -> None:
    recreate(engine, younger)
    warm = SqliteTier(tmp_path / "warm")
    write(warm, engine)
    write(warm, younger, 10_000)
    warm.close()
    path = tmp_path / "lookup.toml"
    tables = f'[tiers]\nlookup = "warm"\n[warm]\nfolder = "{tmp_path / "warm"}"\n'
    path.write_text(f"{younger.settings()}\n{tables}")
    assert "OLDER STATE  it is of generation 0, the flow was recreated as generation 1" in (
        looked_up(path, "o7")
    )
    assert "OLDER STATE" not in looked_up(path, "o0")
    assert generations(path, "o7") == (0, 1)
    assert generations(path, "o0") == (1, 1)
    path.write_text(f'[broker]\nbootstrap = "127.0.0.1:1"\n{tables}')
    assert generations(path, "o7") == (0, None), "a tier answers without the broker"


def looked_up(path: Path, order: str, *words: str) -> str:
    result = CliRunner().invoke(look_up, [order, "--settings", str(path), *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def generations(path: Path, order: str) -> tuple[int, int | None]:
    """(that of the document, that of the flow) by the JSON of a look-up."""
    answer = json.loads(looked_up(path, order, "--json"))
    return answer["generation"], answer["flow_generation"]


def test_a_topic_that_lost_its_beginning_is_a_trace(broker: EmbeddedBroker) -> None:
    for topic in topics.TOPICS:
        broker.create(topic.name)
    traces = read_traces(broker.connection, "ordertide-track")
    assert str(traces) == ""
    assert "first offsets [3] 1,200" in str(traces._replace(first_offsets={3: 1_200}))


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_a_state_is_begun_anew_on_a_real_kafka(tmp_path: Path) -> None:
    need_kafka()
    with Kafka(tmp_path / "kafka") as kafka:
        broker = RealBroker(kafka.address["bootstrap"])
        engine = Engine(broker, tmp_path, workers=2)
        try:
            run(engine, ORDERS)
            lose_state(engine)
            assert "the group's positions [" in refusal(engine)
            run(engine, [paid(0, "PAID")], LATER + MINUTE_MS, "--begin-anew")
            run(engine, [paid(0, "ALLOCATED")], LATER + 2 * MINUTE_MS)
            found = documents(engine)
            assert recorded_generation(engine.connection, "ordertide-track") == 1
            assert {generation_of(document.version) for document in found.values()} == {1}
            assert (found["o0"].status, changes_of(found["o0"].version)) == ("ALLOCATED", 3)
        finally:
            engine.close()


def test_keys_lost_with_their_folder_are_missed(engine: Engine) -> None:
    personal = {"personal": {"name": "Ann"}, "customer_id": "ann"}
    run(engine, [{**paid(0), **personal}])
    for path in engine.folder.glob("keys.json*"):
        path.unlink()
    assert "restore it from a backup" in refusal(engine)
