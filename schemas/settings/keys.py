"""The keys that can be set, read off the settings structs."""

import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import NODEFAULT, inspect

Structs = Mapping[str, type[msgspec.Struct]]

PREFIX = "ORDERTIDE_"


class Key(NamedTuple):
    """One key of a section.

    `annotation` is what a value is converted to; `kind` what its text means (see
    `kinds.py`); `shape` is `table` for texts by name, which can be set one by one, `nested`
    for a list or struct, which the environment gives as JSON, else `plain`.
    """

    section: str
    name: str
    annotation: Any
    default: Any
    kind: str | None
    shape: str

    @property
    def path(self) -> str:
        """`section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        return f"{PREFIX}{self.section}_{self.name}".upper()


def sections_of(settings: type[msgspec.Struct]) -> Structs:
    """{section: its struct} of a settings struct."""
    return typing.get_type_hints(settings)


def keys_of(sections: Structs) -> dict[str, dict[str, Key]]:
    """{section: {name: key}}."""
    return {name: keys_of_section(name, struct) for name, struct in sections.items()}


def keys_of_section(section: str, struct: type[msgspec.Struct]) -> dict[str, Key]:
    """{name: key} of one struct."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    annotations = typing.get_type_hints(struct, include_extras=True)
    return {
        field.name: Key(
            section,
            field.name,
            annotations[field.name],
            default_of(field),
            kind_of(field.type),
            shape_of(field.type),
        )
        for field in described.fields
    }


def default_of(field: inspect.Field) -> Any:  # noqa: ANN401 - a setting can have any type
    """The default of a setting."""
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default


def kind_of(described: inspect.Type) -> str | None:
    """The kind that the type was annotated with, also as one of `Kind | None`."""
    if isinstance(described, inspect.Metadata):
        kind: str | None = (described.extra or {}).get("kind")
        return kind
    if isinstance(described, inspect.UnionType):
        return next((kind for kind in map(kind_of, described.types) if kind), None)
    return None


def shape_of(described: inspect.Type) -> str:
    """`table`, `nested` or `plain`."""
    match described:
        case inspect.Metadata():
            return shape_of(described.type)
        case inspect.UnionType():
            shapes = {shape_of(each) for each in described.types} - {"plain"}
            return shapes.pop() if shapes else "plain"
        case inspect.DictType(value_type=inspect.StrType()):
            return "table"
        case inspect.DictType() | inspect.CollectionType() | inspect.StructType():
            return "nested"
        case _:
            return "plain"
