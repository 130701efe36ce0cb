"""`ordertide serve`: the REST gateway and the board, over the live orders and the tiers."""

from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from broker.reach import reach
from broker.topics import wait_for_topics
from commands.key import address_of, prepare_control
from commands.wiring.broker import connection_of
from commands.wiring.process import stop_event
from commands.wiring.serving import announce, health_server, patience, start_logs
from commands.wiring.settings_file import settings_option
from schemas.errors import SettingsError
from schemas.settings.model import ServeSettings, Settings, read_settings
from schemas.topics import EVENTS, ORDERS_AUDIT, ORDERS_CHANGES
from telemetry.http_client import is_loopback
from telemetry.metrics import Metrics
from telemetry.screen import show

if TYPE_CHECKING:  # cryptography takes 0.1 s that --help needn't wait for
    from gateway.certificate import PemFiles

TOPICS = (EVENTS, ORDERS_CHANGES, ORDERS_AUDIT)


@click.command("serve")
@settings_option()
def command(path: Path | None) -> None:
    """Serve the REST API: look-ups, lanes of the live orders, events and carriers' callbacks.

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
    from commands.wiring.gateway import close_gateway, open_gateway
    from gateway.access.keys import ADMIN_ID
    from gateway.application import application
    from gateway.certificate import check_certificate
    from gateway.server import listen
    from gateway.server import serve as serve_http

    own = settings.serve
    check_reach(own)
    connection = connection_of(settings.broker)
    metrics = Metrics("serve")
    certificate = pem_files(own)
    if certificate:
        check_certificate(certificate)
    with ExitStack() as stack:
        listener = stack.enter_context(listen(own.host, own.port))
        gateway = open_gateway(settings, connection, metrics)
        stack.callback(close_gateway, gateway)
        checks = {"live view": gateway.is_following, "control": gateway.is_controlled}
        server = health_server(metrics, checks, settings.telemetry, "serve")
        stack.callback(server.close)
        server.start()
        reach(connection)
        if not wait_for_topics(connection, TOPICS, patience(stop, lambda _: None)):
            return
        prepare_control(connection)
        gateway.control.start()
        gateway.follower.start()
        gateway.verdicts.start()
        gateway.limits.start()
        address = address_of(own, listener.getsockname()[1])
        announce("serve", server, f"API and board at {address}")
        access = gateway.access
        show(f"Board  {address}/sign-in?code={access.sessions.code(ADMIN_ID, access.now_s())}")
        serve_http(application(gateway), listener, stop, gateway.hub.close, certificate)


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


def pem_files(settings: ServeSettings) -> "PemFiles | None":
    """The files of the gateway's certificate; None without TLS."""
    from gateway.certificate import PemFiles

    if not (settings.tls_certificate and settings.tls_key):
        return None
    return PemFiles(settings.tls_certificate, settings.tls_key)
