"""The gateway of `ordertide serve`, put together by the settings.

Imported when the command runs: Starlette and uvicorn take 0.2 s that --help needn't wait for.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

from broker.confirm import ConfirmingProducer
from broker.connect import Connection
from commands.act.subscriptions import deliveries_path, webhooks_group
from commands.act.worker import outbox_path
from commands.deliver import group_of
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.process import now_ms
from commands.wiring.tiers import writer_group, written_tiers
from commands.wiring.wording import alert_text
from dataflows.core.intake import Intake
from gateway.access.access import Access
from gateway.access.folder import Credentials, open_folder
from gateway.access.keys import API_KEY, KeyRing, record_of
from gateway.access.oidc import Oidc
from gateway.access.sessions import Sessions
from gateway.access.shares import Shares
from gateway.access.signing import Signer
from gateway.api.callbacks import accounts_of
from gateway.api.commands import allowed_by
from gateway.board.preferences import EXAMPLES
from gateway.board.tiles import tile_source
from gateway.board.viewer import back_to
from gateway.claims import RedisClaims
from gateway.control import Control
from gateway.dead_letters import Originals
from gateway.idempotency import Idempotency
from gateway.ingest import Ingest
from gateway.limits import Limits
from gateway.live.beginning import first_orders
from gateway.live.follower import Follower
from gateway.live.hub import Hub
from gateway.operations.letters import REPLAYED
from gateway.operations.operations import Operations
from gateway.parts import Gateway
from gateway.rates import RedisCounts
from gateway.route import Part
from gateway.tier_readers import TierReaders
from gateway.unsubscribing import REFUSAL, Refusals
from gateway.verdicts import Verdicts
from gateway.webhooks import Webhooks, WebhookSecrets, takers_of
from schemas.alert_notes import ALERT, AlertNotes
from schemas.alert_text import Language
from schemas.errors import SettingsError
from schemas.order import Lane
from schemas.promises import is_zone
from schemas.settings.model import OidcSettings, ServeSettings, Settings
from schemas.topics import EVENTS, ORDERS_ACTIONS, ORDERS_CHANGES, ORDERS_EVENTS
from sinks.actions.channels.addresses import Allowed
from sinks.subscriptions.subscription import Subscriptions
from storage_tiering.hot.opening import hot_servers
from storage_tiering.installed import lookup_tiers
from storage_tiering.tier import ReadsFiles, Tier
from telemetry.http_client import is_loopback
from telemetry.metrics import Metrics

PARTS: frozenset[str] = frozenset(get_args(Part))
REDIS_TIMEOUT_S = 1.0  # a write waits for it


def open_gateway(settings: Settings, connection: Connection, metrics: Metrics) -> Gateway:
    """The parts of a gateway, which `close_gateway` closes; nothing is read yet.

    Raises:
        SettingsError: a setting, a file that it names, or the folder can't be used.
    """
    own = settings.serve
    table = lifecycle_of(settings)
    rules = rules_of(settings, table)
    names, accounts, parts = lookup_tiers(settings), accounts_of(own.carriers), parts_of(own)
    credentials = open_folder(Path(own.folder))
    access = access_of(own, credentials, settings.oidc)
    limits, zone = Limits(own.limits, counts_of(settings, names)), zone_of(own.zone)
    commands = allowed_by(own.commands, table)
    producer, hub, notes = ConfirmingProducer(connection), Hub(), AlertNotes()
    tiers = TierReaders(names, partial(watched_tiers, settings, metrics))
    operations, webhooks = operations_of(settings, connection), webhooks_of(settings, credentials)
    refusals = Refusals(credentials.secret)
    gateway = Gateway(
        parts=parts,
        access=access,
        follower=Follower(connection, hub=hub, first_orders=first_orders(connection, tiers, table)),
        hub=hub,
        notes=notes,
        tiers=tiers,
        ingest=Ingest(producer, Intake(table, rules), now_ms),
        control=Control(
            connection,
            producer,
            {
                API_KEY: access.keys.take,
                ALERT: notes.take,
                REPLAYED: operations.replays.take,
                REFUSAL: refusals.take,
                **takers_of(webhooks.subscriptions),
            },
        ),
        lifecycle=table,
        rules=rules,
        wording={language: alert_text(rules, table, language) for language in get_args(Language)},
        limits=limits,
        metrics=metrics,
        now_ms=now_ms,
        shares=Shares(credentials.secret),
        verdicts=Verdicts(connection),
        commands=commands,
        originals=Originals(Path(settings.privacy.keys)),
        idempotency=Idempotency(credentials.secret, claims_of(settings, names)),
        operations=operations,
        webhooks=webhooks,
        refusals=refusals,
        accounts=accounts,
        title=own.title,
        contact=own.contact,
        zone=zone,
        examples=examples_of(own.examples),
        tiles=tile_source(settings.map, access.now_s),
        is_recorded=settings.track.clock == "recorded",
    )
    watch(gateway)
    return gateway


def close_gateway(gateway: Gateway) -> None:
    """Close all that `open_gateway` opened."""
    gateway.follower.close()
    gateway.control.close()
    gateway.verdicts.close()
    gateway.tiers.close()
    gateway.ingest.close()
    gateway.idempotency.close()
    gateway.limits.close()


def watched_tiers(settings: Settings, metrics: Metrics, names: Sequence[str]) -> dict[str, Tier]:
    """The tiers for reading; files that the archive opens are counted."""
    tiers = written_tiers(settings, names)
    if isinstance(archive := tiers.get("archive"), ReadsFiles):
        archive.on_opened(metrics.archive_files_opened.inc)
    return tiers


def claims_of(settings: Settings, names: Sequence[str]) -> RedisClaims | None:
    """The store of Idempotency-Keys in the hot tier's Redis; None where look-ups have no Redis."""
    if "hot" not in names:
        return None
    client = hot_servers(settings, timeout_s=REDIS_TIMEOUT_S)
    return RedisClaims(client, f"{settings.hot.prefix}:")


