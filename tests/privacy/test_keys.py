"""What every key store promises, and what a file adds: wrapping, other processes, damage."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from privacy.keys import FileKeyStore, KeyStore, MemoryKeyStore, subject_of
from schemas.errors import StateError

ROOT = Path(__file__).resolve().parents[2]

ASK = """
import sys
from pathlib import Path
from privacy.keys import FileKeyStore
store = FileKeyStore(Path(sys.argv[1]))
for number in range(40):
    print(number, store.key_for("default", f"customer-{number}").key_id)
"""


@pytest.fixture(params=["memory", "file"])
def keystore(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    if request.param == "memory":
        yield MemoryKeyStore()
    else:
        store = FileKeyStore(tmp_path / "keys.ndjson")
        yield store
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keys.ndjson"


def test_a_customer_keeps_the_key_that_was_made_first(keystore: KeyStore) -> None:
    key = keystore.key_for("default", "ada")
    assert keystore.key_for("default", "ada") == key
    assert keystore.find(key.key_id) == key


def test_customers_and_tenants_have_keys_of_their_own(keystore: KeyStore) -> None:
    asked = [("a", "bc"), ("ab", "c"), ("default", "c"), ("default", subject_of(order_id="c"))]
    with keystore.batch():
        keys = {keystore.key_for(*each) for each in asked}
    assert len({key.key_id for key in keys}) == len({key.secret for key in keys}) == len(asked)


def test_an_erased_key_is_gone_and_the_next_is_another(keystore: KeyStore) -> None:
    key, other = keystore.key_for("default", "ada"), keystore.key_for("default", "bob")
    assert keystore.erase("default", "ada") == key.key_id
    assert keystore.find(key.key_id) is None
    assert keystore.find(other.key_id) == other
    assert keystore.key_for("default", "ada").key_id != key.key_id


def test_erasing_an_unknown_customer_erases_nothing(keystore: KeyStore) -> None:
    assert keystore.erase("default", "nobody") is None


def test_a_key_does_not_show_its_secret(keystore: KeyStore) -> None:
    key = keystore.key_for("default", "ada")
    assert f"{key} {key!r}" == f"Key({key.key_id}) Key({key.key_id})"


def test_threads_get_one_key_for_one_customer(keystore: KeyStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: keystore.key_for("default", f"c{n % 5}"), range(200)))
    assert len(set(found)) == 5


def test_keys_are_still_there_when_the_file_is_opened_again(path: Path) -> None:
    first = FileKeyStore(path)
    with first.batch():
        keys = [first.key_for("default", f"c{number}") for number in range(20)]
    first.close()
    again = FileKeyStore(path)
    assert [again.find(key.key_id) for key in keys] == keys
    again.close()


def test_neither_keys_nor_customers_stand_in_the_file(path: Path) -> None:
    store = FileKeyStore(path)
    key = store.key_for("default", "ada.lovelace")
    data = path.read_bytes()
    assert key.key_id.encode() in data
    assert key.secret not in data
    assert key.secret.hex().encode() not in data
    assert b"ada" not in data
    store.close()


def test_only_its_owner_can_read_the_files(path: Path) -> None:
    FileKeyStore(path).close()
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_an_erased_key_leaves_the_file(path: Path) -> None:
    store = FileKeyStore(path)
    key = store.key_for("default", "ada")
    kept = store.key_for("default", "bob")
    store.erase("default", "ada")
    assert key.key_id.encode() not in path.read_bytes()
    store.close()
    again = FileKeyStore(path)
    assert (again.find(key.key_id), again.find(kept.key_id)) == (None, kept)
    again.close()


def test_another_process_sees_new_keys_and_erased_ones_at_once(path: Path) -> None:
    one, two = FileKeyStore(path), FileKeyStore(path)
    key = one.key_for("default", "ada")
    assert two.key_for("default", "ada") == key
    one.erase("default", "ada")
    assert two.find(key.key_id) is None
    renewed = two.key_for("default", "ada")
    assert renewed.key_id != key.key_id
    assert one.key_for("default", "ada") == renewed
    one.close()
    two.close()


def test_processes_that_start_together_agree_on_every_key(path: Path) -> None:
    command = [sys.executable, "-c", ASK, str(path)]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(said) == 1
    assert len(said.pop().splitlines()) == 40


def test_another_master_key_is_told_by_name(path: Path, tmp_path: Path) -> None:
    FileKeyStore(path).close()
    elsewhere = tmp_path / "elsewhere" / "master.key"
    FileKeyStore(elsewhere.with_name("keys.ndjson"), elsewhere).close()
    with pytest.raises(StateError, match=r"written under another master key than .*elsewhere"):
        FileKeyStore(path, elsewhere)


def test_a_lost_master_key_is_not_replaced_by_a_new_one(path: Path) -> None:
    FileKeyStore(path).close()
    master = path.with_name("master.key")
    master.unlink()
    with pytest.raises(StateError, match=r"master\.key: no master key.* restore it"):
        FileKeyStore(path)
    assert not master.exists()


def test_a_master_key_that_others_can_read_is_refused(path: Path) -> None:
    FileKeyStore(path).close()
    path.with_name("master.key").chmod(0o640)
    with pytest.raises(StateError, match="others can read the master key; chmod 600"):
        FileKeyStore(path)


@pytest.mark.parametrize("text", ["", "abcd", "not hex at all"])
def test_a_damaged_master_key_is_refused(path: Path, text: str) -> None:
    FileKeyStore(path).close()
    path.with_name("master.key").write_text(text)
    with pytest.raises(StateError, match="master key"):
        FileKeyStore(path)


def test_half_a_line_of_a_killed_process_harms_nobody(path: Path) -> None:
    store = FileKeyStore(path)
    before = store.key_for("default", "ada")
    with path.open("ab") as file:
        file.write(b'{"key":"0123')
    after = store.key_for("default", "bob")
    store.close()
    again = FileKeyStore(path)
    assert [again.find(key.key_id) for key in (before, after)] == [before, after]
    again.close()


def test_a_damaged_key_is_named(path: Path) -> None:
    store = FileKeyStore(path)
    key = store.key_for("default", "ada")
    store.close()
    data = path.read_bytes()
    at = data.index(b'"wrapped":"') + 20
    path.write_bytes(data[:at] + (b"B" if data[at : at + 1] == b"A" else b"A") + data[at + 1 :])
    again = FileKeyStore(path)
    with pytest.raises(StateError, match=f"key {key.key_id} is damaged"):
        again.find(key.key_id)
    again.close()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a key file"),
        (b"a shopping list\n", "not a key file"),
        (b'{"format":9,"check":"AAAA"}\n', "has format 9, this version reads 1"),
    ],
)
def test_a_file_that_is_no_key_file_is_refused(path: Path, data: bytes, says: str) -> None:
    FileKeyStore(path).close()
    path.write_bytes(data)
    with pytest.raises(StateError, match=f"keys.ndjson: {says}"):
        FileKeyStore(path)


def test_a_key_file_that_vanishes_is_an_error(path: Path) -> None:
    store = FileKeyStore(path)
    store.key_for("default", "ada")
    os.unlink(path)  # noqa: PTH108 - as another process would
    with pytest.raises(StateError, match="the key file can't be used"):
        store.key_for("default", "ada")
    store.close()
