"""Contract of key stores, and the additions of a file: wrapping, other processes, damage."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.keys import FileKeyStore, KeyErased, KeyStore, MemoryKeyStore, subject_of
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


def test_an_erased_subject_stays_erased(keystore: KeyStore) -> None:
    key, other = keystore.key_for("default", "ada"), keystore.key_for("default", "bob")
    assert keystore.erase("default", "ada") == [key.key_id]
    assert keystore.find(key.key_id) is None
    assert keystore.is_erased(key.key_id)
    assert keystore.find(other.key_id) == other
    assert not keystore.is_erased(other.key_id)
    with pytest.raises(KeyErased, match=key.key_id):
        keystore.key_for("default", "ada")
    assert keystore.erase("default", "ada") == []
    assert keystore.key_for("other tenant", "ada").key_id != key.key_id


def test_a_subject_can_be_erased_before_it_has_a_key(keystore: KeyStore) -> None:
    assert keystore.erase("default", "nobody") == []
    with pytest.raises(KeyErased) as caught:
        keystore.key_for("default", "nobody")
    assert keystore.is_erased(caught.value.key_id)


def test_a_subject_is_erased_by_the_id_of_its_key(keystore: KeyStore) -> None:
    key = keystore.key_for("default", subject_of(other="SF1"))
    assert keystore.erase("default", keys=[key.key_id, "0" * 32]) == [key.key_id]
    with pytest.raises(KeyErased):
        keystore.key_for("default", subject_of(other="SF1"))


@pytest.mark.parametrize("links_come", ["before the keys", "after the keys", "after the erasure"])
def test_erasing_a_customer_erases_orders_and_numbers(keystore: KeyStore, links_come: str) -> None:
    order, number = subject_of(order_id="4711"), subject_of(other="SF1")
    links = [(number, order), (order, "ada")]
    if links_come == "before the keys":
        for below, above in links:
            keystore.link("default", below, above)
    keys = [keystore.key_for("default", subject) for subject in ("ada", order, number, "bob")]
    if links_come == "after the keys":
        for below, above in links:
            keystore.link("default", below, above)
    keystore.erase("default", "ada")
    if links_come == "after the erasure":
        for below, above in reversed(links):
            keystore.link("default", below, above)
    assert [keystore.find(key.key_id) for key in keys] == [None, None, None, keys[3]]
    for subject in (order, number):
        with pytest.raises(KeyErased):
            keystore.key_for("default", subject)


def test_erasing_a_number_leaves_its_order_and_another_tenants(keystore: KeyStore) -> None:
    order, number = subject_of(order_id="4711"), subject_of(other="SF1")
    kept = [keystore.key_for(tenant, order) for tenant in ("default", "other")]
    kept.append(keystore.key_for("other", number))
    keystore.link("default", number, order)
    keystore.erase("default", number)
    assert [keystore.find(key.key_id) for key in kept] == kept


def test_links_matter_once_something_is_erased_or_sealed_without_a_customer(
    keystore: KeyStore,
) -> None:
    keystore.key_for("default", "ada")
    assert not keystore.is_linking
    keystore.key_for("default", subject_of(order_id="4711"))
    assert keystore.is_linking


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
    assert b"lovelace" not in data  # "ada" are hexadecimal digits
    store.close()


def test_only_its_owner_can_read_the_files(path: Path) -> None:
    FileKeyStore(path).close()
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_an_erased_key_leaves_the_file(path: Path) -> None:
    store = FileKeyStore(path)
    key = store.key_for("default", "ada")
    kept = store.key_for("default", "bob")
    wrapped = json.loads(path.read_bytes().splitlines()[1])["wrapped"]
    store.erase("default", "ada")
    assert wrapped.encode() not in path.read_bytes()
    store.close()
    again = FileKeyStore(path)
    assert (again.find(key.key_id), again.find(kept.key_id)) == (None, kept)
    with pytest.raises(KeyErased, match=key.key_id):
        again.key_for("default", "ada")
    again.close()


def test_links_are_kept_when_the_file_is_opened_again(path: Path) -> None:
    order = subject_of(order_id="4711")
    store = FileKeyStore(path)
    key = store.key_for("default", order)
    store.link("default", order, "ada")
    size_bytes = path.stat().st_size
    store.link("default", order, "ada")
    assert path.stat().st_size == size_bytes
    store.close()
    again = FileKeyStore(path)
    assert again.erase("default", "ada") == [key.key_id]
    again.close()


def test_a_process_that_opened_the_file_before_links_and_erases_what_others_wrote(
    path: Path,
) -> None:
    one, two = FileKeyStore(path), FileKeyStore(path)
    order = subject_of(order_id="4711")
    key = one.key_for("default", order)
    two.erase("default", "ada")
    one.link("default", order, "ada")
    assert two.find(key.key_id) is None
    one.close()
    two.close()


def test_an_erasure_cut_short_before_the_key_left_the_file_counts(path: Path) -> None:
    store = FileKeyStore(path)
    key = store.key_for("default", "ada")
    before = path.read_bytes()
    store.erase("default", "ada")
    tombstone = path.read_bytes().splitlines(keepends=True)[-1]
    store.close()
    path.write_bytes(before + tombstone)
    again = FileKeyStore(path)
    assert again.find(key.key_id) is None
    again.close()


def test_a_tombstone_with_a_flipped_digit_is_damage(path: Path) -> None:
    store = FileKeyStore(path)
    store.erase("default", "ada")
    store.close()
    data = path.read_bytes()
    at = data.index(b'"erased":"') + 12
    path.write_bytes(data[:at] + (b"1" if data[at : at + 1] != b"1" else b"2") + data[at + 1 :])
    with pytest.raises(StateError, match="a line is damaged, its mark differs; restore the file"):
        FileKeyStore(path)


def test_another_process_sees_new_keys_and_erased_ones_at_once(path: Path) -> None:
    one, two = FileKeyStore(path), FileKeyStore(path)
    key = one.key_for("default", "ada")
    assert two.key_for("default", "ada") == key
    one.erase("default", "ada")
    assert two.find(key.key_id) is None
    for store in (one, two):
        with pytest.raises(KeyErased, match=key.key_id):
            store.key_for("default", "ada")
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
        (b'{"format":9,"check":"AAAA"}\n', "has format 9, this version reads 2"),
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


def test_a_lost_key_file_is_not_replaced_by_a_new_one(path: Path) -> None:
    with_a_key(path)
    path.unlink()
    with pytest.raises(StateError, match=r"keys\.ndjson: missing, .*\.lock shows .*; restore it"):
        FileKeyStore(path)
    assert not path.exists()


def test_a_key_file_lost_with_its_master_key_is_not_replaced(path: Path) -> None:
    with_a_key(path)
    path.unlink()
    path.with_name("master.key").unlink()
    with pytest.raises(StateError, match=r"keys\.ndjson: missing"):
        FileKeyStore(path)
    assert not path.with_name("master.key").exists()


def test_a_folder_of_keys_lost_whole_is_missed_by_the_state(path: Path, tmp_path: Path) -> None:
    file = with_a_key(path)
    with pytest.raises(StateError, match="while the state shows that something was sealed"):
        FileKeyStore(tmp_path / "empty" / "keys.ndjson", expected=file)


def test_another_key_file_than_the_states_is_refused(path: Path, tmp_path: Path) -> None:
    file, other = with_a_key(path), with_a_key(tmp_path / "other" / "keys.ndjson")
    FileKeyStore(path, expected=file).close()
    with pytest.raises(StateError, match=f"sealed under key file {other}"):
        FileKeyStore(path, expected=other)


def test_a_key_file_that_never_sealed_anything_may_be_made_again(path: Path) -> None:
    FileKeyStore(path).close()
    path.unlink()
    FileKeyStore(path).close()
    path.unlink()
    path.with_name("master.key").unlink()
    FileKeyStore(path).close()


def test_new_keys_are_made_once_the_marker_is_removed(path: Path) -> None:
    with_a_key(path)
    path.unlink()
    lock_of(path).unlink()
    FileKeyStore(path).close()


@given(st.data())
def test_a_cut_key_file_is_refused_wherever_it_was_cut(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "keys.ndjson"
        with_a_key(path, 3)
        size_bytes = path.stat().st_size
        os.truncate(path, data.draw(st.integers(0, size_bytes - 1)))
        with pytest.raises(StateError, match=r"cut after|not a key file"):
            FileKeyStore(path)


def test_a_restored_key_file_is_taken_unless_its_last_line_is_cut(path: Path) -> None:
    with_a_key(path)
    backup = path.read_bytes()
    with_a_key(path, 3)
    restore(path, backup)
    FileKeyStore(path).close()
    restore(path, backup[:-1])
    with pytest.raises(StateError, match="its last line is cut, so that a key is missing; restore"):
        FileKeyStore(path)


def restore(path: Path, data: bytes) -> None:
    """As `mv` puts a file back."""
    fresh = path.with_name("restored")
    fresh.write_bytes(data)
    fresh.replace(path)


def test_a_damaged_marker_is_named(path: Path) -> None:
    with_a_key(path)
    lock_of(path).write_bytes(b"{")
    with pytest.raises(StateError, match=r"keys\.ndjson\.lock: damaged"):
        FileKeyStore(path)


@pytest.mark.parametrize("is_relative", [True, False])
def test_a_key_file_behind_a_link_is_followed(
    path: Path, tmp_path: Path, *, is_relative: bool
) -> None:
    target, link = tmp_path / "vault" / "k", path
    target.parent.mkdir()
    link.parent.mkdir()
    kept = with_a_key(target)
    link.symlink_to(Path("..") / "vault" / "k" if is_relative else target)
    store = FileKeyStore(link, target.with_name("master.key"))
    assert store.file == kept
    store.erase("default", "c0")
    store.key_for("default", "eve")
    store.close()
    assert link.is_symlink()
    assert not lock_of(link).exists()
    again = FileKeyStore(target)
    assert again.register.erased
    again.close()


def test_a_master_key_behind_a_link_is_made_where_it_leads(path: Path, tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    path.parent.mkdir()
    FileKeyStore(tmp_path / "vault" / "keys.ndjson").close()
    path.with_name("master.key").symlink_to(tmp_path / "vault" / "master.key")
    FileKeyStore(path).close()
    assert path.with_name("master.key").is_symlink()


@pytest.mark.parametrize("name", ["keys.ndjson", "master.key"])
def test_a_link_that_leads_nowhere_is_refused(path: Path, name: str) -> None:
    path.parent.mkdir()
    path.with_name(name).symlink_to("unmounted/file")
    with pytest.raises(StateError, match=f"{name}: links to unmounted/file, which is missing"):
        FileKeyStore(path)


def with_a_key(path: Path, count: int = 1) -> str:
    """Make keys in a file; its id."""
    store = FileKeyStore(path)
    for number in range(count):
        store.key_for("default", f"c{number}")
    store.close()
    return store.file


def lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
