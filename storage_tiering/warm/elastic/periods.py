"""The indices of the warm tier: orders, events, outcomes and dead letters, each for a month.

An order belongs to the month of its first change (`warm_period`), an event to the month of its
arrival, an audit entry or action to that of its time, a dead letter to the month in which it was
written. All are part of the record, so written again it goes where it went before; and as an order
begins with the arrival of its first event, no event is dropped before its order.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, get_args

from elasticsearch import BadRequestError, Elasticsearch

from schemas.errors import SettingsError
from schemas.outcomes import OutcomeKind
from storage_tiering.warm.elastic.errors import answers

# How long the server waits for a shard that isn't there; less than the client waits for its answer.
SHARD_TIMEOUT = "10s"
# The start of index names, as Elasticsearch allows them.
PREFIX = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
PERIOD_INDEX = re.compile(r"-(orders|events|audit|actions|rejected)-([0-9]{4}-(?:0[1-9]|1[0-2]))")


class Names(NamedTuple):
    """Names of the tier's indices with this prefix."""

    prefix: str

    def orders(self, period: str) -> str:
        """The index of a period's orders; `*` for all."""
        return f"{self.prefix}-orders-{period}"

    @property
    def live(self) -> str:
        """The index of open orders whose period was dropped; `orders("*")` matches it."""
        return self.orders("live")

    def events(self, period: str) -> str:
        """The index of a period's events; `*` for all."""
        return f"{self.prefix}-events-{period}"

    def outcomes(self, kind: OutcomeKind, period: str) -> str:
        """The index of a period's audit entries or actions; `*` for all."""
        return f"{self.prefix}-{kind}-{period}"

    def rejected(self, period: str) -> str:
        """The index of a period's dead letters; `*` for all."""
        return f"{self.prefix}-rejected-{period}"

    @property
    def progress(self) -> str:
        """The index of the one document with the tier's progress."""
        return f"{self.prefix}-progress"

    @property
    def all_periods(self) -> list[str]:
        """Patterns that match all indices that expire by stream time."""
        outcomes = (self.outcomes(kind, "*") for kind in get_args(OutcomeKind))
        return [self.orders("*"), self.events("*"), *outcomes]


def names_with(prefix: str) -> Names:
    """The names that begin with `prefix`.

    Raises:
        SettingsError: no index can be called so.
    """
    if not PREFIX.fullmatch(prefix):
        raise SettingsError(
            f"[warm] prefix {prefix!r} begins no index name: use a-z, 0-9, _, - and ., a letter "
            "first, at most 64"
        )
    return Names(prefix)


class Periods:
    """The existing indices of `patterns` (all that expire by stream time by default).

    `check` is called once, before the first of ours is made.
    """

    def __init__(
        self,
        client: Elasticsearch,
        names: Names,
        check: Callable[[], None],
        patterns: list[str] | None = None,
    ) -> None:
        self.client = client
        self.names = names
        self.patterns = patterns or names.all_periods
        self._check = check
        self._there: set[str] = set()
        self.on_drop: Callable[[Iterable[str]], object] = list  # called before they are dropped

    def ensure(self, indices: Iterable[str]) -> None:
        """Make those that aren't there, from the templates.

        They are made here and not by writing to them: many a cluster has
        `action.auto_create_index` off, and without templates the fields would be guessed.
        """
        for index in sorted({*indices} - self._there):
            if not self._there:
                self._check()
            with answers():
                if not self.client.indices.exists(index=index):
                    self._make(index)
            self._there.add(index)

    def forget(self) -> None:
        """Query the indices again before the next write: a known one has gone."""
        self._there.clear()

    def refresh(self, indices: Iterable[str]) -> None:
        """Let searches see what was written; what was dropped meanwhile is left out."""
        if named := sorted(indices):
            with answers():
                self.client.indices.refresh(index=named, ignore_unavailable=True)

    def all(self) -> dict[str, str]:
        """{index: its period} of all existing ones, whatever process made them."""
        with answers():
            found = self.client.indices.get_alias(index=self.patterns)
        periods = {name: self._period(name) for name in sorted(found.body)}
        return {name: period for name, period in periods.items() if period is not None}

    def all_orders(self) -> set[str]:
        """The periods that have an index of orders."""
        return {period for name, period in self.all().items() if name == self.names.orders(period)}

    def drop_before(self, period: str) -> None:
        """Drop the indices of all periods before this one."""
        outdated = [name for name, its_period in self.all().items() if its_period < period]
        if outdated:
            self.on_drop(outdated)
        for name in outdated:  # by name: many a cluster refuses to delete by pattern
            with answers():
                self.client.indices.delete(index=name, ignore_unavailable=True)
        self._there -= {*outdated}

    def _make(self, index: str) -> None:
        try:
            self.client.indices.create(index=index, timeout=SHARD_TIMEOUT)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":  # another writer was faster
                raise

    def _period(self, index: str) -> str | None:
        found = PERIOD_INDEX.fullmatch(index.removeprefix(self.names.prefix))
        return found[2] if found else None
