"""docs/data.md is current and complete, and every query on it gives an answer."""

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from elasticsearch import Elasticsearch
from redis import Redis

from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from docs.data.meanings import MEANINGS, Meanings
from docs.data.page import PAGE, data_page, page
from schemas.order import AcceptedEvent, OrderDocument
from schemas.topics import EVENTS, OWN, TOPICS
from sinks.channels.alert_message import Posting
from sinks.channels.alertmanager import AlertmanagerChannel
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.dead_letters import dead_letter_of
from storage_tiering.hot.embedded import EmbeddedRedis
from storage_tiering.hot.keys import SlotKeys, slot_of
from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from storage_tiering.tier import Outcomes, Tier
from storage_tiering.warm.elastic.access import connect as connect_elastic
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.contracts.test_outcomes import action, entry, records
from tests.support.alerts import alert, notice
from tests.support.promql import check_expressions, unknown_labels, unknown_names
from tests.support.servers import absent
from tests.support.stack import address
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.orders import START, WARM_KEEP_MS, Log, accepted, dead_letter, document

CONTENT = Meanings(MEANINGS.read_text("utf-8")).content
TOPIC_QUERIES = {name: topic["query"] for name, topic in CONTENT["topics"].items()}
SLOT = 5  # the one of the queries
MAY_BE_EMPTY = {"unplaced"}
UNTIL_S = 30
FOUND = re.compile(r"^\| `(ordertide_\w+)` \|.*\| `(.+)` \|$", re.MULTILINE)


def in_slot(names: Iterator[str]) -> Iterator[str]:
    """Order ids of the queries' slot."""
    return (name for name in names if slot_of(name) == SLOT)


NAMES = in_slot(f"SO-{number}" for number in range(10_000))
ORDER, LOOSE = next(NAMES), next(NAMES)


def orders() -> list[OrderDocument]:
    """An overdue order, and one that the queries name."""
    late = document(ORDER, 1, lane="overdue", open_alerts=[alert(order_id=ORDER)], carrier="sf")
    return [late, document("4711", 1)]


def events() -> list[AcceptedEvent]:
    return [accepted(order.order_id, f"{number}") for number, order in enumerate(orders())]


def fill(tier: Tier) -> None:
    """Write them, with the tier's progress."""
    log = Log()
    tier.write_orders(log.changes(*orders()))
    tier.write_events(log.events(*events()))
    if isinstance(tier, Outcomes):
        tier.write_outcomes(records(entry("1", operator="u-5"), action("2")))
    tier.note({("orders.changes", 0): 2})
    assert tier.flush(force=True)
    tier.expire(START)
    tier.flush(force=True)


# ---------------------------------------------------------------- the page
def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: make docs"


def test_a_name_without_a_meaning_is_refused() -> None:
    text = MEANINGS.read_text("utf-8").replace('lane = "lane"\n', "", 1)
    with pytest.raises(LookupError, match="no meaning of sqlite orders lane"):
        data_page(Meanings(text))


def test_a_meaning_without_a_name_is_refused() -> None:
    text = MEANINGS.read_text("utf-8") + '\n[sqlite.gone]\nkey = "of a table of former times"\n'
    with pytest.raises(LookupError, match="nothing is called sqlite gone key"):
        data_page(Meanings(text))


