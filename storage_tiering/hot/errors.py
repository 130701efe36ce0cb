"""Redis's errors in the tiers' words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from redis import exceptions

from schemas.errors import Busy, OrdertideError, SettingsError, StateError
from schemas.os_faults import no_answer

# These pass by themselves: out of memory, loading, a failed save, a replica, a cluster on the move.
# A script's error wraps that of its command, so the text is looked at as well as the class.
PASSING_CLASSES = (
    exceptions.BusyLoadingError,
    exceptions.ClusterDownError,
    exceptions.ConnectionError,
    exceptions.MasterDownError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.RedisClusterException,
    exceptions.TimeoutError,
    exceptions.TryAgainError,
)
PASSING_WORDS = re.compile(
    r"\b(OOM|LOADING|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN"
    r"|Redis is busy running a script|max number of clients reached)\b"
)
REFUSING_CLASSES = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)
REFUSING_WORDS = re.compile(r"NOPERM|NOAUTH|can't run this command|No permissions to access")
RETRY_AFTER_S = 0.5

OUR_CERTIFICATE = (
    "the server requires a client certificate that it trusts: set [hot] certificate and key"
)
# May be temporary, or a lasting disagreement of the two sides: people have to decide.
HINTS = {
    "EOF occurred in violation of protocol": OUR_CERTIFICATE,
    "reset by peer": "if this port speaks TLS, begin [hot] url with rediss://",
    "closed by server": "if this port speaks TLS, begin [hot] url with rediss://",
    "Timeout": "check host and port, and that the port speaks TLS for rediss://",
}
# Errors of TLS that are permanent, with the remedy.
TLS_WORDS = re.compile(r"\[(SSL|X509|PEM)\b")
TLS_FAULTS = {
    "CERTIFICATE_VERIFY_FAILED": "check [hot] ca, and that the certificate names this host",
    "WRONG_VERSION_NUMBER": "the server's port speaks no TLS: name its TLS port, or use redis://",
    "RECORD_LAYER_FAILURE": "the server's port speaks no TLS: name its TLS port, or use redis://",
    "CERTIFICATE_REQUIRED": OUR_CERTIFICATE,
    "UNKNOWN_CA": OUR_CERTIFICATE,
    "NO_CERTIFICATE_OR_CRL_FOUND": "[hot] ca holds no certificate: name a PEM file",
    "KEY_VALUES_MISMATCH": "[hot] key is not the key of [hot] certificate",
    "PEM": "[hot] certificate or key can't be read: name PEM files",
}
NOT_A_CLUSTER = "Cluster mode is not enabled"


class Executes(Protocol):
    """A pipeline, of one server or of a cluster."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's
        """Send what was collected."""
        ...


def execute(pipe: Executes) -> list[Any]:
    """Return the answers, or raise the first error as Redis reported it.

    redis-py itself puts the command before the error: the script, and ids of orders.
    """
    answered = pipe.execute(raise_on_error=False)
    for answer in answered:
        if isinstance(answer, Exception):
            raise answer
    return answered


@contextmanager
def answers() -> Iterator[None]:
    """Translate Redis' errors to `Busy`, `SettingsError` (credentials) or `StateError`."""
    try:
        yield
    except (exceptions.RedisError, exceptions.RedisClusterException) as error:
        raise _answer(error) from error


def _answer(error: Exception) -> OrdertideError:
    text = str(error)
    if refusal := _refusal(error):
        return refusal
    if isinstance(error, PASSING_CLASSES) or PASSING_WORDS.search(text):
        hint = next((hint for sign, hint in HINTS.items() if sign in text), None)
        is_silent = isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError)
        problem = no_answer(error) if is_silent else text
        return Busy(f"Redis: {problem}{f'; if it lasts: {hint}' if hint else ''}", RETRY_AFTER_S)
    return StateError(f"Redis can't do it: {text}; check that no other program uses the prefix")


def _refusal(error: Exception) -> SettingsError | None:
    """The permanent refusal, also where a cluster's client has wrapped it."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, REFUSING_CLASSES) or REFUSING_WORDS.search(text):
            return SettingsError(
                f"Redis refuses the client: {text}; check the user and password of the hot tier, "
                "and the user's rights (docs/operations.md has the ACL rule)"
            )
        if NOT_A_CLUSTER in text:
            return SettingsError("Redis is no cluster: set [hot] cluster = false")
        for sign, advice in TLS_FAULTS.items():
            if sign in text.upper() and TLS_WORDS.search(text):
                return SettingsError(f"Redis and TLS: {text}; {advice}")
        cause = cause.__cause__ or cause.__context__
    return None
