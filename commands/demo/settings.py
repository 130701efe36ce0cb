"""Settings of the demo: its folder and the file in it that its parts and later look-ups read."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, socket

from dataflows.state.local.lock import ProcessLock, owner
from deploy import installation
from schemas.errors import SettingsError, StateError
from schemas.private_files import private_folder
from schemas.settings.model import ServeSettings, Settings, read_settings

FOLDER = Path(".ordertide/demo")  # the usual one
MARK = "settings.toml"
ACTIONS = "actions.toml"


def lock_folder(folder: Path) -> ProcessLock:
    """The lock on `folder` for one demo; its file lies beside it, as the folder is emptied.

    Raises:
        SettingsError: another demo runs there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f"{folder.name}.lock")
    try:
        return ProcessLock(path, folder)
    except StateError as taken:
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        raise SettingsError(
            f"{folder}: a demo runs there, process {owner(path) or 'unknown'} since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC; stop it, or name another --folder"
        ) from taken


def fresh_folder(folder: Path) -> None:
    """Make `folder` empty; only one that a demo made is emptied.

    Raises:
        SettingsError: it holds something else.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            message = f"{folder}: is not empty and was not made by a demo; name another --folder"
            raise SettingsError(message)
        shutil.rmtree(folder)
    private_folder(folder)


def free_port(*wanted: int) -> int:
    """The first of some ports that is free, else any that is."""
    for port in (*wanted, 0):
        with socket() as tried:
            tried.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = tried.getsockname()[1]
            return found
    raise SettingsError("no port of 127.0.0.1 is free; end what takes them")


def write_settings(
    folder: Path,
    bootstrap: str,
    redis_url: str,
    examples: Mapping[str, str] | None = None,
    actions: str | None = None,
    poll: Mapping[str, object] | None = None,
) -> tuple[Path, Settings]:
    """Write the settings file; (its path, what is in it).

    `examples` are those of the board, `actions` is a table of actions, written beside it, `poll`
    are settings of the poller. The demo in the usual folder takes the gateway's usual port; others,
    of which several may start at once, take any.
    """
    usual = [ServeSettings().port] if folder == FOLDER else []
    tables: dict[str, dict[str, object]] = {
        "broker": {"bootstrap": bootstrap, "embedded": True},
        "track": {"clock": "recorded", "folder": str(folder / "track"), "epoch_ms": 100},
        "hot": {"url": redis_url},
        "warm": {"folder": str(folder / "warm")},
        "archive": {"folder": str(folder / "archive"), "seal_rows": 20_000, "seal_after": "1s"},
        "serve": {
            "folder": str(folder / "serve"),
            "port": free_port(*usual),
            "title": "ordertide demo",
            "examples": dict(examples or {}),
        },
        "privacy": {"keys": str(folder / "keys.json")},
        "telemetry": {"logs": "text", "targets": str(folder / "targets")},
    }
    if actions is not None:
        (folder / ACTIONS).write_text(actions, "utf-8")
        tables["act"] = {
            "folder": str(folder / "act"),
            "actions": str(folder / ACTIONS),
            "private": "127.0.0.1",  # a webhook may be a program of this machine
        }
    if poll is not None:
        tables["poll"] = {"folder": str(folder / "poll"), **poll}
    path = installation.write_settings(folder / MARK, tables, "Made by `ordertide demo`.")
    return path, read_settings(path)
