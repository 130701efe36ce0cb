"""Common parts of Kibana's saved objects, and the data views.

Written in the form of 8.9 to 8.12 (`coreMigrationVersion` 8.8.0), which every later 8 takes and
upgrades by itself. Much of an object is JSON inside a string: that is Kibana's own way.
"""

from typing import Any

import msgspec

from deploy.kibana.pictures import DataView

Json = dict[str, Any]

CORE_VERSION = "8.8.0"


def data_view(view: DataView) -> Json:
    """A data view; Kibana reads the fields from the indices."""
    attributes = {"title": view.pattern, "name": view.name, "timeFieldName": view.time_field}
    return saved("index-pattern", "8.0.0", view.id, attributes, [])


def saved(kind: str, version: str, name: str, attributes: Json, references: list[Json]) -> Json:
    """One saved object; `version` is that of its kind."""
    return {
        "id": name,
        "type": kind,
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": CORE_VERSION,
        "typeMigrationVersion": version,
        "managed": False,
    }


def reference(name: str, kind: str, target: str) -> Json:
    """Reference from one object to another."""
    return {"name": name, "type": kind, "id": target}


def text(value: object) -> str:
    """JSON as a string."""
    return msgspec.json.encode(value).decode()
