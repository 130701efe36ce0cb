"""Exceptions by which a part refuses. Every message names the thing, the problem and the remedy."""

from schemas.display import printable

MAX_REASON = 500  # characters


class OrdertideError(Exception):
    """Anything ordertide raises on purpose.

    `has_lines`: its text may be several lines. `names_settings`: a server failed, so a command adds
    the settings file that names the server.
    """

    has_lines = False
    names_settings = False


class SettingsError(OrdertideError):
    """A settings, rules or lifecycle file (or an argument) can't be used as it is."""

    has_lines = True  # a line for each fault


class Busy(OrdertideError):
    """Not now: wait `retry_after_s` and offer the same batch again."""

    names_settings = True

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Rejected(OrdertideError):
    """Never: this one record can't be taken; `code` is stable, `reason` is for people.

    The reason often quotes the record: it is cut, and what steers a terminal is escaped.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = printable(reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}…")
        super().__init__(f"{code}: {self.reason}")


class StateError(OrdertideError):
    """Stored state is damaged, foreign or from another layout."""


class DamagedState(StateError):
    """One stored blob or row is damaged, or of an unknown version; the store itself can be read."""


class StoreUnavailable(StateError):
    """The state store is unavailable for every read."""


class UnknownOrder(OrdertideError):
    """No tier holds the requested order."""


class Stopped(OrdertideError):
    """The process was stopped while a server was unavailable; it ends with exit code 0."""