def test_every_metric_names_the_processes_that_show_it() -> None:
    rows = re.findall(r"^\| `(ordertide_\w+)` \|(.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    processes = {name: cells.split("|")[2].strip() for name, cells in rows}
    assert processes["ordertide_outbox"] == "act"
    assert all(processes.values())


# ---------------------------------------------------------------- its queries
def test_queries_of_metrics_are_valid(tmp_path: Path) -> None:
    queries = dict(FOUND.findall(PAGE.read_text("utf-8")))
    assert len(queries) > 40
    for metric, query in queries.items():
        assert not unknown_names(query), metric
        assert not unknown_labels(query), metric
    check_expressions(queries.values(), tmp_path)


@pytest.fixture(scope="module")
def sqlite_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("warm")
    tier = SqliteTier(folder, WARM_KEEP_MS)
    fill(tier)
    tier.close()
    return folder


@pytest.mark.parametrize("name", CONTENT["sqlite"])
def test_a_query_of_sqlite_gives_rows(name: str, sqlite_files: Path) -> None:
    of_table = CONTENT["sqlite"][name]
    for file in of_table["file"].replace("YYYY-MM", "2017-10").split(", "):
        with closing(sqlite3.connect(sqlite_files / file)) as database:
            rows = database.execute(of_table["query"]).fetchall()
        assert rows or name in MAY_BE_EMPTY


@pytest.mark.parametrize("topic", CONTENT["parquet"])
def test_a_query_of_the_archive_gives_rows(topic: str, tmp_path: Path) -> None:
    tier = ParquetTier(LocalFiles(tmp_path))
    fill(tier)
    tier.close()
    query = CONTENT["parquet"][topic]["query"].replace("ARCHIVE", str(tmp_path))
    with duckdb.connect() as database:
        assert database.sql(query).fetchall()


def test_queries_of_redis_give_answers() -> None:
    with EmbeddedRedis() as server, connect(server.url) as client:
        settings = HotSettings(keep_ms=WARM_KEEP_MS)
        tier = RedisTier(client, settings)
        fill(tier)
        tier.write_events(Log().events(accepted(LOOSE, "9")))
        tier.flush(force=True)
        reader = Redis.from_url(server.url)
        prefix = SlotKeys(settings.prefix, SLOT).progress.partition("{")[0]
        for key, of_key in CONTENT["redis"].items():
            query = of_key["query"].replace("PREFIX", prefix).replace("KEY", ORDER)
            program, *command = shlex.split(query)
            assert program == "redis-cli"
            assert reader.execute_command(*command), key  # type: ignore[no-untyped-call]  # has no types
        reader.close()


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """A broker with a message in each topic."""
    with EmbeddedBroker() as broker:
        for topic in (*TOPICS, *OWN):
            broker.create(topic.name)
        with Producer(broker.connection) as producer:
            for topic in (*TOPICS, *OWN):
                producer.send(topic.name, b"4711", b"{}", [("code", b"no_order")])
            producer.flush()
        yield broker.bootstrap


@pytest.mark.parametrize("topic", TOPIC_QUERIES)
def test_a_query_of_a_topic_gives_messages(topic: str, bootstrap: str) -> None:
    program, *arguments = shlex.split(TOPIC_QUERIES[topic].replace("BROKER", bootstrap))
    assert program == "kcat"
    path = shutil.which("kcat") or shutil.which("kafkacat")
    path = path or absent("not installed: kcat; run 'apt-get install kcat'")
    ran = subprocess.run(
        [path, *arguments], capture_output=True, text=True, check=True, timeout=UNTIL_S
    )
    assert ran.stdout.strip()
    assert (topic in ran.stdout) == ("-L" in arguments)


def test_outputs_are_read_committed() -> None:
    outputs = {topic.name for topic in TOPICS} - {EVENTS}
    for topic, query in TOPIC_QUERIES.items():
        assert ("-X isolation.level=read_committed" in query) == (topic in outputs)


@pytest.fixture(scope="module")
def warm() -> Iterator[tuple[Elasticsearch, str]]:
    with shared_place() as (url, prefix), connect_elastic(url) as client:
        tier = ElasticTier(client, prefix)
        fill(tier)
        tier.write_dead_letters([dead_letter_of(dead_letter("no_order"))])
        assert tier.flush(force=True)
        yield client, prefix


@pytest.mark.stack
@pytest.mark.parametrize("kind", CONTENT["elasticsearch"])
def test_a_query_of_elasticsearch_finds_documents(
    kind: str, warm: tuple[Elasticsearch, str]
) -> None:
    client, prefix = warm
    index = CONTENT["elasticsearch"][kind]["index"].replace("PREFIX", prefix)
    client.indices.refresh(index=f"{prefix}-*")
    query = json.loads(CONTENT["elasticsearch"][kind]["query"])
    answer = client.search(index=index.replace("YYYY-MM", "*"), body=query)
    assert answer["hits"]["total"]["value"]
    for found in answer.get("aggregations", {}).values():
        assert found["buckets"]


@pytest.mark.stack
def test_queries_of_alert_labels_find_the_alert() -> None:
    url = address("alertmanager")["url"]
    path = shutil.which("amtool") or absent("not installed: amtool")
    now = int(time.time() * 1000)
    of_alert = notice("4711")
    labels = {**of_alert.labels, "carrier": "sf"}
    channel = AlertmanagerChannel(url)
    channel.post([Posting(of_alert._replace(labels=labels), now, now + 60_000)])
    channel.close()
    queries = {name: each["query"] for name, each in CONTENT["alert_labels"].items()}
    assert queries.keys() == labels.keys()
    for query in queries.values():
        ran = subprocess.run(
            [path, "alert", "query", f"--alertmanager.url={url}", "-o", "json", query],
            capture_output=True,
            text=True,
            check=True,
            timeout=UNTIL_S,
        )
        assert "4711" in {each["labels"].get("order_id") for each in json.loads(ran.stdout)}
