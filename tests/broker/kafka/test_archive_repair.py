"""`ordertide archive verify --repair` from the topics of real brokers, which have ids."""

from pathlib import Path

from click.testing import CliRunner

from broker.connect import Connection
from broker.produce import Producer
from commands.main import cli
from schemas.settings.model import read_settings
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS, TOPICS
from storage_tiering.archive.opening import open_archive
from storage_tiering.records import decode
from storage_tiering.tier import EventRecord, OrderRecord
from tests.support.kafka.topics import make_anew
from tests.support.tiers.log_file import busy_day

MESSAGES = busy_day(4, partitions=1, rounds=1)


def test_a_repair_from_topics_with_ids_leaves_no_client_open(
    kafka: Connection, tmp_path: Path
) -> None:
    make_anew(kafka, *TOPICS)
    with Producer(kafka) as producer:
        for each in MESSAGES:
            producer.send(each.topic, each.key, each.value, each.headers, partition=0)
    path = tmp_path / "ordertide.toml"
    path.write_text(
        f'[broker]\nbootstrap = "{kafka.bootstrap}"\n[archive]\nfolder = "{tmp_path / "archive"}"\n'
    )
    tier = open_archive(read_settings(path))
    records = [decode(each) for each in MESSAGES]
    tier.write_orders([each for each in records if isinstance(each, OrderRecord)])
    tier.write_events([each for each in records if isinstance(each, EventRecord)])
    tier.flush(force=True)
    tier.close()
    for topic in (ORDERS_CHANGES, ORDERS_EVENTS):
        (file,) = (tmp_path / "archive" / topic).glob("*/*.parquet")
        file.unlink()
    verify = ["archive", "verify", "--settings", str(path)]
    repaired = CliRunner().invoke(cli, [*verify, "--repair"])
    # Clients that are open now fail every test: tests/conftest.py.
    assert (repaired.exit_code, "2 repaired, 0 left" in repaired.output) == (0, True), repaired
    assert CliRunner().invoke(cli, verify).output == "the archive is whole\n"
