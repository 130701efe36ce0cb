"""`ordertide key`: a key is printed once, listed without itself, and ends when revoked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from broker.embedded import EmbeddedBroker
from commands.key import command
from deploy.installation import write_settings
from gateway.access.folder import open_folder
from gateway.access.keys import ADMIN_ID, KEY
from gateway.access.sessions import Sessions
from gateway.access.signing import Signer
from tests.support.asgi import Client
from tests.support.gateway import EmbeddedDoor, open_door
from tests.support.waiting import wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    with EmbeddedBroker() as broker:
        yield settings_of(broker, tmp_path)


def settings_of(broker: EmbeddedBroker, folder: Path) -> Path:
    tables = {"broker": {"bootstrap": broker.bootstrap, "embedded": True}}
    return write_settings(folder / "ordertide.toml", tables)


def run(settings: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--settings", str(settings)])


def test_a_key_is_printed_once_and_listed_without_itself(settings: Path) -> None:
    key = run(settings, "add", "operator", "--name", "night shift").output.strip()
    assert KEY.fullmatch(key)
    customer = run(settings, "add", "customer", "--party", "C-1").output.strip()
    table = run(settings, "list").output
    assert "night shift" in table
    assert "C-1" in table
    (first, second) = run(settings, "list", "--json").output.splitlines()
    assert msgspec.json.decode(second)["caller"]["tenant"] == "default"
    for text in (table, first, second):
        assert key[-43:] not in text
        assert customer[-43:] not in text
        assert "sha256" not in text


def test_a_revoked_key_is_gone(settings: Path) -> None:
    key_id = run(settings, "add", "admin").output.split("_")[1]
    assert run(settings, "revoke", key_id).output == f"key {key_id} revoked\n"
    assert key_id not in run(settings, "list").output
    again = run(settings, "revoke", key_id)
    assert "there is none; 'ordertide key list' lists them" in str(again.exception)


def test_the_two_files_of_an_installation_are_created_once_and_without_a_broker(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "serve"
    settings = write_settings(tmp_path / "ordertide.toml", {"serve": {"folder": str(folder)}})
    assert run(settings, "init").output == f"{folder / 'secret'}\n{folder / 'admin-key'}\n"
    first = open_folder(folder)
    assert run(settings, "init").exit_code == 0
    assert open_folder(folder) == first
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_copies_that_cannot_be_written_serve_and_sign_in(tmp_path: Path) -> None:
    made = open_folder(tmp_path / "made")
    copies = shutil.copytree(tmp_path / "made", tmp_path / "copies")
    for path in copies.iterdir():
        path.chmod(0o440)
    assert open_folder(copies) == made
    code = Sessions(Signer(made.secret), tmp_path / "made").code(ADMIN_ID, 0)
    assert Sessions(Signer(made.secret), copies).redeemed(code, 1)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("customer",), "--party: it is missing; a key of role customer needs a customer id"),
        (("operator", "--party", "x"), "sees more than one party's orders; leave it out"),
    ],
)
def test_a_party_belongs_to_the_roles_that_have_one(
    settings: Path, words: tuple[str, ...], part: str
) -> None:
    assert part in str(run(settings, "add", *words).exception)


def test_a_running_gateway_takes_a_new_key_and_drops_a_revoked_one(
    door: EmbeddedDoor, tmp_path: Path
) -> None:
    settings = settings_of(door.broker, tmp_path)
    early = run(settings, "add", "auditor").output.strip()
    control = door.gateway.control
    control.start()
    wait_until(lambda: control.is_loaded, "the keys are loaded")
    client = Client(door.app)
    assert client.get("/v1/me", authorization=f"Bearer {early}").json["role"] == "auditor"
    late = run(settings, "add", "supplier", "--party", "S-1", "--tenant", "acme").output.strip()
    bearer = f"Bearer {late}"

    def status() -> int:
        return client.get("/v1/me", authorization=bearer).status

    wait_until(lambda: status() == 200, "the new key is taken")
    me = client.get("/v1/me", authorization=bearer).json
    assert (me["tenant"], me["party"]) == ("acme", "S-1")
    run(settings, "revoke", late.split("_")[1])
    wait_until(lambda: status() == 401, "the revoked key is dropped")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[EmbeddedDoor]:
    with open_door(tmp_path) as opened:
        yield opened
