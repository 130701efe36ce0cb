"""`python -m benchmarks.load_bytes`: what a generated order takes up in topics and tiers.

python -m benchmarks.load_bytes                                  3,000 orders
python -m benchmarks.load_bytes --orders 20000 --elasticsearch

Orders of `ordertide load` live their whole lives (nothing is judged after 120 days) and go through
the core in small batches, so that an order is published once per event, as it is when events
trickle in. What the dataflow would write is counted, and written into each tier. The figures stand
in `commands/size/figures.py` and in docs/scale.md.
"""

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import NamedTuple

import click
import pyarrow as pa

from benchmarks.core import in_batches
from commands.wiring.definitions import vocabulary_of
from dataflows.core.fact import Fact
from dataflows.core.intake import Intake
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.shard import Shard
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.output_messages import Outgoing, messages, singly
from dataflows.replay.external_sort import Sorter
from dataflows.replay.recording import Counts, Recording, sort_files
from deploy.stack.elasticsearch import Elasticsearch
from loadgen.options import Amount, Times, plan_of
from loadgen.output import FileOutput
from loadgen.pace import Recorded
from loadgen.plan import Shares
from loadgen.run import run
from loadgen.stream import Stream
from loadgen.text import Text
from schemas import topics
from schemas.settings.model import Settings
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.hot.embedded import EmbeddedRedis
from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from storage_tiering.records import decode
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord, Outcomes, Tier
from storage_tiering.warm.sqlite.tier import SqliteTier

BATCH = 20
DAYS = 120
FOR_EVER_MS = 10**12
FOR_TIERS = frozenset(
    {topics.ORDERS_EVENTS, topics.ORDERS_CHANGES, topics.ORDERS_AUDIT, topics.ORDERS_ACTIONS}
)
OUTCOMES = re.compile(r"-(audit|actions)-")  # in the name of an index of Elasticsearch
PACKED_TOGETHER = 100  # messages of a producer's batch


class Written(NamedTuple):
    """A message of an output topic, where it would lie."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int = 0


def generate(folder: Path, orders: int) -> Path:
    """A file of events without what goes wrong; most orders in it have reached their end."""
    times = Times("2026-01-01T00:00:00Z", f"{DAYS}d", None, "10m", 3.0)
    plan = plan_of(
        Amount(orders / DAYS, None, None), times, Shares(0, 0, 0, 0), seed=1, is_daily=True
    )
    stream, file = Stream(plan), folder / "load.ndjson"
    output = FileOutput(str(file), Text("L1", 1.0, recorded=True))
    run(stream, output, Recorded(output, FOR_EVER_MS, stream.begins_at), Event())
    return file


def judged(file: Path) -> Iterator[Outgoing]:
    """Outputs of the dataflow for the events of a file."""
    table = read_lifecycle(None)
    rules = read_rules(None, table)
    shards = [Shard(table, rules, {}) for _ in SHARDS]
    sorter, counts = Sorter(), Counts()
    decoder = Decoder(Intake(table, rules), lambda data, _: data, lambda data, _: data)
    sort_files([str(file)], sorter, counts, lambda _: None, decoder)
    recording = Recording(table, counts, None, lambda _: None, decoder)
    for batch in in_batches(sorter.sorted(), BATCH):
        for step in recording.steps(iter(batch)):
            shares: list[list[Fact]] = [[] for _ in shards]
            for fact in step.answers.facts:
                shares[shard_of(fact.key)].append(fact)
            for shard, share in zip(shards, shares, strict=True):
                shard.offer(share)
                yield from singly(messages(shard.advance(step.watermark), step.watermark))


def packed_bytes(values: Sequence[bytes]) -> float:
    """Mean bytes of a message after lz4, packed as a producer packs them."""
    lz4 = pa.Codec("lz4")
    packs = in_batches(values, PACKED_TOGETHER)
    return sum(len(lz4.compress(b"".join(pack), asbytes=True)) for pack in packs) / len(values)


def write(tier: Tier, records: Sequence[OrderRecord | EventRecord]) -> None:
    """Write all records, in their order; print how fast that went."""
    began = time.perf_counter()
    for batch in in_batches(records, 500):
        tier.write_orders([record for record in batch if isinstance(record, OrderRecord)])
        tier.write_events([record for record in batch if isinstance(record, EventRecord)])
    tier.flush(force=True)
    print(f"{tier.name}: {len(records) / (time.perf_counter() - began):,.0f} records/s")


def hot_bytes(records: Sequence[OrderRecord | EventRecord]) -> int:
    """Growth of Redis' own memory figure since it was empty."""
    with EmbeddedRedis() as server:
        client = connect(server.url)
        before = client.info("memory")["used_memory"]
        write(RedisTier(client, HotSettings(keep_ms=FOR_EVER_MS, safety_ttl_ms=None)), records)
        grown: int = client.info("memory")["used_memory"] - before
        client.close()
    return grown


