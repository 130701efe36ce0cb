"""Output of a shard after its clock moved."""

from functools import cached_property
from typing import NamedTuple

import msgspec

from dataflows.core import compiled
from dataflows.core.fact import Fact
from dataflows.core.set_aside import Fault
from schemas.alert import Action, AlertTransition, AuditEntry
from schemas.errors import Rejected
from schemas.order import OrderDocument

decode_fact = msgspec.msgpack.Decoder(Fact).decode
decode_document = msgspec.json.Decoder(OrderDocument).decode
decode_alert = msgspec.json.Decoder(AlertTransition).decode
decode_action = msgspec.json.Decoder(Action).decode
decode_entry = msgspec.json.Decoder(AuditEntry).decode


class Change(NamedTuple):
    """An order to publish, its document in JSON; no data: a tombstone."""

    key: str
    version: int
    data: bytes | None

    @property
    def document(self) -> OrderDocument | None:
        """The document; None for a tombstone."""
        return decode_document(self.data) if self.data else None


class Refusal(NamedTuple):
    """A fact that can't be taken, and why."""

    fact: Fact
    reason: Rejected


class Output:
    """The outcomes of one advance, in the order in which they were emitted.

    `written` has them as the topics carry them: `accepted`, `alerts`, `actions` and `audit` as
    (key, JSON). Here they are decoded when they are asked for. `faults` are of orders that could
    not be evaluated, `condition_faults` the rules whose conditions could not, `outside_calendar`
    (rule, reason) of deadlines outside the years of a calendar. Counted are messages.
    """

    def __init__(self, written: compiled.Output) -> None:
        """Create it of what the core wrote."""
        self.written = written
        self.rejected = [
            Refusal(decode_fact(fact), Rejected(code, reason))
            for fact, code, reason in written.rejected
        ]
        self.faults = [Fault(*fault) for fault in written.faults]
        self.condition_faults = written.condition_faults
        self.outside_calendar = written.outside_calendar
        self.applied = written.applied
        self.duplicates = written.duplicates
        self.refused = written.refused
        self.fields_lost = written.fields_lost  # events of which some fields didn't fit

    @cached_property
    def changes(self) -> list[Change]:
        """Orders to publish."""
        return [Change(*change) for change in self.written.changes]

    @cached_property
    def alerts(self) -> list[tuple[str, AlertTransition]]:
        """Alert transitions by order key."""
        return [(key, decode_alert(data)) for key, data in self.written.alerts]

    @cached_property
    def actions(self) -> list[tuple[str, Action]]:
        """Requested actions by order key."""
        return [(key, decode_action(data)) for key, data in self.written.actions]

    @cached_property
    def audit(self) -> list[tuple[str, AuditEntry]]:
        """Audit entries by order key."""
        return [(key, decode_entry(data)) for key, data in self.written.audit]
