"""Folder of `serve`: the installation's secret and the key that its first start creates.

Both are files for their owner only. Several `serve` of one installation share the folder, or copies
of these two files.
"""

import secrets
from pathlib import Path
from typing import NamedTuple

from gateway.access.keys import ADMIN_ID, KEY, new_key
from schemas.errors import SettingsError
from schemas.private_files import private_binary, private_folder

SECRET, ADMIN_KEY = "secret", "admin-key"
SECRET_BYTES = 32


class Credentials(NamedTuple):
    """Secret that signs sessions, and the administrator's key."""

    secret: bytes
    admin_key: str


def open_folder(folder: Path) -> Credentials:
    """The credentials in a folder; the first call creates them.

    Raises:
        SettingsError: a file isn't what `serve` wrote.
        OSError: the folder can't be used.
    """
    private_folder(folder)
    secret = _kept(folder / SECRET, secrets.token_bytes(SECRET_BYTES).hex())
    admin_key = _kept(folder / ADMIN_KEY, new_key(ADMIN_ID))
    if not KEY.fullmatch(admin_key):
        raise SettingsError(f"{folder / ADMIN_KEY}: it holds no API key; {_REMEDY}")
    return Credentials(_checked(folder / SECRET, secret), admin_key)


def existing_secret(folder: Path) -> bytes:
    """The installation's secret, for a process that needs that of `serve`, and no other.

    Raises:
        SettingsError: the file is missing, or isn't what `serve` wrote.
    """
    path = folder / SECRET
    try:
        text = path.read_text("ascii", "replace").strip()
    except OSError as error:
        raise SettingsError(
            f"serve.folder: {path} can't be read ({error.strerror}); copy the folder of "
            "'ordertide serve' to this host"
        ) from error
    return _checked(path, text)


_REMEDY = "delete the file, and the next start creates another"


def _checked(path: Path, secret: str) -> bytes:
    try:
        held = bytes.fromhex(secret)
    except ValueError as error:
        raise SettingsError(f"{path}: it is no hexadecimal text; {_REMEDY}") from error
    if len(held) != SECRET_BYTES:
        raise SettingsError(f"{path}: it hasn't {SECRET_BYTES} bytes; {_REMEDY}")
    return held


def _kept(path: Path, new: str) -> str:
    """The text of a file, created with `new` where it is missing."""
    try:
        with private_binary(path, "xb") as file:
            file.write(f"{new}\n".encode())
    except FileExistsError:
        return path.read_text("ascii", "replace").strip()
    return new
