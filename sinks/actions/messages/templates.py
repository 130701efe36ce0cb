"""Templates that a table of actions names: `NAME.LANGUAGE.txt` in its folder, else the shipped."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from schemas.alert_text import Language
from schemas.errors import Rejected, SettingsError
from schemas.toml_document import read_text
from schemas.type_faults import meant
from sinks.actions.messages.fields import LANGUAGES
from sinks.actions.messages.samples import sample_fields
from sinks.actions.messages.template import Template
from sinks.actions.table import ActionTable

ENDING = ".txt"


class TemplateRow(NamedTuple):
    """The template of a kind, and the language of orders without one of their own."""

    template: str
    language: Language


Templates = Mapping[str, Mapping[Language, Template]]  # name → language → template


def read_templates(table: ActionTable) -> Templates:
    """The templates that the kinds of a table name.

    Raises:
        SettingsError: one is missing or has faults: a line for each, with file and line.
    """
    wanted = {row.template: kind for kind, row in rows_of(table)}
    found: dict[str, Mapping[Language, Template]] = {}
    faults: list[str] = []
    for name, kind in wanted.items():
        try:
            found[name] = templates_of(name, folder_of(table))
        except SettingsError as error:
            at = f"{table.name}:{table.kind_lines.get(kind, 1)}: kinds.{kind}.template: "
            lines = str(error).splitlines()
            faults += [f"{at}{line}" if line.startswith(repr(name)) else line for line in lines]
    for kind, row in rows_of(table):
        if row.template in found and row.language not in found[row.template]:
            at = f"{table.name}:{table.kind_lines.get(kind, 1)}: kinds.{kind}.language: "
            faults.append(f"{at}{row.template} has no template in {row.language}; write one")
    if faults:
        raise SettingsError("\n".join(faults))
    return found


def templates_of(name: str, folder: Path | None = None) -> Mapping[Language, Template]:
    """The templates of a name, by language.

    Raises:
        SettingsError: there is none, or one has faults.
    """
    found: dict[Language, Template] = {}
    for language in LANGUAGES:
        source = source_of(f"{name}.{language}{ENDING}", folder)
        if source is not None:
            found[language] = checked(Template(*source), language)
    if not found:
        raise SettingsError(f"{name!r} is no template; {meant(name, names_in(folder))}")
    return found


def checked(template: Template, language: Language) -> Template:
    """A template that was rendered for an order with every field, and for one with few.

    Raises:
        SettingsError: that failed.
    """
    for fields in sample_fields(language):
        try:
            template.render(fields)
        except Rejected as rejected:
            reason = rejected.reason.removeprefix(f"{template.name}: ")
            raise SettingsError(f"{template.name}:1: {reason}") from rejected
    return template


def rows_of(table: ActionTable) -> Iterator[tuple[str, TemplateRow]]:
    """(kind, row) of each kind that has a template, also as tenants have it."""
    for kind, row in table.kinds.items():
        for each in (row, *(row.of_tenant(tenant) for tenant in row.tenants)):
            if each.template:
                yield kind, TemplateRow(each.template, each.language)


def names_in(folder: Path | None) -> list[str]:
    """The names of all templates, of a folder and the shipped ones."""
    places: list[Path | Traversable] = [shipped(), *([folder] if folder else [])]
    found = [each.name for place in places if place.is_dir() for each in place.iterdir()]
    return sorted({name.partition(".")[0] for name in found if name.endswith(ENDING)})


def source_of(file: str, folder: Path | None) -> tuple[str, str] | None:
    """(text, name for errors) of a template's file; None where there is none.

    Raises:
        SettingsError: it can't be read.
    """
    if folder is not None and (folder / file).exists():
        return read_text(folder / file), str(folder / file)
    own = shipped() / file
    return (own.read_text("utf-8"), f"shipped template {file}") if own.is_file() else None


def folder_of(table: ActionTable) -> Path | None:
    """The folder of a table's own templates, beside its file if relative."""
    return Path(table.name).parent / table.templates if table.templates else None


def shipped() -> Traversable:
    """The folder of the shipped templates."""
    return files("sinks.actions.messages") / "shipped"
