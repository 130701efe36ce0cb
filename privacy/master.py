"""The master key: a file of its own, under which the customers' keys are wrapped.

Wrapped is AES-256-GCM (NIST SP 800-38D) with a random nonce, the key's id and its customer's digest
as associated data, so that lines of the key file can't be exchanged. Random nonces of 96 bits are
good for 2^32 keys. The master key is 32 bytes, stored as 64 hex digits.
"""

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import StateError
from schemas.private_files import private_folder

MASTER_BYTES = 32
NONCE_BYTES = 12
DIGEST_BYTES = 16


class Master:
    """Master key: wraps keys, and gives customers names that don't reveal them."""

    def __init__(self, secret: bytes) -> None:
        """Derive the wrapping key and the naming key from the master key `secret`."""
        self.cipher = AESGCM(hmac.digest(secret, b"ordertide wrap 1", hashlib.sha256))
        self.name_key = hmac.digest(secret, b"ordertide name 1", hashlib.sha256)

    def digest(self, tenant: str, customer: str) -> str:
        """Pseudonym of a customer in the key file: 32 hex digits, keyed by the master key."""
        text = f"{len(tenant)}:{tenant}{customer}".encode()
        return hmac.digest(self.name_key, text, hashlib.sha256)[:DIGEST_BYTES].hex()

    def wrap(self, secret: bytes, bound_to: str) -> bytes:
        """Nonce and ciphertext of a key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, secret, bound_to.encode())

    def unwrap(self, wrapped: bytes, bound_to: str) -> bytes | None:
        """The key; None if this master key didn't wrap it, or it is damaged."""
        nonce, ciphertext = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self.cipher.decrypt(nonce, ciphertext, bound_to.encode())
        except (InvalidTag, ValueError):  # ValueError: too short to be one
            return None


def read_master(path: Path) -> Master:
    """The master key in a file that only its owner can read.

    Raises:
        StateError: there is no such file, others can read it, or it holds no master key.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
        secret = bytes.fromhex(text)
    except FileNotFoundError as error:
        raise StateError(
            f"{path}: no master key, and without it the key file can't be read; restore it from "
            "where you keep it"
        ) from error
    except (OSError, ValueError) as error:
        raise StateError(f"{path}: can't be read as a master key, {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise StateError(f"{path}: others can read the master key; chmod 600 {path}")
    if len(secret) != MASTER_BYTES:
        raise StateError(f"{path}: a master key is {2 * MASTER_BYTES} hex digits, not {len(text)}")
    return Master(secret)


def make_master(path: Path) -> None:
    """Create a master key; the caller excludes concurrent calls.

    Raises:
        OSError: the folder can't be written.
    """
    private_folder(path.parent)
    replace_durably(path, [f"{secrets.token_hex(MASTER_BYTES)}\n".encode()])


def replace_durably(path: Path, lines: Iterable[bytes]) -> None:
    """Write a file that only its owner can read; at any moment the old or the new one is whole.

    A symbolic link stays: what it leads to is replaced.

    Raises:
        OSError: it can't be written; the old one stays.
    """
    path = Path(os.path.realpath(path))
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.unlink(missing_ok=True)  # of an earlier process with our id that was killed here
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - os.open gave it its mode
            file.writelines(lines)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """See a folder's entries to the disk: without, a new or renamed file can be lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
