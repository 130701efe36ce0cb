"""Redis's errors in the tiers' words."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as said

from schemas.errors import Busy, SettingsError, StateError

# These pass by themselves: out of memory, loading, a failed save, a replica, a cluster on the move.
# A script's error wraps that of its command, so the text is looked at as well as the class.
PASSING_CLASSES = (
    said.BusyLoadingError,
    said.ClusterDownError,
    said.ConnectionError,
    said.MasterDownError,
    said.OutOfMemoryError,
    said.ReadOnlyError,
    said.TimeoutError,
    said.TryAgainError,
)
PASSING_WORDS = ("OOM", "LOADING", "MISCONF", "READONLY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN")
REFUSING_CLASSES = (said.AuthenticationError, said.AuthorizationError, said.NoPermissionError)
RETRY_AFTER_S = 0.5


@contextmanager
def answers() -> Iterator[None]:
    """Raise what Redis says as `Busy`, `SettingsError` (who we are) or `StateError` (the rest)."""
    try:
        yield
    except REFUSING_CLASSES as error:
        message = f"Redis refuses us: {error}; check the user and password in the hot tier's URL"
        raise SettingsError(message) from error
    except said.RedisError as error:
        raise _answer(error) from error


def _answer(error: said.RedisError) -> Busy | StateError:
    if isinstance(error, PASSING_CLASSES) or any(word in str(error) for word in PASSING_WORDS):
        return Busy(f"Redis: {error}", RETRY_AFTER_S)
    return StateError(f"Redis can't do it: {error}; is the prefix used by something else?")
