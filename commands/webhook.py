"""`ordertide webhook`: subscriptions and their deliveries, without the REST API."""

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import click
import msgspec

from broker.connect import Connection
from broker.consume import read_all
from broker.produce import Producer
from commands.key import opened
from commands.wiring.groups import Group
from commands.wiring.process import now_ms
from commands.wiring.settings_file import settings_option
from commands.wiring.wording import shown_ms
from schemas.control_records import control_key, split_control_key
from schemas.display import printable
from schemas.errors import SettingsError
from schemas.instants import format_instant
from schemas.settings.model import read_settings
from schemas.topics import CONTROL
from sinks.subscriptions.deliveries import Delivery, DeliveryState
from sinks.subscriptions.subscription import REQUEST, Request, RequestKind, Subscriptions
from telemetry.screen import Column, show, show_json, show_table

HEADS = ("id", "status", "tenant", "name", "url", "types", "by", "reason")
DELIVERY_HEADS = ("delivery", "state", "type", "order", "attempts", "status", "sent", "reason")
MOST_SHOWN = 10_000


@click.group("webhook", cls=Group)
def command() -> None:
    """Webhooks: who gets events of orders over HTTP, and what was delivered.

    They are made over the REST API or on the board. Deliveries lie on the host of 'ordertide act'.

    \b
    ordertide webhook list
    ordertide webhook deliveries wh_5f0c2e7a9d1b3c44 --state dead
    ordertide webhook replay wh_5f0c2e7a9d1b3c44
    """


@command.command("list")
@settings_option()
@click.option("--json", "as_json", is_flag=True, help="a JSON document a line")
def list_webhooks(path: Path | None, *, as_json: bool) -> None:
    """List the subscriptions with their status; no secret can be read again.

    \b
    ordertide webhook list --json
    """
    held = kept(opened(path))
    for name, record in held.records.items() if as_json else ():
        fields = msgspec.structs.asdict(record) | {"id": name, "status": held.status(name)}
        del fields["secret"], fields["former"]
        show_json(msgspec.json.encode(fields))
    if not as_json:
        show_table([Column(head) for head in HEADS], [cells(held, name) for name in held.records])


@command.command("deliveries")
@click.argument("webhook", metavar="ID")
@click.option("--state", type=click.Choice(get_args(DeliveryState)), help="in this state only")
@click.option("--limit", type=click.IntRange(1, MOST_SHOWN), default=50, help="at most so many")
@click.option("--json", "as_json", is_flag=True, help="a JSON document a line, with the body")
@settings_option()
def list_deliveries(
    webhook: str, state: DeliveryState | None, limit: int, path: Path | None, *, as_json: bool
) -> None:
    """List the deliveries of the webhook ID, the newest first; on the host of 'ordertide act'.

    \b
    ordertide webhook deliveries wh_5f0c2e7a9d1b3c44 --state dead
    """
    from commands.act.subscriptions import deliveries_path
    from sinks.subscriptions.deliveries import reading

    file = deliveries_path(read_settings(path))
    with reading(file) as deliveries:
        if deliveries is None:
            raise SettingsError(
                f"act.folder: {file} is missing; run this on the host of 'ordertide act', with its "
                "settings file"
            )
        found = deliveries.page(webhook, state, None, limit)
    if as_json:
        for each in found:
            show_json(msgspec.json.encode(each._asdict() | {"body": msgspec.Raw(each.body)}))
    else:
        show_table([Column(head) for head in DELIVERY_HEADS], list(delivery_cells(found)))


@command.command("replay")
@click.argument("webhook", metavar="ID")
@click.argument("deliveries", nargs=-1)
@settings_option()
def replay(webhook: str, deliveries: tuple[str, ...], path: Path | None) -> None:
    """Send DELIVERIES of the webhook ID again, or without any all dead ones, under their ids.

    \b
    ordertide webhook replay wh_5f0c2e7a9d1b3c44
    """
    connection = opened(path)
    if webhook not in kept(connection).records:
        raise SettingsError(f"webhook {webhook!r}: there is none; 'ordertide webhook list' lists")
    for delivery in deliveries or ("",):
        request(connection, webhook, "replay" if delivery else "replay_dead", delivery)
    show(f"asked for: 'ordertide act' sends them; 'ordertide webhook deliveries {webhook}'")


def kept(connection: Connection) -> Subscriptions:
    """The subscriptions with their states."""
    from gateway.webhooks import takers_of

    held = Subscriptions()
    takers = takers_of(held)
    for message in read_all(connection, CONTROL.name):
        kind, name = split_control_key(message.key)
        if kind in takers:
            takers[kind](name, message.value)
    return held


def request(connection: Connection, webhook: str, kind: RequestKind, delivery: str) -> None:
    """Write a request to the worker; it is in the broker's log when this returns."""
    asked = Request(webhook=webhook, kind=kind, at=format_instant(now_ms()), delivery=delivery)
    with Producer(connection) as producer:
        key = control_key(REQUEST, secrets.token_hex(16))
        producer.send(CONTROL.name, key, msgspec.json.encode(asked))


def cells(held: Subscriptions, name: str) -> tuple[str, ...]:
    """A subscription in a row."""
    record, state = held.records[name], held.states.get(name)
    reason = state.reason if state else ""
    named = (name, held.status(name), record.tenant or "all", record.name, record.url)
    row = (*named, ", ".join(record.types) or "all", record.by, reason)
    return tuple(printable(text) or "-" for text in row)


def delivery_cells(found: Iterable[Delivery]) -> Iterable[tuple[str, ...]]:
    """Deliveries in rows."""
    for each in found:
        status = "-" if each.status is None else str(each.status)
        named = (each.id, each.state, each.kind, each.order_key or "-", str(each.attempts), status)
        yield tuple(map(printable, (*named, shown_ms(each.sent_at), each.reason or "-")))