class Sizes(NamedTuple):
    """Bytes of a tier: with orders and their events, and what audit entries and actions add."""

    orders: int
    outcomes: int

    def an_order(self, count: int) -> str:
        """Both, for each of `count` orders."""
        return (
            f"{self.orders / count:8.0f} bytes an order, {self.outcomes / count:6.0f} more with "
            "its audit entries and actions"
        )


def sizes_of(
    tier: Tier, records: Sequence[OrderRecord | EventRecord], outcomes: Sequence[OutcomeRecord]
) -> Sizes:
    """Bytes of a tier as it grows."""
    write(tier, records)
    orders = tier.counts().size_bytes
    write_outcomes(tier, outcomes)
    return Sizes(orders, tier.counts().size_bytes - orders)


def write_outcomes(tier: Tier, outcomes: Sequence[OutcomeRecord]) -> None:
    """Write all audit entries and actions."""
    assert isinstance(tier, Outcomes), tier.name
    for batch in in_batches(outcomes, 500):
        tier.write_outcomes(batch)
    tier.flush(force=True)


def elastic_bytes(
    records: Sequence[OrderRecord | EventRecord], outcomes: Sequence[OutcomeRecord], folder: Path
) -> Sizes:
    """Size of the indices of a node of our own after merging."""
    from storage_tiering.warm.elastic.access import connect as connect_elastic  # noqa: PLC0415 - too
    from storage_tiering.warm.elastic.tier import ElasticTier  # noqa: PLC0415 - an optional part

    with Elasticsearch(folder) as server:
        client = connect_elastic(server.address["url"])
        tier = ElasticTier(client, keep_ms=FOR_EVER_MS)
        list(tier.templates.install(vocabulary_of(Settings()), tier.periods))
        write(tier, records)
        write_outcomes(tier, outcomes)
        client.indices.forcemerge(max_num_segments=1)
        sizes = tier.searches.sizes()
        of_outcomes = sum(size for index, size in sizes.items() if OUTCOMES.search(index))
        sizes_of_both = Sizes(sum(sizes.values()) - of_outcomes, of_outcomes)
        tier.close()
    return sizes_of_both


def topic_lines(written: Sequence[Outgoing], orders: int, events: Sequence[bytes]) -> Iterator[str]:
    """A line a topic."""
    by_topic: dict[str, list[bytes]] = {topics.EVENTS: list(events)}
    for message in written:
        if message.value is not None:
            by_topic.setdefault(message.topic, []).append(message.value)
    for topic, values in sorted(by_topic.items()):
        mean = sum(map(len, values)) / len(values)
        yield (
            f"{topic:16} {len(values) / orders:6.2f} an order, {len(values) / len(events):5.2f} an "
            f"event, {mean:6.0f} bytes, {packed_bytes(values):6.0f} packed"
        )


@click.command()
@click.option("--orders", default=3_000, show_default=True)
@click.option("--elasticsearch", is_flag=True, help="start a node and measure it too; needs Java")
def main(orders: int, *, elasticsearch: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = generate(folder, orders)
        events = [line for line in file.read_bytes().splitlines() if b'"tick"' not in line]
        written = list(judged(file))
        places = Counter[str]()
        decoded = [record for message in written if (record := record_of(message, places))]
        records = [record for record in decoded if not isinstance(record, OutcomeRecord)]
        outcomes = [record for record in decoded if isinstance(record, OutcomeRecord)]
        count = len({record.key for record in records})
        print(f"{count:,} orders, {len(events):,} events")
        print("\n".join(topic_lines(written, count, events)))
        print(f"hot: Redis       {hot_bytes(records) / count:8.0f} bytes an order")
        warm = SqliteTier(folder / "warm", FOR_EVER_MS)
        print(f"warm: SQLite     {sizes_of(warm, records, outcomes).an_order(count)}")
        warm.close()
        if elasticsearch:
            sizes = elastic_bytes(records, outcomes, folder / "elastic")
            print(f"warm: Elastic    {sizes.an_order(count)}, merged")
        archive = ParquetTier(LocalFiles(folder / "archive"))
        print(f"archive: Parquet {sizes_of(archive, records, outcomes).an_order(count)}")


def record_of(
    message: Outgoing, places: Counter[str]
) -> OrderRecord | EventRecord | OutcomeRecord | None:
    """A message as the tiers read it; what is not for them, and tombstones, are left out."""
    if message.topic not in FOR_TIERS or not message.value:
        return None
    places[message.topic] += 1
    place = message.topic, 0, places[message.topic]
    return decode(Written(*place, message.key, message.value, message.headers))


if __name__ == "__main__":
    main()
