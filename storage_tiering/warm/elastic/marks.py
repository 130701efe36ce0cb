"""Marks of the Elasticsearch tier: offsets that were written, ids of the indices, and its doubt.

They are documents of the progress index. An index that was deleted, recreated or restored from a
snapshot has another id (`index.uuid`) or none; if the progress index itself is the one, the offsets
in it are behind those that were committed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from elasticsearch import Elasticsearch, NotFoundError

from storage_tiering.tier import Doubt, Partition, WritesLost, partition_name, partition_of
from storage_tiering.warm.elastic.errors import answers
from storage_tiering.warm.elastic.periods import Names, Periods

MARKS = "marks"
DOUBT = "doubt"
CONFLICT = 409


class Held(msgspec.Struct, frozen=True):
    """The noted state: {`topic/partition`: offset} and {index: its id}."""

    offsets: dict[str, int] = {}
    indices: dict[str, str] = {}


class Marks:
    """The documents `marks` and `doubt` in the tier's progress index.

    Of several writers each changes its own partitions; a change that another one has overtaken is
    made again.
    """

    def __init__(self, client: Elasticsearch, names: Names, periods: Periods) -> None:
        """Create the marks; nothing is queried yet."""
        self.client = client
        self.names = names
        self._periods = periods
        self._noted: dict[Partition, int] = {}

    def offsets(self) -> dict[Partition, int]:
        """The offsets that were noted; none where an index isn't the one that was noted."""
        held, _ = self._held()
        if self._differences(held, self.indices()):
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
            if complaints:
                raise WritesLost(f"warm tier: {', '.join(complaints)}")
            later = {each: max(at, known.get(each, 0)) for each, at in offsets.items()}
            named = {partition_name(each): at for each, at in later.items()}
            if self._put(Held({**held.offsets, **named}, there), place):
                self._noted |= later
                return

    def begin_with(self, offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """Compare from now on with these offsets and the indices that there are."""
        self._periods.forget()
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
            if left == held.indices or self._put(Held(held.offsets, left), place):
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

    def doubt(self) -> Doubt | None:
        """The doubt that is kept."""
        with answers():
            try:
                held = self.client.get(index=self.names.progress, id=DOUBT)
            except NotFoundError:
                return None
        return msgspec.convert(held["_source"]["doubt"], Doubt)

    def set_doubt(self, doubt: Doubt | None) -> None:
        """Keep this one; None: none."""
        self._periods.ensure([self.names.progress])
        with answers():
            if doubt is None:
                self.client.options(ignore_status=404).delete(index=self.names.progress, id=DOUBT)
            else:
                document = {"doubt": msgspec.to_builtins(doubt)}
                self.client.index(index=self.names.progress, id=DOUBT, document=document)

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
