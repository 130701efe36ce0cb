"""Page docs/data.md: everything that an installation writes, with meaning, type and a query.

`make docs` writes it; `--check` compares it. Names and types come from the code, meanings and
queries from meanings.toml beside this file.
"""

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args

import msgspec
import pyarrow as pa

from docs.data.meanings import MEANINGS, Meanings
from schemas.alert import Action, AuditEntry
from schemas.generate import DOCS, NOUNS
from schemas.instants import DAY_MS, HOUR_MS
from schemas.order import AcceptedEvent, OrderDocument
from schemas.topics import (
    LETTER_HEADERS,
    ORDERS_ACTIONS,
    ORDERS_AUDIT,
    ORDERS_CHANGES,
    ORDERS_EVENTS,
    OWN,
    TOPICS,
    TopicSettings,
)
from sinks.channels.alert_message import Notice, notices_of, read_order
from storage_tiering.archive.columns import EVENT_COLUMNS, ORDER_COLUMNS, OUTCOME_COLUMNS
from storage_tiering.warm.elastic.templates import FIELDS, fields_of
from storage_tiering.warm.elastic.vocabulary import TYPED, Vocabulary
from storage_tiering.warm.sqlite import marks, pending_events, period
from storage_tiering.warm.sqlite.database import IDENTITY
from telemetry.metrics import Metrics, Process, Row

PAGE = DOCS / "data.md"
PROCESSES: tuple[Process, ...] = get_args(Process)
# The documents that the fields of a kind of index have the names of.
DOCUMENTS: dict[str, type] = {"orders": OrderDocument, "events": AcceptedEvent}
DATASETS = {
    ORDERS_CHANGES: (ORDER_COLUMNS, OrderDocument),
    ORDERS_EVENTS: (EVENT_COLUMNS, AcceptedEvent),
    ORDERS_AUDIT: (OUTCOME_COLUMNS, AuditEntry),
    ORDERS_ACTIONS: (OUTCOME_COLUMNS, Action),
}
# What stands for each status, stage and attribute of an installation.
VOCABULARY = Vocabulary(stages={"STATUS": 0}, attributes={"ATTRIBUTE": "str"})
STAGE = ("derived.stage_h.0", "derived.stage_h.STAGE")
ALL_LABELS = b"""{"tenant": "t", "order_id": "o", "version": 1, "status": "SHIPPED",
"lane": "overdue", "promised_at": "2018-01-05T10:00:00.000Z", "carrier": "sf", "shipments": [],
"open_alerts": [{"alert_id": "a", "rule": "r", "severity": "overdue",
"opened_at": "2018-01-05T10:00:00.000Z", "because": {"anchor": "promised_at", "anchor_event": "e",
"anchor_at": "2018-01-05T10:00:00.000Z", "limit": "0h", "due_at": "2018-01-05T10:00:00.000Z",
"last_event": "SHIPPED", "last_event_at": "2018-01-02T10:00:00.000Z", "shipment": "SF1"}}]}"""

Json = dict[str, Any]


def data_page(meanings: Meanings) -> str:
    """The page.

    Raises:
        LookupError: a name has no meaning, or a meaning no name.
    """
    parts = [
        head("introduction", meanings),
        *topics_part(meanings),
        *documents_part(meanings),
        *redis_part(meanings),
        *elasticsearch_part(meanings),
        *sqlite_part(meanings),
        *parquet_part(meanings),
        *alerts_part(meanings),
        *metrics_part(meanings),
    ]
    if left := meanings.left():
        raise LookupError(f"{MEANINGS.name}: nothing is called {left[0]} any more; remove it")
    return "\n".join(parts)


def head(part: str, meanings: Meanings) -> str:
    """The heading and the first sentences of a part."""
    return f"{meanings.take('heads', part)}\n"


