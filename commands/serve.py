"""`ordertide serve`: the REST gateway and the board, over the live orders and the tiers."""

from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, get_args

import click

from broker.reach import reach
from broker.topics import wait_for_topics
from commands.key import address_of
from commands.wiring.broker import connection_of
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.process import now_ms, stop_event
from commands.wiring.serving import announce, health_server, patience, start_logs
from commands.wiring.settings_file import settings_option
from commands.wiring.tiers import written_tiers
from commands.wiring.wording import alert_text
from schemas.alert_text import Language
from schemas.errors import SettingsError
from schemas.order import Lane
from schemas.settings.model import ServeSettings, Settings, read_settings
from schemas.topics import ORDERS_CHANGES
from storage_tiering.installed import lookup_tiers
from storage_tiering.tier import Tier
from telemetry.metrics import Metrics
from telemetry.screen import show

if TYPE_CHECKING:
    from gateway.access.access import Access
    from gateway.parts import Gateway
    from gateway.tier_readers import OpenTiers

PARTS = frozenset({"api", "board", "callbacks"})
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@click.command("serve")
@settings_option()
def command(path: Path | None) -> None:
    """Serve the REST API and the board: look-ups, lanes of the live orders.

    The first start creates the administrator's key in the folder of `serve.folder`. A link that
    signs a browser in once is printed. Ends cleanly on SIGTERM and Ctrl-C; several processes of an
    installation share the folder.

    \b
    ordertide serve --settings ordertide.toml
    curl -H "Authorization: Bearer $(cat .ordertide/serve/admin-key)" localhost:8400/v1/lanes
    """
    settings = read_settings(path)
    start_logs(settings.telemetry)
    serve(settings, stop_event())


def serve(settings: Settings, stop: Event) -> None:
    """Serve until `stop` is set.

    Raises:
        OrdertideError: the settings, the folder or the broker can't be used.
    """
    # Here, since Starlette and uvicorn take 0.2 s that --help needn't wait for.
    from gateway.application import application
    from gateway.live.follower import Follower
    from gateway.parts import Gateway
    from gateway.server import Certificate, listen
    from gateway.server import serve as serve_http
    from gateway.tier_readers import TierReaders

    own = settings.serve
    check_reach(own)
    names = lookup_tiers(settings)
    table = lifecycle_of(settings)
    rules = rules_of(settings, table)
    connection = connection_of(settings.broker)
    access, admin = opened_access(own)
    metrics = Metrics("serve")
    follower = Follower(connection)
    tiers = TierReaders(names, opener(settings))
    gateway = Gateway(
        parts=parts_of(own),
        access=access,
        follower=follower,
        tiers=tiers,
        lifecycle=table,
        wording={language: alert_text(rules, table, language) for language in LANGUAGES},
        metrics=metrics,
        now_ms=now_ms,
        is_recorded=settings.track.clock == "recorded",
    )
    watch(gateway)
    checks = {"live view": gateway.is_following}
    server = health_server(metrics, checks, settings.telemetry, "serve")
    certificate = None
    if own.tls_certificate and own.tls_key:
        certificate = Certificate(own.tls_certificate, own.tls_key)
    try:
        with listen(own.host, own.port) as listener:
            server.start()
            reach(connection)
            if not wait_for_topics(connection, [ORDERS_CHANGES], patience(stop, lambda _: None)):
                return
            follower.start()
            address = address_of(own, listener.getsockname()[1])
            announce("serve", server, f"API and board at {address}")
            code = access.sessions.code(admin, access.now_s())
            show(f"Board  {address}/sign-in?code={code}")
            serve_http(application(gateway), listener, stop, certificate)
    finally:
        server.close()
        follower.close()
        tiers.close()


def opened_access(settings: ServeSettings) -> tuple["Access", str]:
    """The access of the installation, and the id of the administrator's key.

    Raises:
        SettingsError: the folder can't be used.
    """
    from gateway.access.access import Access
    from gateway.access.folder import open_folder
    from gateway.access.keys import KeyRing, record_of
    from gateway.access.sessions import Sessions
    from gateway.access.signing import Signer

    folder = Path(settings.folder)
    credentials = open_folder(folder)
    keys = KeyRing()
    record = record_of(credentials.admin_key, "admin", "administrator")
    keys.add(record)
    signer = Signer(credentials.secret)
    access = Access(
        keys,
        signer,
        Sessions(signer, folder),
        public_url=settings.public_url,
        proxies=settings.behind_proxy,
    )
    return access, record.caller.key_id


def opener(settings: Settings) -> "OpenTiers":
    """Opens the tiers of look-ups that were written already."""

    def open_tiers(names: Sequence[str]) -> Mapping[str, Tier]:
        return written_tiers(settings, names)

    return open_tiers


def watch(gateway: "Gateway") -> None:
    """Measure the live view whenever it is scraped."""
    metrics, follower = gateway.metrics, gateway.follower
    metrics.live_view_behind_seconds.set_function(lambda: gateway.behind_s or 0.0)

    def count(lane: Lane) -> float:
        with follower.view() as view:
            return float(view.count_by("lane")[lane])

    for lane in get_args(Lane):
        metrics.live_view_orders.labels(lane).set_function(partial(count, lane))


def check_reach(settings: ServeSettings) -> None:
    """Refuse an address that others reach without TLS.

    Raises:
        SettingsError: names the remedy.
    """
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsError("serve.tls_certificate and serve.tls_key belong together; set both")
    if is_loopback(settings.host) or settings.tls_certificate or settings.behind_proxy:
        return
    raise SettingsError(
        f"serve.host: {settings.host} is reached by others, and without TLS keys and sessions "
        "would be readable on the way; set serve.tls_certificate and serve.tls_key, or "
        "serve.behind_proxy to the networks of the proxies that do TLS"
    )


def is_loopback(host: str) -> bool:
    """Return True for an address that only this machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