def counts_of(settings: Settings, names: Sequence[str]) -> RedisCounts | None:
    """The shared counts of rates in the hot tier's Redis; None where look-ups have no Redis."""
    if "hot" not in names:
        return None
    client = hot_servers(settings, timeout_s=REDIS_TIMEOUT_S)
    return RedisCounts(client, f"{settings.hot.prefix}:")


def operations_of(settings: Settings, connection: Connection) -> Operations:
    """The operations of the installation: its groups in the sequence of the flow."""
    written = (ORDERS_CHANGES, ORDERS_EVENTS)
    groups: dict[str, tuple[str, Sequence[str]]] = {
        "track": (settings.track.group, (EVENTS,)),
    }
    groups |= {f"write {tier}": (writer_group(tier), written) for tier in lookup_tiers(settings)}
    groups["deliver"] = (group_of(settings.delivery), (ORDERS_CHANGES,))
    groups["act"] = (settings.act.group, (ORDERS_ACTIONS,))
    groups["webhooks"] = (webhooks_group(settings), (ORDERS_CHANGES,))
    targets = settings.telemetry.targets
    return Operations(
        connection,
        groups,
        targets=Path(targets) if targets else None,
        outbox=outbox_path(settings),
        deliveries=deliveries_path(settings),
        now_ms=now_ms,
    )


def webhooks_of(settings: Settings, credentials: Credentials) -> Webhooks:
    """The subscriptions of the installation, not read yet.

    Raises:
        SettingsError: `act.private` are no hosts and networks.
    """
    return Webhooks(
        subscriptions=Subscriptions(),
        secrets=WebhookSecrets(credentials.secret),
        allowed=Allowed(settings.act.private, has_own=False),
        deliveries=deliveries_path(settings),
    )


def zone_of(name: str) -> ZoneInfo:
    """The zone in which pages show times.

    Raises:
        SettingsError: there is no such zone.
    """
    if not is_zone(name):
        raise SettingsError(f"serve.zone: {name!r} is no time zone; write one like Asia/Shanghai")
    return ZoneInfo(name)


def examples_of(named: Mapping[str, str]) -> Mapping[str, str]:
    """The links of the board's "try these".

    Raises:
        SettingsError: the board has no text for one, or it leads elsewhere.
    """
    for name, address in named.items():
        if name not in EXAMPLES:
            known = ", ".join(sorted(EXAMPLES))
            raise SettingsError(f"serve.examples.{name}: no such example; write one of {known}")
        if back_to(address, "") != address:
            raise SettingsError(
                f"serve.examples.{name}: {address!r} is no page of the board; write its path, such "
                "as /orders/SO-1"
            )
    return named


def access_of(
    settings: ServeSettings, credentials: Credentials, oidc: OidcSettings | None = None
) -> Access:
    """The access of the installation, with the administrator's key.

    Raises:
        SettingsError: `serve.behind_proxy` are no networks, or `[oidc]` can't be used.
    """
    keys = KeyRing()
    keys.add(record_of(credentials.admin_key, "admin", "administrator"))
    signer = Signer(credentials.secret)
    sessions = Sessions(signer, Path(settings.folder))
    return Access(
        keys,
        signer,
        sessions,
        oidc=oidc_of(settings, oidc or OidcSettings(), sessions),
        public_url=settings.public_url,
        proxies=settings.behind_proxy,
    )


def oidc_of(settings: ServeSettings, oidc: OidcSettings, sessions: Sessions) -> Oidc | None:
    """The sign-in by the issuer of the settings; None where keys alone sign in.

    Raises:
        SettingsError: `[oidc]` can't be used.
    """
    if oidc.issuer is None:
        if oidc != OidcSettings():
            raise SettingsError("oidc.issuer is missing; set it, or empty [oidc]")
        return None
    opened = Oidc(oidc, sessions)
    if not (settings.public_url or is_loopback(settings.host)):
        raise SettingsError(
            "serve.public_url is missing; the issuer sends browsers back to it, so set it to the "
            "address that browsers use"
        )
    return opened


def watch(gateway: Gateway) -> None:
    """Measure the live view whenever it is scraped."""
    metrics, follower = gateway.metrics, gateway.follower
    metrics.live_view_behind_seconds.set_function(lambda: gateway.behind_s or 0.0)
    metrics.rates_shared.set_function(lambda: float(gateway.limits.is_shared))

    def count(lane: Lane) -> float:
        with follower.view() as view:
            return float(view.count_by("lane")[lane])

    for lane in get_args(Lane):
        metrics.live_view_orders.labels(lane).set_function(partial(count, lane))


def parts_of(settings: ServeSettings) -> frozenset[str]:
    """The parts to serve.

    Raises:
        SettingsError: one isn't a part.
    """
    parts = frozenset(part.strip() for part in settings.parts.split(","))
    if unknown := parts - PARTS:
        raise SettingsError(
            f"serve.parts: {', '.join(sorted(unknown))} is no part; write some of "
            f"{', '.join(sorted(PARTS))}"
        )
    return parts
