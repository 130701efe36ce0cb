"""The generated documents: `python -m schemas.generate [--check]`.

`docs/schemas/<noun>.json` holds the JSON Schema (2020-12) of each noun on the wire, and
`docs/asyncapi.json` the topics as AsyncAPI 3.0 (https://www.asyncapi.com/docs/reference). Both come
from the nouns themselves, and `docs/settings.md` from the settings; a test holds them current.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas import topics
from schemas.alert import Action, AlertTransition, AuditEntry
from schemas.event import Event
from schemas.order import AcceptedEvent, OrderDocument
from schemas.settings.page import settings_page

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOUNS = (Event, OrderDocument, AcceptedEvent, AlertTransition, Action, AuditEntry)
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, Any]


class Channel(NamedTuple):
    """Channel of the AsyncAPI document; `noun` is None where the value is bytes as they came."""

    noun: type | None
    action: str
    key: str
    summary: str
    headers: dict[str, str]


CLOCK = {topics.HEADER_CLOCK: "the shard's stream clock, ms since 1970"}
ORIGIN = {
    topics.HEADER_CODE: "why it was rejected, as a stable code",
    topics.HEADER_REASON: "why it was rejected, for people",
    topics.HEADER_TOPIC: "the topic it came from",
    topics.HEADER_PARTITION: "its partition there",
    topics.HEADER_OFFSET: "its offset there",
    topics.HEADER_SHA256: "SHA-256 of an original left out: over 700 kB, or not to be sealed",
    topics.HEADER_SIZE: "of such an original: its size in bytes",
}
CHANNELS = {
    topics.EVENTS: Channel(Event, "receive", "order id or waybill", "What came in", {}),
    topics.ORDERS_EVENTS: Channel(
        AcceptedEvent,
        "send",
        "order key",
        "Each accepted event, once per order",
        {topics.HEADER_CLOCK: "on some messages: the shard's stream clock, ms since 1970"},
    ),
    topics.ORDERS_CHANGES: Channel(
        OrderDocument,
        "send",
        "order key",
        "The order after its latest change; no value is the tombstone of a retired order",
        {**CLOCK, topics.HEADER_VERSION: "of a tombstone: the order's version, else in its value"},
    ),
    topics.ORDERS_ACTIONS: Channel(Action, "send", "order key", "Things to do", CLOCK),
    topics.ORDERS_AUDIT: Channel(
        AuditEntry,
        "send",
        "order key",
        "Commands, verdicts, alerts, actions, rule changes, access to personal data",
        CLOCK,
    ),
    topics.EVENTS_REJECTED: Channel(
        None,
        "send",
        "as it came",
        "Messages that can't be taken: bytes and headers as they came",
        ORIGIN,
    ),
}


def generated() -> dict[str, str]:
    """{path under docs/: text} of everything that is generated."""
    return {**documents(), "settings.md": settings_page()}


def documents() -> dict[str, str]:
    """{path under docs/: text} of every generated JSON document."""
    found = {f"schemas/{noun.__name__}.json": text_of(schema(noun)) for noun in NOUNS}
    found["asyncapi.json"] = text_of(asyncapi())
    return found


def text_of(document: Json) -> str:
    """A document as it is written."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def schema(noun: type) -> Json:
    """The JSON Schema of a noun."""
    return {"$schema": DIALECT, **msgspec.json.schema(noun)}


def asyncapi() -> Json:
    """The topics as an AsyncAPI document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ordertide",
            "version": "1",
            "description": "Events of orders and parcels in; their state, alerts and actions out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: channel(topic) for topic in topics.TOPICS},
        "operations": {
            f"{CHANNELS[topic.name].action}.{topic.name}": operation(topic)
            for topic in topics.TOPICS
        },
        "components": {"messages": {topic.name: message(topic) for topic in topics.TOPICS}},
    }


def channel(topic: topics.TopicSettings) -> Json:
    """A topic and the one message it carries."""
    return {
        "address": topic.name,
        "summary": CHANNELS[topic.name].summary,
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {"cleanup.policy": [topic.cleanup_policy]},
                "bindingVersion": "0.5.0",
            }
        },
        "x-message-timestamp-type": topic.timestamp_type,
    }


def operation(topic: topics.TopicSettings) -> Json:
    """Build the AsyncAPI operation of a topic: send or receive."""
    found = {
        "action": CHANNELS[topic.name].action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.name}"}],
    }
    # ordertide sends in transactions: a consumer must not read one that was aborted.
    is_sent = CHANNELS[topic.name].action == "send"
    return {**found, "x-consumer-isolation-level": "read_committed"} if is_sent else found


def message(topic: topics.TopicSettings) -> Json:
    """The message of a topic: key, headers, value."""
    entry = CHANNELS[topic.name]
    found: Json = {
        "name": entry.noun.__name__ if entry.noun else "original",
        "summary": entry.summary,
        "bindings": {"kafka": {"key": {"type": "string", "description": entry.key}}},
    }
    if entry.headers:
        described = {
            n: {"type": "string", "description": text} for n, text in entry.headers.items()
        }
        found["headers"] = {"type": "object", "properties": described}
    if entry.noun is None:
        return {**found, "contentType": "application/octet-stream"}
    return {**found, "payload": {"$ref": f"schemas/{entry.noun.__name__}.json"}}


def outdated(folder: Path) -> list[str]:
    """The documents in `folder` that are missing, not current, or of a noun that has gone."""
    expected = generated()
    found = [path for path, text in expected.items() if read(folder / path) != text]
    there = {f"schemas/{path.name}" for path in (folder / "schemas").glob("*.json")}
    return sorted([*found, *(there - expected.keys())])


def read(path: Path) -> str | None:
    """The text of a file; None if there is none."""
    return path.read_text("utf-8") if path.exists() else None


def write(folder: Path) -> None:
    """Write all documents into `folder`, and remove schemas of nouns that have gone."""
    for path in outdated(folder):
        (folder / path).unlink(missing_ok=True)
    for path, text in generated().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")


def main(arguments: list[str], folder: Path = DOCS) -> int:
    """Write the documents, or with `--check` list the outdated ones; return the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m schemas.generate [--check]\n")
        return 2
    if not arguments:
        write(folder)
        return 0
    found = outdated(folder)
    for path in found:
        sys.stderr.write(f"docs/{path}: not current; run 'python -m schemas.generate'\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
