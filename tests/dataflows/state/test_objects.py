"""The shard store in a bucket: who may write, what is kept, and the errors of wrong settings."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from dataflows.state.remote import checkpoints as copying
from dataflows.state.remote.bucket import Bucket
from dataflows.state.remote.log import TakenOver
from dataflows.state.remote.records import FORMAT, Owner, sealed
from dataflows.state.remote.run_start import Origin, Plan, begin_run, create_run, fetch_state
from dataflows.state.remote.store import ObjectShardStore
from dataflows.state.store import Pointer
from schemas.errors import Busy, SettingsError, StateError
from schemas.settings.model import StateSettings
from tests.support.disks import object_store, objects_of, state_files_in
from tests.support.s3 import S3

Host = Callable[[str], ObjectShardStore]


@pytest.fixture
def settings(s3: S3) -> StateSettings:
    return s3.settings()


@pytest.fixture
def host(settings: StateSettings, tmp_path: Path) -> Iterator[Host]:
    """Opens the store on a host; hosts are folders."""
    opened = []

    def open_on(name: str) -> ObjectShardStore:
        opened.append(object_store(tmp_path / name, settings))
        return opened[-1]

    yield open_on
    for store in opened:
        store.close()


def begun(store: ObjectShardStore) -> Pointer:
    store.open("a", None)
    return written(store, b"base", base=True)


def written(store: ObjectShardStore, blob: bytes, *, base: bool = False) -> Pointer:
    pointer = store.stage("a", blob, base=base, retired=[(blob.decode(), blob)])
    store.commit()
    return pointer


def names(settings: StateSettings, folder: str = "") -> list[str]:
    return Bucket(settings, "000").names(folder)


def test_a_process_whose_store_was_taken_over_can_write_no_more(host: Host) -> None:
    zombie = host("one")
    pointer = begun(zombie)
    store = host("two")
    with pytest.raises(TakenOver, match=f"another process .*run {store.in_run.token}"):
        written(zombie, b"late")
    assert store.open("a", pointer) == [b"base"]
    last = written(store, b"mine")
    assert host("three").open("a", last) == [b"base", b"mine"]


def test_one_that_slept_until_its_number_was_free_again_damages_nothing(
    host: Host, settings: StateSettings
) -> None:
    zombie = host("one")
    pointer = begun(zombie)
    store = host("two")
    store.open("a", pointer)
    last = [written(store, blob) for blob in (b"one", b"two", b"three")][-1]
    store.checkpoints.make(["a"])
    assert names(settings, "runs") == ["runs/000002"], "all before the copy is removed"
    with pytest.raises(TakenOver):
        written(zombie, b"late")
    assert names(settings, "logs/000001") == ["logs/000001/00/000000002"], "the claim stays"
    assert host("three").open("a", last) == [b"base", b"one", b"two", b"three"]


def test_one_that_slept_before_it_began_a_run_begins_none_later(
    host: Host, settings: StateSettings
) -> None:
    begun(host("one"))
    sleeper = host("two").in_run  # as it would have written it
    store = host("three")
    store.open("a", None)
    written(store, b"base", base=True)
    store.checkpoints.make(["a"])
    assert names(settings, "runs") == ["runs/000003"]
    with pytest.raises(TakenOver, match="run 2 or a later one"):
        create_run(objects_of(settings), sleeper)


def test_what_reached_the_bucket_and_not_the_disk_is_there_after_a_kill(host: Host) -> None:
    store = host("one")
    pointer = begun(store)
    late = store.stage("a", b"late", base=False)
    store.number += 1
    store.objects.append(store.record())  # and here it is killed
    store.close()
    again = host("one")
    assert again.open("a", late) == [b"base", b"late"]
    assert again.open("a", pointer) == [b"base"]


def test_a_copy_lets_the_log_before_it_go_and_holds_all_there_was(
    host: Host, settings: StateSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MOST_ENTRIES", 10)
    monkeypatch.setattr(copying, "PART_BYTES", 300)
    store = host("one")
    begun(store)
    pointers = [written(store, b"delta %d" % number) for number in range(40)]
    store.checkpoints.wait()
    log = [name for name in names(settings) if name.startswith("logs/")]
    assert len(log) < 30
    ends = [name for name in names(settings) if name.endswith("/end")]
    assert len(ends) == 1
    store = host("two")
    assert store.open("a", pointers[-3]) == [b"base"] + [b"delta %d" % n for n in range(38)]
    assert store.retired("a", "delta 5") == b"delta 5"
    assert store.retired("a", "delta 38") is None


def test_an_old_file_of_a_host_is_made_anew_from_the_copy(host: Host) -> None:
    old = host("one")
    pointer = begun(old)
    old.close()
    store = host("two")
    store.open("a", pointer)
    last = [written(store, b"%d" % number) for number in range(5)][-1]
    store.checkpoints.make(["a"])
    store.close()
    assert host("one").open("a", last) == [b"base", *(b"%d" % number for number in range(5))]


def test_a_file_of_another_store_is_refused(host: Host, s3: S3, tmp_path: Path) -> None:
    begun(host("one"))
    other = object_store(tmp_path / "two", s3.settings())
    other.close()
    with pytest.raises(StateError, match=r"is store .* set another state.prefix"):
        host("two")


def test_a_bucket_that_was_set_back_is_refused(host: Host, settings: StateSettings) -> None:
    store = host("one")
    begun(store)
    store.close()
    Bucket(settings, "000").remove(["logs/000001/00/000000001"])
    with pytest.raises(StateError, match="the bucket was rolled back"):
        host("one")


def test_a_damaged_object_is_refused(host: Host, settings: StateSettings) -> None:
    begun(host("one"))
    bucket = Bucket(settings, "000")
    name = [name for name in names(settings) if name.startswith("logs/")][-1]
    content = bucket.read(name)
    assert content is not None
    bucket.remove([name])
    bucket.create(name, content[:-1] + b"!")
    with pytest.raises(StateError, match=f"{name}: checksum differs"):
        host("two")


@pytest.mark.parametrize("older", ["store", "log/000000000001", "copies/000000000016-a/000"])
def test_a_bucket_of_an_older_version_is_refused(
    older: str, host: Host, settings: StateSettings, tmp_path: Path
) -> None:
    Bucket(settings, "000").create(older, b"of an older version")
    with pytest.raises(StateError, match=r"older version .* `ordertide track --begin-anew`"):
        host("one")
    with pytest.raises(StateError, match=r"older version .* `ordertide track --begin-anew`"):
        fetch_state(objects_of(settings), state_files_in(tmp_path / "fetched"))
    assert names(settings) == [older], "refused without a change"


def test_state_of_an_older_version_is_discarded_when_asked_to(
    host: Host, settings: StateSettings, tmp_path: Path
) -> None:
    Bucket(settings, "000").create("store", b"of an older version")
    Bucket(settings, "000").create("log/000000000001", b"of an older version")
    begin_run(objects_of(settings), state_files_in(tmp_path / "one"), Plan(1), Origin(1, 1_000))
    assert {name.split("/")[0] for name in names(settings)} == {"owner", "runs"}
    assert host("one").in_run.number == 2


def test_an_object_of_another_format_is_refused(host: Host, settings: StateSettings) -> None:
    begun(host("one"))
    bucket = Bucket(settings, "000")
    bucket.remove(["owner"])
    bucket.create("owner", sealed("owner", Owner(FORMAT + 1, "s", 4)))
    with pytest.raises(StateError, match=f"owner: format {FORMAT + 1}, .*--begin-anew"):
        host("two")


def test_an_object_of_another_shape_is_refused_in_words(
    host: Host, settings: StateSettings
) -> None:
    begun(host("one"))
    bucket = Bucket(settings, "000")
    bucket.remove(["owner"])
    damaged = msgspec.structs.replace(Owner(FORMAT, "s", 4), shards="four")
    bucket.create("owner", sealed("owner", damaged))
    words = r"owner: \[2\]: it is a text; send a whole number; use the version that wrote it"
    with pytest.raises(StateError, match=words):
        host("two")


def test_a_missing_bucket_is_said_with_its_setting(settings: StateSettings, tmp_path: Path) -> None:
    missing = msgspec.structs.replace(settings, bucket="nobody-made-it")
    with pytest.raises(SettingsError, match=r"no such bucket .* correct state.bucket"):
        object_store(tmp_path, missing)


def test_wrong_credentials_are_said_with_their_setting(tmp_path: Path) -> None:
    with (
        serving(Refusing) as settings,
        pytest.raises(SettingsError, match=r"refuses these credentials .* state.access_key"),
    ):
        object_store(tmp_path, settings)


def test_an_endpoint_without_an_answer_is_said_with_its_setting(tmp_path: Path) -> None:
    nobody = StateSettings(
        bucket="any", endpoint="http://127.0.0.1:9", access_key="test", secret_key="test"
    )
    with pytest.raises(Busy, match=r"no answer from http://127.0.0.1:9 .* check state.endpoint"):
        object_store(tmp_path, nobody)


def test_no_bucket_is_said_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"set state.bucket"):
        object_store(tmp_path, StateSettings())


class Forgetful(BaseHTTPRequestHandler):
    """An object store that ignores If-None-Match and keeps nothing."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"")

    def do_GET(self) -> None:
        is_list = "list-type" in self.path
        self.answer(200 if is_list else 404, b"<ListBucketResult></ListBucketResult>")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing in a test."""


class Refusing(Forgetful):
    """An object store that refuses every client."""

    def do_GET(self) -> None:
        self.answer(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")


@contextmanager
def serving(handler: type[Forgetful]) -> Iterator[StateSettings]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield StateSettings(
            bucket="any",
            endpoint=f"http://127.0.0.1:{server.server_port}",
            access_key="test",
            secret_key="test",
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_object_store_that_would_let_two_write_the_same_is_refused(tmp_path: Path) -> None:
    with (
        serving(Forgetful) as settings,
        pytest.raises(SettingsError, match="ignores If-None-Match"),
    ):
        object_store(tmp_path, settings)
