"""Reading the scans of a push one by one: one that can't be read is noted, the others count."""

from collections.abc import Callable
from typing import Any

from dataflows.carriers.carrier import PushContents, UnreadableScan
from schemas.errors import Rejected


class ScanReader:
    """Collects the events of a push, and what in it has no mapping or could not be read."""

    def __init__(self) -> None:
        """Create an empty collection."""
        self.events: list[dict[str, Any]] = []
        self.unmapped: set[int] = set()
        self.unreadable: list[UnreadableScan] = []

    def read(self, place: str, read_scan: Callable[[], None]) -> None:
        """Read the scan at `place`; note it if it is rejected."""
        try:
            read_scan()
        except Rejected as error:
            self.note(UnreadableScan(place, error))

    def add(self, event: dict[str, Any], *, is_mapped: bool) -> None:
        """Add an event; not `is_mapped`: neither its code nor its text has a mapping."""
        if not is_mapped:
            self.unmapped.add(len(self.events))
        self.events.append(event)

    def note(self, unreadable: UnreadableScan) -> None:
        """Note what can't be read."""
        self.unreadable.append(unreadable)

    def contents(self) -> PushContents:
        """Return the collected contents.

        Raises:
            Rejected: no scan could be read; the reason of the first.
        """
        if not self.events and self.unreadable:
            raise self.unreadable[0].error
        return PushContents(self.events, frozenset(self.unmapped), tuple(self.unreadable))
