"""`ordertide key`: keys of the REST API, and links that sign a browser in."""

import time
from pathlib import Path

import click

from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from schemas.errors import SettingsError
from schemas.settings.model import ServeSettings, read_settings
from telemetry.screen import show


@click.group("key", cls=Group)
def command() -> None:
    """Keys of the REST API, and links that sign a browser in.

    \b
    ordertide key link --settings ordertide.toml
    """


@command.command("link")
@settings_option()
def link(path: Path | None) -> None:
    """Print a link that signs a browser in once, as administrator, within ten minutes.

    It is made of the secret in the folder of `serve.folder`, so no `serve` has to be asked.

    \b
    ordertide key link --settings ordertide.toml
    """
    from gateway.access.folder import SECRET, open_folder
    from gateway.access.keys import ADMIN_ID
    from gateway.access.sessions import Sessions
    from gateway.access.signing import Signer

    own = read_settings(path).serve
    folder = Path(own.folder)
    if not (folder / SECRET).exists():
        raise SettingsError(
            f"{folder}: no 'ordertide serve' was started with it yet; start one, or correct "
            "serve.folder"
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
