"""`ordertide state` on what a real flow left behind, whole and damaged, in use and not."""

import base64
import json
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from commands.state.command import command
from commands.state.files import RECOVERY, states_of
from dataflows.state.bytewax_recovery import read_recovery
from dataflows.state.local.frame import FORMAT, PLAIN, FrameIdentity, frame
from schemas import topics
from tests.support.engine import Engine
from tests.support.packed import pack, unpack
from tests.support.samples import END, some_orders, with_parcels
from tests.support.waiting import wait_until

ORDERS = 80
pack_any = msgspec.msgpack.Encoder().encode


class Left:
    """Results of a flow: its folder, and the last document of each order."""

    def __init__(self, folder: Path, documents: dict[str, Any], in_use: Result) -> None:
        self.folder = folder
        self.documents = documents
        self.in_use = in_use


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Left:
    """A flow that was looked at while it ran, and then killed."""
    folder = tmp_path_factory.mktemp("flow")
    rng = random.Random(seed)
    events = with_parcels(some_orders(ORDERS, rng), rng)
    with EmbeddedBroker() as broker:
        engine = Engine(broker, folder)
        try:
            engine.start()
            for part in range(4):
                engine.feed(events[part * len(events) // 4 : (part + 1) * len(events) // 4])
                engine.hear(0.5)
            engine.tick(END)
            engine.wait_for_clock(END)
            engine.wait_for_barrier()
            wait_until(lambda: len(pointed_to(folder / "track")) == 128, "a pointer of each shard")
            in_use = run(folder / "track" / "shards.sqlite", "verify", "--json")
            shown = run(folder / "track" / "shards.sqlite", "inspect", "--json")
            assert engine.process is not None
            assert json.loads(shown.output)["in_use_by"] == str(engine.process.pid)
            engine.kill()
            documents = {}
            for message in read_all(engine.connection, topics.ORDERS_CHANGES):
                if message.value is not None:
                    documents[(message.key or b"").decode()] = json.loads(message.value)
        finally:
            engine.close()
    return Left(folder / "track", documents, in_use)


@pytest.fixture
def store(left: Left, tmp_path: Path) -> Path:
    """A copy of the store with its recovery folder."""
    shutil.copytree(left.folder, tmp_path / "copy")
    return tmp_path / "copy" / "shards.sqlite"


def pointed_to(folder: Path) -> set[str]:
    """Shards with a pointer that bytewax has committed, which it does after an epoch's end."""
    return set(states_of(read_recovery(folder / RECOVERY)))


def run(store: Path, what: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, [what, "--store", str(store), *arguments])


def change(store: Path, statement: str) -> None:
    database = sqlite3.connect(store)
    with database:
        assert database.execute(statement).rowcount, "nothing was changed"
    database.close()


def faults(store: Path) -> list[str]:
    """Faults found by verify; there must be some."""
    result = run(store, "verify", "--json")
    assert result.exit_code == 1, f"{result.output} {result.exception!r}"
    found: list[str] = json.loads(result.output)["faults"]
    return found


def test_inspect_counts_what_the_flow_said(left: Left, store: Path) -> None:
    found = json.loads(run(store, "inspect", "--json").output)
    assert found["live"] + found["retired"] == len(left.documents)
    assert found["in_use_by"] is None
    assert len(found["shards"]) == 128
    assert found["clock_ms"] == END
    assert list(found["blob_versions"]) == [str(FORMAT)]
    for shard in found["shards"]:
        assert shard["oldest"] <= shard["pointer"] <= shard["latest"]
        assert shard["bases"] + shard["deltas"] == shard["blobs"] >= shard["chain"] > 0


def test_inspect_tells_people_the_same(store: Path) -> None:
    said = run(store, "inspect").output
    found = json.loads(run(store, "inspect", "--json").output)
    assert f"{found['live']} live orders, {found['retired']} retired" in said
    assert "not in use" in said
    assert f"rules-lifecycle {found['digests'][0]}" in said
    assert len(said.splitlines()) > 128


def test_a_quick_look_opens_no_blob(store: Path) -> None:
    change(store, "UPDATE blobs SET stored = substr(stored, 1, 8)")
    found = json.loads(run(store, "inspect", "--json", "--quick").output)
    assert (found["live"], len(found["shards"])) == (None, 128)


def test_a_store_in_use_is_verified(left: Left) -> None:
    assert left.in_use.exit_code == 0, left.in_use.output
    found = json.loads(left.in_use.output)
    assert (found["faults"], found["pointers"]) == ([], 128)
    assert found["orders"] >= len(left.documents)


def test_what_a_kill_left_is_whole(store: Path) -> None:
    result = run(store, "verify")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("no fault\n")


def test_a_damaged_blob_is_named_with_what_to_do(store: Path) -> None:
    change(
        store,
        "UPDATE blobs SET stored = CAST(stored || x'00' AS BLOB) WHERE sequence = "
        "(SELECT max(sequence) FROM blobs WHERE shard LIKE 's07%')",
    )
    [fault] = faults(store)
    assert fault.startswith("shard s07-0lkq3, blob ")
    assert "checksum differs; restore the state and the recovery folder" in fault


@pytest.mark.parametrize(
    ("shard", "content", "words"),
    [
        ("s07", b"\x97\x01", "it is cut off"),
        ("s07", pack_any(["x"]), "it needs at least 7 parts"),
        ("n07", pack_any("text"), "it is a text; send a list"),
    ],
)
def test_a_blob_of_another_version_is_named_in_words(
    store: Path, shard: str, content: bytes, words: str
) -> None:
    database = sqlite3.connect(store)
    (name,) = database.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
    last = "FROM blobs WHERE shard LIKE ? ORDER BY sequence DESC LIMIT 1"
    where = database.execute(f"SELECT shard, sequence, run {last}", [f"{shard}%"]).fetchone()
    stored = frame(PLAIN, content, FrameIdentity(name, *where))
    with database:
        database.execute(
            "UPDATE blobs SET stored = ? WHERE shard = ? AND sequence = ? AND run = ?",
            [stored, *where],
        )
    database.close()
    found = run(store, "verify", "--json")
    [fault] = [each for each in json.loads(found.output)["faults"] if where[0] in each]
    assert f"its content is unreadable ({words}); use the version that wrote it" in fault


def test_a_damaged_row_of_the_retired_table_is_named(store: Path) -> None:
    damage = "UPDATE retired SET stored = x'FF0000000000' WHERE key = (SELECT key FROM retired)"
    change(store, damage.replace("FF", f"{FORMAT:02x}"))
    [fault] = faults(store)
    assert ", retired row " in fault
    assert "checksum differs" in fault


def test_a_pointer_that_names_nothing_is_a_fault(store: Path) -> None:
    change(store, "UPDATE blobs SET run = 'other' WHERE shard LIKE 's07%'")
    found = faults(store)
    assert any("shard s07-0lkq3" in f and "doesn't hold it as written by run" in f for f in found)


def test_a_store_from_another_backup_is_a_fault_of_every_pointer(store: Path) -> None:
    change(store, "UPDATE meta SET value = '0123456789abcdef' WHERE name = 'store'")
    found = faults(store)
    assert sum("is store 0123456789abcdef; resume with the state and" in f for f in found) == 128


def test_a_chain_without_its_base_is_a_fault(store: Path) -> None:
    change(store, "UPDATE blobs SET base = 0 WHERE shard LIKE 's07%'")
    assert any("shard s07-0lkq3" in f and "there is no base before it" in f for f in faults(store))


def test_damage_to_the_file_itself_is_a_fault(store: Path) -> None:
    database = sqlite3.connect(store)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    data = bytearray(store.read_bytes())
    middle = slice(len(data) // 4, len(data) // 2)
    data[middle] = b"\xee" * len(data[middle])
    store.write_bytes(data)
    assert any("damaged" in fault or "SQLite reports" in fault for fault in faults(store))


def test_an_order_that_is_not_what_its_history_says_is_a_fault(store: Path) -> None:
    from commands.state.packed_order import fault_of  # noqa: PLC0415 - beside what it is about
    from dataflows.definition_files import read_lifecycle  # noqa: PLC0415 - likewise

    result = run(store, "export", "--form", "packed")
    line = json.loads(result.stdout.splitlines()[0])
    data, table = base64.b64decode(line["packed"]), read_lifecycle(None)
    assert fault_of(line["order_id"], data, table) is None
    order = unpack(data)
    order.status ^= 1
    assert "status differ from its folded history" in str(fault_of("x", pack(order), table))
    assert "stored in format 9" in str(fault_of("x", data[:3] + b"\x09" + data[4:], table))
    assert "can't be unpacked" in str(fault_of("x", data[:-1], table))
    order.history = order.history[:-1]
    assert "can't be unpacked" in str(fault_of("x", pack(order), table))


def test_documents_are_those_of_orders_changes(left: Left, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "orders.ndjson"
    result = run(store, "export", "--out", str(out))
    assert result.exit_code == 0, result.output
    exported = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert {each["order_id"]: each for each in exported} == left.documents
    assert len(exported) == len(left.documents)
    assert out.stat().st_mode & 0o777 == 0o600


def test_packed_orders_unpack(left: Left, store: Path) -> None:
    lines = [
        json.loads(line) for line in run(store, "export", "--form", "packed").stdout.splitlines()
    ]
    versions = {
        line["order_id"]: unpack(base64.b64decode(line["packed"])).version for line in lines
    }
    assert versions == {key: each["version"] for key, each in left.documents.items()}


def test_retired_and_live_orders_together_are_all(left: Left, store: Path) -> None:
    parts = [run(store, "export", flag).stdout.splitlines() for flag in ("--retired", "--live")]
    assert sum(map(len, parts)) == len(left.documents)
    assert not set(parts[0]) & set(parts[1])


def test_a_backup_without_recovery_folder_says_what_it_does_not_check(store: Path) -> None:
    shutil.rmtree(store.parent / "recovery")
    result = run(store, "verify")
    assert result.exit_code == 0
    assert "bytewax's pointers not checked" in result.output


def test_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = run(tmp_path / "shards.sqlite", "inspect")
    assert "there is no state file; name another with --store" in str(result.exception)
