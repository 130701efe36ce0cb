"""Marks of the Elasticsearch tier: offsets that were written, ids of the indices, its staleness.

They are documents of the progress index. An index that was deleted, recreated or restored from a
snapshot has another id (`index.uuid`) or none; if the progress index itself is the one, the offsets
in it are behind those that were committed. Documents that were deleted one by one are missed by
their number, which never falls otherwise: an update keeps it, and expiry drops whole indices.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from elasticsearch import Elasticsearch, NotFoundError

from storage_tiering.tier import Partition, Staleness, WritesLost, partition_name, partition_of
from storage_tiering.warm.elastic.errors import answers
from storage_tiering.warm.elastic.periods import Names, Periods

MARKS = "marks"
STALENESS = "staleness"
CONFLICT = 409
# With `gc_deletes` at 0 a refresh forgets the versions of what was deleted, so that the same ones
# can be written again; but only of deletions before the last tick of a clock of 200 ms.
FORGETS_DELETES_S = 0.5


class Held(msgspec.Struct, frozen=True):
    """The noted state: {`topic/partition`: offset}, {index: its id}, {index: its documents}."""

    offsets: dict[str, int] = {}
    indices: dict[str, str] = {}
    documents: dict[str, int] = {}


class DocumentCounts:
    """Numbers of documents that the indices hold at least: as last counted, and created since.

    `count` gives those that searches see, `refresh` lets them see all that was written.
    """

    def __init__(
        self,
        count: Callable[[], dict[str, int]],
        refresh: Callable[[Iterable[str]], None],
        every_s: float,
    ) -> None:
        """Create counts of a writer that has written nothing yet."""
        self._count = count
        self._refresh = refresh
        self._every_s = every_s
        self._counted_at_s = -math.inf
        self._counted: dict[str, int] = {}
        self.created = Counter[str]()
        self.short: list[str] = []  # sentences on indices with fewer documents than they had

    def check(self, noted: Mapping[str, int], indices: Iterable[str]) -> dict[str, int]:
        """Count the documents of `indices` if it is time; return what is to be noted of them.

        Another writer may have `noted` more than this one knows of. A copy of a shard may show less
        than another until it is refreshed, so a loss counts only after that.
        """
        there = set(indices)
        floor = {name: at for name, at in noted.items() if name in there}
        if time.monotonic() - self._counted_at_s < self._every_s:
            return floor
        for name in there & (self._counted.keys() | self.created.keys()):
            known = self._counted.get(name, 0) + self.created[name]
            floor[name] = max(known, floor.get(name, 0))
        found = self._count()
        if below := {name for name, at in floor.items() if found.get(name, 0) < at}:
            time.sleep(FORGETS_DELETES_S)
            self._refresh(below)
            found = self._count()
        self.short = [
            f"index {name} has lost {at - found.get(name, 0)} of {at} documents"
            for name, at in sorted(floor.items())
            if found.get(name, 0) < at
        ]
        self._counted_at_s = time.monotonic()
        self._counted = {name: at for name, at in found.items() if name in there}
        self.created.clear()
        return self._counted

    def forget(self) -> None:
        """Count from the next check on."""
        self._counted_at_s = -math.inf
        self._counted = {}
        self.created.clear()
        self.short = []


class IndexMarks:
    """The documents `marks` and `staleness` in the tier's progress index.

    Of several writers each changes its own partitions; a change that another one has overtaken is
    made again.
    """

    def __init__(
        self, client: Elasticsearch, names: Names, periods: Periods, documents: DocumentCounts
    ) -> None:
        """Create the marks; nothing is queried yet."""
        self.client = client
        self.names = names
        self._periods = periods
        self.documents = documents
        self._noted: dict[Partition, int] = {}

    def offsets(self) -> dict[Partition, int]:
        """The offsets that were noted; none where an index isn't the one, or whole, any more."""
        held, _ = self._held()
        if self.documents.short or self._differences(held, self.indices()):
            return {}
        return {partition_of(name): at for name, at in held.offsets.items()}

    def note(self, offsets: Mapping[Partition, int]) -> None:
        """Note the offsets, and the ids of the indices that there are.

        Raises:
            WritesLost: something is missing that was noted before.
        """
        self._periods.ensure([self.names.progress])
        while True:
            held, place = self._held()
            there = self.indices()
            complaints = self._differences(held, there)
            known = {partition_of(name): at for name, at in held.offsets.items()}
            if any(known.get(each, 0) < at for each, at in self._noted.items()):
                complaints.append(f"{self.names.progress} is an older copy")
            lasting = there.keys() - {self.names.live}  # orders leave that one
            documents = self.documents.check(held.documents, lasting)
            complaints += self.documents.short
            if complaints:
                raise WritesLost(f"warm tier: {', '.join(complaints)}")
            later = {each: max(at, known.get(each, 0)) for each, at in offsets.items()}
            named = {partition_name(each): at for each, at in later.items()}
            if self._put(Held({**held.offsets, **named}, there, documents), place):
                self._noted |= later
                return

    def begin_with(self, offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """Compare from now on with these offsets and the indices that there are."""
        self._periods.forget()
        self.documents.forget()
        self._periods.ensure([self.names.progress])
        named = {partition_name(each): at for each, at in offsets.items()}
        while not self._put(Held(named, self.indices()), self._held()[1]):
            pass
        self._noted = dict(offsets)
        return dict(offsets)

    def dropped(self, indices: Iterable[str]) -> None:
        """These indices are about to expire."""
        gone = set(indices)
        while True:
            held, place = self._held()
            left = {name: uuid for name, uuid in held.indices.items() if name not in gone}
            documents = {name: at for name, at in held.documents.items() if name not in gone}
            if left == held.indices or self._put(Held(held.offsets, left, documents), place):
                return

    def missing(self) -> list[str]:
        """Sentences on indices that are not what was noted of them."""
        held, _ = self._held()
        return self._differences(held, self.indices()) if held.indices else []

    def indices(self) -> dict[str, str]:
        """{index: its id} of the indices of orders, events and dead letters."""
        patterns = [*self.names.all_periods, self.names.rejected("*")]
        with answers():
            found = self.client.indices.get_settings(index=patterns, name="index.uuid")
        settings: dict[str, Any] = found.body
        return {name: each["settings"]["index"]["uuid"] for name, each in settings.items()}

    def staleness(self) -> Staleness | None:
        """The staleness that is kept."""
        with answers():
            try:
                held = self.client.get(index=self.names.progress, id=STALENESS)
            except NotFoundError:
                return None
        return msgspec.convert(held["_source"]["staleness"], Staleness)

    def set_staleness(self, staleness: Staleness | None) -> None:
        """Keep this one; None: none."""
        self._periods.ensure([self.names.progress])
        with answers():
            if staleness is None:
                self.client.options(ignore_status=404).delete(
                    index=self.names.progress, id=STALENESS
                )
            else:
                document = {"staleness": msgspec.to_builtins(staleness)}
                self.client.index(index=self.names.progress, id=STALENESS, document=document)

    def _differences(self, held: Held, there: Mapping[str, str]) -> list[str]:
        complaints = []
        for name, uuid in held.indices.items():
            if name not in there:
                complaints.append(f"index {name} is missing")
            elif there[name] != uuid:
                complaints.append(f"index {name} was recreated or restored")
        return complaints

    def _held(self) -> tuple[Held, dict[str, int]]:
        """Read the noted state, and the document's position for a conditional update."""
        with answers():
            try:
                found = self.client.get(index=self.names.progress, id=MARKS)
            except NotFoundError:
                return Held(), {}
        place = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
        return msgspec.convert(found["_source"]["marks"], Held), place

    def _put(self, held: Held, place: dict[str, int]) -> bool:
        """Write the document unless it has changed since it was read."""
        is_new = {} if place else {"op_type": "create"}
        options = self.client.options(ignore_status=CONFLICT)
        document = {"marks": msgspec.to_builtins(held)}
        condition: dict[str, Any] = {**place, **is_new}
        with answers():
            answer = options.index(
                index=self.names.progress, id=MARKS, document=document, **condition
            )
        return "error" not in answer.body
