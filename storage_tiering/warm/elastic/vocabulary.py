"""Vocabulary of an installation: the statuses and attributes that get typed fields.

`ordertide tier init` reads it from the lifecycle and rules files and keeps it in the templates.
Writers take it from there, so that they write exactly the fields that are mapped.
"""

from typing import Any

import msgspec

from schemas.search import AttributeType

DATE = {"type": "date", "format": "strict_date_optional_time"}
HOURS = {"type": "double"}
# A value that doesn't fit, as of a declaration that has changed, is kept and not indexed.
TYPED: dict[AttributeType, dict[str, Any]] = {
    "bool": {"type": "boolean", "ignore_malformed": True},
    "float": {"type": "double", "ignore_malformed": True},
    "int": {"type": "long", "ignore_malformed": True},
    "str": {"type": "keyword", "ignore_above": 1024},
}


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """Statuses of the lifecycle with their stage (0 to 4), declared attributes with their type."""

    stages: dict[str, int | None] = {}
    attributes: dict[str, AttributeType] = {}

    def add_fields(self, properties: dict[str, Any]) -> None:
        """Add the fields of milestones, stages and attributes to the properties of orders."""
        derived = properties["derived"]["properties"]
        stages = sorted({stage for stage in self.stages.values() if stage is not None})
        properties["milestones"]["properties"] = dict.fromkeys(self.stages, DATE)
        derived["hours_to"]["properties"] = dict.fromkeys(self.stages, HOURS)
        derived["stage_h"]["properties"] = {str(stage): HOURS for stage in stages}
        derived["attributes"]["properties"] = {
            name: TYPED[kind] for name, kind in self.attributes.items()
        }


NO_VOCABULARY = Vocabulary()
