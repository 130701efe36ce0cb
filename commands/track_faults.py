"""Faults under `track` that bytewax reports in its own way: the reason behind them, in one line."""

from collections.abc import Iterator
from pathlib import Path

from dataflows.state.local.disk_space import free_bytes, no_room
from dataflows.state.local.frame import REMEDY
from dataflows.state.local.schema import LITTLE_BYTES
from schemas.errors import OrdertideError, StateError

SQLITE = "SqliteFailure"  # rusqlite's error, as bytewax 0.21 shows it
FULL = "code: DiskFull"


def fault_of(error: BaseException, folder: Path) -> BaseException | None:
    """The fault behind an error of bytewax; None if it was nothing of ours, a file's or a disk's.

    `folder` is the flow's.
    """
    if not is_of_bytewax(error):
        return None
    return reason_of(error) or want_of_room(error, folder) or recovery_fault(error, folder)


def reason_of(error: BaseException) -> OrdertideError | OSError | None:
    """Error of ours, or of a file, raised inside a step: bytewax wraps it."""
    return next((each for each in causes(error) if is_reason(each)), None)  # type: ignore[return-value]  # is_reason narrows


def is_reason(error: BaseException) -> bool:
    """Return True if an error can be shown to an operator unchanged."""
    return isinstance(error, OrdertideError) or (
        isinstance(error, OSError) and error.filename is not None
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def is_of_bytewax(error: BaseException) -> bool:
    """Return True if bytewax raised it: an error that wraps a step's, or one of its own panics.

    PyO3's PanicException is no Exception, and can't be imported.
    """
    return isinstance(error, RuntimeError) or type(error).__name__ == "PanicException"


def want_of_room(error: BaseException, folder: Path) -> OrdertideError | None:
    """The full disk behind an error of bytewax; None for another cause.

    bytewax 0.21 panics where its recovery files find no room, which can be before our own store
    finds none; its message ("disk I/O error") doesn't always show it.
    """
    if not is_of_bytewax(error):
        return None
    is_full = any(FULL in str(each) for each in causes(error))
    if not is_full and free_bytes(folder) >= LITTLE_BYTES:
        return None
    return no_room(folder, "bytewax could not write its recovery files")


def recovery_fault(error: BaseException, folder: Path) -> StateError | None:
    """Fault of bytewax's recovery files behind an error; None if it was something else."""
    texts = [str(each) for each in causes(error) if SQLITE in str(each)]
    if not texts:
        return None
    detail = texts[0][texts[0].index(SQLITE) :].splitlines()[0]
    return StateError(
        f"{folder / 'recovery'}: bytewax can't use it, {detail}; check its disk and its rights, "
        f"else {REMEDY}"
    )
