"""Index templates of the warm tier, and their installation in the cluster.

A component template holds the settings of all indices, one more the fields of each kind, and an
index template puts them together. `PREFIX-custom` is the operator's own component template: it may
be missing, takes precedence over ours, and `ordertide tier init` never touches it.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Literal

import msgspec
from elasticsearch import BadRequestError, Elasticsearch

from schemas.errors import StateError
from schemas.keys import content_id
from storage_tiering.warm.elastic.errors import answers
from storage_tiering.warm.elastic.periods import Names, Periods
from storage_tiering.warm.elastic.vocabulary import NO_VOCABULARY, Vocabulary

# Goes up with every change of index_templates/*.json; a test holds the digest that belongs to it.
VERSION = 8
# Above 100-500, which Elastic's own templates and most shippers use.
PRIORITY = 600

FOLDER = files("storage_tiering.warm.elastic").joinpath("index_templates")
FIELDS = {
    "orders": "order_fields",
    "events": "event_fields",
    "audit": "outcome_fields",
    "actions": "outcome_fields",
    "rejected": "rejected_fields",
    "progress": "progress_fields",
}
KINDS = tuple(FIELDS)

BEFORE = "before"  # in an index's `_meta`: of the templates that its older documents are of

Body = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """Outcome of `install` for one template: `made`, `changed`, `as it was`, `kept` (and why)."""

    what: str
    did: Literal["made", "changed", "as it was", "kept"]
    reason: str = ""


def shipped(name: str) -> Body:
    """A file of templates/."""
    body: Body = msgspec.json.decode(FOLDER.joinpath(f"{name}.json").read_bytes())
    return body


def fields_of(kind: str, vocabulary: Vocabulary) -> Body:
    """The mapping of a kind of index."""
    body = shipped(FIELDS[kind])
    if kind == "orders":
        vocabulary.add_fields(body["properties"])
    return body


def digest() -> str:
    """A hash of all that is shipped, and of how it is put together."""
    parts = [shipped(name) for name in ("settings", *dict.fromkeys(FIELDS.values()))]
    kinds = [layout(Names(""), kind) for kind in KINDS]
    return content_id(*(msgspec.json.encode(each).decode() for each in [*parts, *kinds]))


def mark(vocabulary: Vocabulary) -> Body:
    """The `_meta` by which ours are known again."""
    named = msgspec.to_builtins(vocabulary)
    return {"ordertide": {"version": VERSION, "digest": digest(), "vocabulary": named}}


def component_templates(names: Names, vocabulary: Vocabulary = NO_VOCABULARY) -> dict[str, Body]:
    """{name: body}."""
    meta = mark(vocabulary)
    settings = {f"{names.prefix}-settings": {"settings": shipped("settings")}}
    fields = {
        f"{names.prefix}-{FIELDS[kind]}": {
            "mappings": {**fields_of(kind, vocabulary), "_meta": meta}
        }
        for kind in KINDS
    }
    return {
        name: {"template": template, "version": VERSION, "meta": meta}
        for name, template in {**settings, **fields}.items()
    }


def index_templates(names: Names, vocabulary: Vocabulary = NO_VOCABULARY) -> dict[str, Body]:
    """{name: body}."""
    signed = {"version": VERSION, "meta": mark(vocabulary)}
    return {f"{names.prefix}-{kind}": {**layout(names, kind), **signed} for kind in KINDS}


def layout(names: Names, kind: str) -> Body:
    """The template of one kind of index; `custom` comes last, so it wins."""
    patterns = {
        "orders": names.orders("*"),
        "events": names.events("*"),
        "audit": names.outcomes("audit", "*"),
        "actions": names.outcomes("actions", "*"),
        "rejected": names.rejected("*"),
        "progress": names.progress,
    }
    custom = f"{names.prefix}-custom"
    parts = [f"{names.prefix}-settings", f"{names.prefix}-{FIELDS[kind]}", custom]
    return {
        "index_patterns": [patterns[kind]],
        "composed_of": parts,
        "ignore_missing_component_templates": [custom],
        "priority": PRIORITY,
    }


class Templates:
    """The templates in a cluster."""

    def __init__(self, client: Elasticsearch, names: Names) -> None:
        self.client = client
        self.names = names
        self.vocabulary = NO_VOCABULARY  # of the templates, once they were checked
        self._asked = client.options(ignore_status=404)  # the answer where no name begins so

    def check(self) -> None:
        """Check the templates, and take their vocabulary.

        Raises:
            StateError: missing, or older than ours. Newer ones are taken: while a new release is
                rolled out, old writers continue.
        """
        held = self.held_index_templates()
        for name in index_templates(self.names):
            version = version_of(held.get(name))
            if version is None or version < VERSION:
                state = "there is none" if version is None else f"it has version {version}"
                raise StateError(
                    f"Elasticsearch's index template {name}: {state}, version {VERSION} is needed; "
                    "run 'ordertide tier init'"
                )
        self.vocabulary = vocabulary_in(held[f"{self.names.prefix}-orders"])

    def install(self, vocabulary: Vocabulary, *periods: Periods) -> Iterator[Change]:
        """Put those that are missing or differ, and add new fields to the indices that there are.

        Each is done when its change is taken from the iterator.

        Raises:
            StateError: what is there is newer than ours.
        """
        held, held_parts = self.held_index_templates(), self.held_component_templates()
        self._refuse_newer({**held, **held_parts})
        for name, body in component_templates(self.names, vocabulary).items():
            with answers():
                if (did := difference(held_parts.get(name), body)) != "as it was":
                    self.client.cluster.put_component_template(name=name, **body)
            yield Change(f"component template {name}", did)
        for name, body in index_templates(self.names, vocabulary).items():
            with answers():
                if (did := difference(held.get(name), body)) != "as it was":
                    self.client.indices.put_index_template(name=name, **body)
            yield Change(f"index template {name}", did)
        with answers():
            live = [self.names.live] if self.client.indices.exists(index=self.names.live) else []
        for index in [*live, *(name for each in periods for name in each.all())]:
            yield self._update(index, vocabulary)

    def held_index_templates(self) -> dict[str, Body]:
        """{name: body} of those in the cluster whose names begin with our prefix."""
        with answers():
            found = self._asked.indices.get_index_template(name=f"{self.names.prefix}-*")
        return {each["name"]: each["index_template"] for each in found["index_templates"]}

    def held_component_templates(self) -> dict[str, Body]:
        """As `held_index_templates`, of the component templates."""
        with answers():
            found = self._asked.cluster.get_component_template(name=f"{self.names.prefix}-*")
        return {each["name"]: each["component_template"] for each in found["component_templates"]}

    def _refuse_newer(self, held: Mapping[str, Body]) -> None:
        ours = {**component_templates(self.names), **index_templates(self.names)}
        for name in ours:
            version = version_of(held.get(name))
            if version is not None and version > VERSION:
                raise StateError(
                    f"Elasticsearch's template {name} has version {version}, ours is {VERSION}: "
                    "a newer ordertide was here; use that one"
                )

    def _update(self, index: str, vocabulary: Vocabulary) -> Change:
        """Give an index that is there the fields of its kind's template."""
        kind = kind_of(self.names, index)
        fields, meta = fields_of(kind, vocabulary), mark(vocabulary)
        what = f"index {index}"
        with answers():
            held = self.client.indices.get_mapping(index=index)[index]["mappings"]
            former = held.get("_meta", {})
            if {name: each for name, each in former.items() if name != BEFORE} == meta:
                return Change(what, "as it was")
            try:
                self.client.indices.put_mapping(
                    index=index,
                    properties=fields["properties"],
                    meta={**meta, BEFORE: former.get(BEFORE, former.get("ordertide", {}))},
                )
            except BadRequestError as error:  # a field of another type: an index can't change it
                reason = str(error.body["error"]["reason"])
                return Change(what, "kept", reason)
        return Change(what, "changed", "new fields hold for what is written from now on")


def kind_of(names: Names, index: str) -> str:
    """The kind of an index, such as `orders`."""
    return index.removeprefix(f"{names.prefix}-").split("-")[0]


def version_of(held: Body | None) -> int | None:
    """The version of a template in the cluster; None where there is none of ours."""
    if held is None or "ordertide" not in held.get("_meta", {}):
        return None
    return int(held.get("version") or 0)


def vocabulary_in(held: Body) -> Vocabulary:
    """The vocabulary that a template of ours was made with."""
    return msgspec.convert(held["_meta"]["ordertide"].get("vocabulary", {}), Vocabulary)


def difference(held: Body | None, wanted: Body) -> Literal["made", "changed", "as it was"]:
    """By their marks: Elasticsearch gives templates back in a writing of its own."""
    if held is None:
        return "made"
    return "as it was" if held.get("_meta") == wanted["meta"] else "changed"
