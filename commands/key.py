"""`ordertide key`: keys of the REST API, and links that sign a browser in."""

import getpass
import time
from pathlib import Path
from typing import get_args

import click
import msgspec

from broker.connect import Connection
from broker.consume import read_all
from broker.produce import Producer
from broker.reach import reach
from broker.topics import ensure_topics
from commands.wiring.broker import connection_of
from commands.wiring.groups import Group
from commands.wiring.process import now_ms
from commands.wiring.settings_file import settings_option
from commands.wiring.wording import shown
from gateway.access.caller import Role
from gateway.access.keys import (
    ADMIN_ID,
    API_KEY,
    KeyRecord,
    KeyRing,
    fault_of_party,
    new_key,
    record_of,
)
from schemas.control_records import control_key, split_control_key
from schemas.errors import SettingsError
from schemas.instants import format_instant
from schemas.keys import DEFAULT_TENANT
from schemas.settings.model import ServeSettings, read_settings
from schemas.topics import CONTROL
from telemetry.screen import Column, show, show_json, show_table

HEADS = ("id", "role", "tenant", "party", "name", "by", "at")


@click.group("key", cls=Group)
def command() -> None:
    """Keys of the REST API, and links that sign a browser in.

    A key has a role: what it may see and do. The role ingest feeds events and sees nothing.

    \b
    ordertide key add operator --name "night shift"
    ordertide key add customer --party C-4711
    ordertide key list
    ordertide key revoke 3f9c02ab17
    ordertide key link
    ordertide key init
    """


@command.command("init")
@settings_option()
def init(path: Path | None) -> None:
    """Create the installation's secret and the administrator's key, as the first `serve` does.

    For several `serve` that share no folder: each gets a copy of the two files. Files that are
    there already stay as they are. No broker is needed.

    \b
    ORDERTIDE_SERVE_FOLDER=serve ordertide key init
    """
    from gateway.access.folder import ADMIN_KEY, SECRET, open_folder

    folder = Path(read_settings(path).serve.folder)
    open_folder(folder)
    show(f"{folder / SECRET}\n{folder / ADMIN_KEY}")


@command.command("add")
@click.argument("role", type=click.Choice(get_args(Role)))
@click.option("--tenant", help="whose orders; without it all tenants', for a party the default one")
@click.option("--party", default="", help="a customer's, supplier's or carrier's own id")
@click.option("--name", default="", help="who has it, for the list and the audit")
@settings_option()
def add(role: Role, tenant: str | None, party: str, name: str, path: Path | None) -> None:
    """Add a key of ROLE and print it, once: only its SHA-256 is kept.

    \b
    ordertide key add operator --name "night shift"
    ordertide key add supplier --party S-7 --tenant acme
    """
    if fault := fault_of_party(role, party):
        raise SettingsError(f"--party: {fault}")
    key = new_key()
    record = record_of(
        key,
        role,
        name,
        tenant=tenant or (DEFAULT_TENANT if party else None),
        party=party,
        by=getpass.getuser(),
        at=format_instant(now_ms()),
    )
    write(opened(path), record.caller.key_id, msgspec.json.encode(record))
    show(key)


@command.command("list")
@settings_option()
@click.option("--json", "as_json", is_flag=True, help="a JSON document a line")
def list_keys(path: Path | None, *, as_json: bool) -> None:
    """List the keys: their ids, roles and scopes; no key can be read again.

    \b
    ordertide key list
    """
    records = sorted(kept(opened(path)).values(), key=lambda record: record.at)
    if as_json:
        for record in records:
            fields = msgspec.structs.asdict(record)
            del fields["sha256"]
            show_json(msgspec.json.encode(fields))
        return
    show_table([Column(head) for head in HEADS], [cells(record) for record in records])


@command.command("revoke")
@click.argument("key_id", metavar="ID")
@settings_option()
def revoke(key_id: str, path: Path | None) -> None:
    """Revoke the key ID, at once and in every `serve`; sessions signed in with it end.

    \b
    ordertide key revoke 3f9c02ab17
    """
    connection = opened(path)
    if key_id not in kept(connection):
        raise SettingsError(f"key {key_id!r}: there is none; 'ordertide key list' lists them")
    write(connection, key_id, None)
    show(f"key {key_id} revoked")


@command.command("link")
@settings_option()
def link(path: Path | None) -> None:
    """Print a link that signs a browser in once, as administrator, within ten minutes.

    It is made of the secret in the folder of `serve.folder`, so no `serve` has to be asked.

    \b
    ordertide key link --settings ordertide.toml
    """
    from gateway.access.folder import SECRET, open_folder
    from gateway.access.sessions import Sessions
    from gateway.access.signing import Signer

    own = read_settings(path).serve
    folder = Path(own.folder)
    if not (folder / SECRET).exists():
        raise SettingsError(
            f"{folder}: no 'ordertide serve' was started with it yet; start one, run 'ordertide "
            "key init', or correct serve.folder"
        )
    code = Sessions(Signer(open_folder(folder).secret), folder).code(ADMIN_ID, time.time())
    show(f"{address_of(own)}/sign-in?code={code}")


def address_of(settings: ServeSettings, port: int | None = None) -> str:
    """The address for browsers: the public one, else that of the host and port."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    scheme = "https" if settings.tls_certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{port or settings.port}"


def prepare_control(connection: Connection) -> None:
    """Create the control topic where it is missing."""
    ensure_topics(connection, 1, topics=[CONTROL])


def opened(path: Path | None) -> Connection:
    """Connection to the broker, which has the control topic."""
    connection = connection_of(read_settings(path).broker)
    reach(connection)
    prepare_control(connection)
    return connection


def kept(connection: Connection) -> dict[str, KeyRecord]:
    """The keys that are valid, by their ids."""
    ring = KeyRing()
    for message in read_all(connection, CONTROL.name):
        kind, key_id = split_control_key(message.key)
        if kind == API_KEY:
            ring.take(key_id, message.value)
    return ring.records


def write(connection: Connection, key_id: str, record: bytes | None) -> None:
    """Write a key's record, or its end; it is in the broker's log when this returns."""
    with Producer(connection, linger_ms=0) as producer:
        producer.send(CONTROL.name, control_key(API_KEY, key_id), record)


def cells(record: KeyRecord) -> tuple[str, ...]:
    """A row of the table."""
    caller = record.caller
    named = (caller.key_id, caller.role, caller.tenant or "all", caller.party or "-")
    return *named, caller.name or "-", record.by or "-", shown(record.at or None)