def table(*names: str, rows: Iterable[Iterable[str]]) -> str:
    """A table; a `|` in a cell is escaped."""
    lines = [names, ["---"] * len(names), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def block(kind: str, text: str) -> str:
    """A block of code."""
    return f"```{kind}\n{text}\n```\n"


# ---------------------------------------------------------------- topics
def topics_part(meanings: Meanings) -> Iterator[str]:
    """Topics, with a query for each."""
    yield head("topics", meanings)
    rows = [
        (f"`{topic.name}`", meanings.take("topics", topic.name, "meaning"), kept(topic))
        for topic in (*TOPICS, *OWN)
    ]
    yield table("topic", "meaning", "kept", rows=rows)
    headers = ", ".join(f"`{name}`" for name in sorted(LETTER_HEADERS))
    yield f"Headers of `events.rejected`: {headers}.\n"
    queries = [meanings.take("topics", topic.name, "query") for topic in (*TOPICS, *OWN)]
    yield block("sh", "\n".join(queries))


def kept(topic: TopicSettings) -> str:
    """Retention of a topic in words."""
    is_short = topic.keep_ms < DAY_MS
    kept_for = f"{topic.keep_ms // HOUR_MS} h" if is_short else f"{topic.keep_ms // DAY_MS} d"
    return f"compacted, tombstones {kept_for}" if topic.cleanup_policy == "compact" else kept_for


# ---------------------------------------------------------------- documents
def documents_part(meanings: Meanings) -> Iterator[str]:
    """Fields of each noun on the wire, and of those within them."""
    yield head("documents", meanings)
    for name, definition in definitions().items():
        yield f"### {name}"
        yield f"{meanings.take('documents', name, 'about')}\n"
        required = definition.get("required", [])
        rows = [
            (
                f"`{field}`",
                type_of(of) + ("" if field in required else ", optional"),
                meanings.take("documents", name, field),
            )
            for field, of in definition["properties"].items()
        ]
        yield table("field", "type", "meaning", rows=rows)


@cache
def definitions() -> dict[str, Json]:
    """{name: JSON Schema} of the nouns and of what they hold."""
    found: dict[str, Json] = {}
    for noun in NOUNS:
        for name, definition in msgspec.json.schema(noun)["$defs"].items():
            found.setdefault(name, definition)
    return found


def type_of(schema: Json) -> str:
    """The type of a field in words; a link for a noun."""
    match schema:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            found = f"[{name}](#{name.lower()})"
        case {"anyOf": [*choices]}:
            each = [part for choice in choices for part in type_of(choice).split(" or ")]
            found = " or ".join(dict.fromkeys(each))
        case {"enum": values}:
            found = " or ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            found = f"list of {type_of(items)}"
        case {"type": "object", "additionalProperties": dict() as values} if values:
            found = f"object of {type_of(values)}"
        case {"format": "date-time"}:
            found = "instant"
        case _:
            found = schema.get("type", "JSON")
    return found


def meaning_in(noun: type, path: str, meanings: Meanings) -> str | None:
    """The meaning of `open_alerts.because.limit` in a noun; None if it has no such field."""
    known = definitions()
    name: str | None = noun.__name__
    *parents, last = path.split(".")
    for parent in parents:
        name = held_in(known[name]["properties"].get(parent, {})) if name else None
    return meanings.get("documents", name, last) if name else None


def held_in(schema: Json) -> str | None:
    """The noun that a field holds, alone or in a list."""
    for each in (schema, schema.get("items", {}), *schema.get("anyOf", [])):
        if "$ref" in each:
            return str(each["$ref"].rpartition("/")[2])
    return None


# ---------------------------------------------------------------- tiers
def redis_part(meanings: Meanings) -> Iterator[str]:
    """Keys of the hot tier."""
    yield head("redis", meanings)
    keys = meanings.content["redis"]
    rows = [
        (f"`{key}`", meanings.take("redis", key, "kind"), meanings.take("redis", key, "meaning"))
        for key in keys
    ]
    yield table("key", "type", "meaning", rows=rows)
    queries = [meanings.take("redis", key, "query") for key in keys]
    yield block("sh", "\n".join(queries))


def elasticsearch_part(meanings: Meanings) -> Iterator[str]:
    """Indices of the warm tier and their fields."""
    yield head("elasticsearch", meanings)
    for kind in FIELDS:
        index = meanings.take("elasticsearch", kind, "index")
        yield f"### {index}"
        yield f"{meanings.take('elasticsearch', kind, 'about')}\n"
        yield table("field", "type", "meaning", rows=index_rows(kind, meanings))
        query = meanings.take("elasticsearch", kind, "query")
        yield block("http", f"GET {index.replace('YYYY-MM', '*')}/_search\n{query}")


def index_rows(kind: str, meanings: Meanings) -> Iterator[tuple[str, str, str]]:
    """A row a field of an index."""
    for path, of in index_fields(fields_of(kind, VOCABULARY)["properties"], ""):
        name = path.replace(*STAGE)
        meaning = meanings.get("elasticsearch", kind, "fields", name)
        if meaning is None and kind in DOCUMENTS:
            meaning = meaning_in(DOCUMENTS[kind], path, meanings)
        yield f"`{name}`", of, meaning or meanings.take("elasticsearch", kind, "fields", name)


def index_fields(properties: Json, prefix: str) -> Iterator[tuple[str, str]]:
    """(path, type) of the fields in a mapping; of objects their fields."""
    for name, of in properties.items():
        path = f"{prefix}{name}"
        if name == "ATTRIBUTE":
            yield path, " or ".join(sorted(each["type"] for each in TYPED.values()))
        elif "properties" not in of or of.get("type") == "nested":
            yield path, of["type"]
        if "properties" in of:
            yield from index_fields(of["properties"], f"{path}.")


def sqlite_part(meanings: Meanings) -> Iterator[str]:
    """Tables of the warm tier in SQLite."""
    yield head("sqlite", meanings)
    for name, columns in sqlite_tables().items():
        yield f"### {name}"
        file, meaning = (meanings.take("sqlite", name, part) for part in ("file", "meaning"))
        yield f"In `{file}`: {meaning}.\n"
        rows = [(f"`{c}`", of, meanings.take("sqlite", name, c)) for c, of in columns.items()]
        yield table("column", "type", "meaning", rows=rows)
        yield block("sql", meanings.take("sqlite", name, "query"))


def sqlite_tables() -> dict[str, dict[str, str]]:
    """{table: {column: type}}, as the statements of the tier make them."""
    found: dict[str, dict[str, str]] = {}
    for script in (period.SCHEMA + IDENTITY, pending_events.SCHEMA, marks.SCHEMA):
        with sqlite3.connect(":memory:") as database:
            database.executescript(script)
            names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            for (name,) in names.fetchall():
                columns = database.execute("SELECT name, type FROM pragma_table_info(?)", (name,))
                found[name] = dict(columns.fetchall())
        database.close()
    return found


def parquet_part(meanings: Meanings) -> Iterator[str]:
    """Columns of the archive."""
    yield head("parquet", meanings)
    for topic, (columns, noun) in DATASETS.items():
        yield f"### {topic}"
        yield f"{meanings.take('parquet', topic, 'about')}\n"
        rows = [
            (f"`{name}`", of, column_meaning(topic, noun, name, meanings))
            for name, of in [*arrow_types(columns), ("arrival_day", "date, of the path")]
        ]
        yield table("column", "type", "meaning", rows=rows)
        yield block("sql", meanings.take("parquet", topic, "query"))


def arrow_types(columns: pa.Schema) -> Iterator[tuple[str, str]]:
    """(name, type) of columns."""
    for field in columns:
        yield field.name, str(field.type)


def column_meaning(topic: str, noun: type, name: str, meanings: Meanings) -> str:
    """Meaning of a column, of the document's field where there is no other."""
    own = meanings.get("parquet", topic, name)
    return own or meaning_in(noun, name, meanings) or meanings.take("parquet", topic, name)


# ---------------------------------------------------------------- alerts and metrics
def alerts_part(meanings: Meanings) -> Iterator[str]:
    """Labels and annotations of an order's alerts."""
    yield head("alerts", meanings)
    notice = full_notice()
    rows = [
        (
            f"`{name}`",
            meanings.take("alert_labels", name, "meaning"),
            f"`{meanings.take('alert_labels', name, 'query')}`",
        )
        for name in notice.labels
    ]
    yield table("label", "meaning", "query", rows=rows)
    annotations = [(f"`{n}`", meanings.take("alert_annotations", n)) for n in notice.annotations]
    yield table("annotation", "meaning", rows=annotations)


def full_notice() -> Notice:
    """A notice with every label and annotation."""
    [notice] = notices_of(read_order(ALL_LABELS))
    return notice


def metrics_part(meanings: Meanings) -> Iterator[str]:
    """Metrics and their labels."""
    yield head("metrics", meanings)
    owners = {process: shown_by(process) for process in PROCESSES}
    rows = []
    for row in Metrics().table:
        of = [process for process in PROCESSES if row.name in owners[process]]
        by = "all" if len(of) == len(PROCESSES) else ", ".join(of)
        labels = ", ".join(f"`{label}`" for label in row.labels)
        query = f"`{query_of(row, meanings)}`"
        rows.append((f"`{row.name}`", row.kind, labels, by, row.text, query))
    yield table("metric", "type", "labels", "process", "meaning", "query", rows=rows)
    names = sorted({label for row in Metrics().table for label in row.labels})
    described = [(f"`{name}`", meanings.take("metric_labels", name)) for name in names]
    yield table("label", "meaning", rows=described)


def shown_by(process: Process) -> set[str]:
    """Names of the metrics that a process shows."""
    families = [*Metrics(process).registry.collect()]
    return {f.name + ("_total" if f.type == "counter" else "") for f in families}


def query_of(row: Row, meanings: Meanings) -> str:
    """A query of a metric: by its type, unless another is given."""
    own = meanings.get("metric_queries", row.name)
    by = f" by ({', '.join(row.labels)}) " if row.labels else ""
    of_kind = {
        "counter": f"sum{by}(rate({row.name}[5m]))",
        "gauge": f"max{by}({row.name})",
        "histogram": "histogram_quantile(0.99, sum by "
        f"({', '.join([*row.labels, 'le'])}) (rate({row.name}_bucket[5m])))",
    }
    return own or of_kind[row.kind]


def page() -> str:
    """The page, of the meanings as they are now."""
    return data_page(Meanings(MEANINGS.read_text("utf-8")))


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it; return the exit code."""
    try:
        text = page()
    except LookupError as missing:
        sys.stderr.write(f"docs/data/{missing}\n")
        return 1
    if arguments != ["--check"]:
        PAGE.write_text(text, "utf-8")
    elif PAGE.read_text("utf-8") != text:
        sys.stderr.write("docs/data.md: not current; run 'make docs'\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
