"""Indices of before a change of the templates: what was written to them lacks the new fields.

A document holds its whole record, so it is made again from itself, under the same id and version.
A newer version that comes meanwhile stays; a kill leaves some documents as they were, and the next
run does all again.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from elasticsearch.helpers import scan

from schemas.outcomes import OutcomeKind
from storage_tiering.records import NOWHERE, event_record, outcome_record
from storage_tiering.warm.elastic.bulk import send
from storage_tiering.warm.elastic.documents import (
    Action,
    event_action,
    event_in,
    order_action,
    order_in,
    outcome_action,
    outcome_in,
)
from storage_tiering.warm.elastic.errors import answers
from storage_tiering.warm.elastic.periods import Names
from storage_tiering.warm.elastic.templates import BEFORE, Templates, kind_of

ACTIONS_PER_BULK = 1_000
OUTCOME_KINDS: dict[str, OutcomeKind] = {"audit": "audit", "actions": "actions"}


class Outdated(NamedTuple):
    """An index of before. `has_fields`: it has the new fields, and its documents lack them."""

    name: str
    has_fields: bool


class Rewriting:
    """Finds the indices of before, and makes their documents again."""

    def __init__(self, templates: Templates) -> None:
        """Create it; nothing is queried yet."""
        self.client = templates.client
        self.names: Names = templates.names
        self.templates = templates

    def outdated(self) -> list[Outdated]:
        """The indices whose documents lack fields of the templates, by name.

        Rejected messages are left out: their originals aren't there, and they go with their month.
        """
        held = self.templates.held_index_templates().get(f"{self.names.prefix}-orders")
        with answers():
            found = self.client.indices.get_mapping(index=self.names.all_periods).body
        marks = {name: each["mappings"].get("_meta", {}) for name, each in sorted(found.items())}
        wanted = {} if held is None else held.get("_meta", {})
        return [
            Outdated(name, has_fields=BEFORE in mark)
            for name, mark in marks.items()
            if mark != wanted
        ]

    def rewrite(self, index: str) -> int:
        """Make every document of an index again that has the new fields; how many.

        Raises:
            Busy: the index is unavailable; do it again.
        """
        self.templates.check()
        count = 0
        actions = self._actions(index, kind_of(self.names, index))
        while bulk := list(islice(actions, ACTIONS_PER_BULK)):
            send(self.client, bulk)
            count += len(bulk)
        held = self.templates.held_index_templates()[f"{self.names.prefix}-orders"]
        with answers():
            self.client.indices.refresh(index=index)
            self.client.indices.put_mapping(index=index, meta=held["_meta"])
        return count

    def drop(self, index: str) -> None:
        """Delete an index whose fields have other types: its writer will miss it."""
        with answers():
            self.client.indices.delete(index=index, ignore_unavailable=True)

    def _actions(self, index: str, kind: str) -> Iterator[Action]:
        with answers():
            self.client.indices.refresh(index=index)
            hits: Iterable[dict[str, Any]] = scan(self.client, index=index)
            for hit in hits:
                yield self._action(index, kind, hit["_source"])

    def _action(self, index: str, kind: str, source: dict[str, Any]) -> Action:
        if kind == "orders":
            changed_at = source["derived"]["changed_at"]
            record = msgspec.structs.replace(order_in(source), clock_at=changed_at)
            made = order_action(index, record, self.templates.vocabulary)
            made.header["index"]["version_type"] = "external_gte"
        elif kind == "events":
            made = event_action(index, event_record(event_in(source), NOWHERE))
        else:
            outcome = outcome_in(OUTCOME_KINDS[kind], source)
            made = outcome_action(index, outcome_record(outcome, NOWHERE))
        (target,) = made.header.values()
        return Action({"index": target}, made.body)
