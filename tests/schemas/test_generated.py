"""The generated documents are current, complete and hold together."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.generate import CHANNELS, DOCS, documents, main, outdated, schema
from schemas.topics import TOPICS


def test_the_documents_are_current() -> None:
    assert outdated(DOCS) == [], "run 'make docs'"


def test_writing_makes_them_current_and_the_check_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], tmp_path) == 1
    assert "docs/asyncapi.json: not current" in capsys.readouterr().err
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "schemas" / "Event.json").write_text("{}")
    (tmp_path / "schemas" / "Gone.json").write_text("{}")
    assert outdated(tmp_path) == ["schemas/Event.json", "schemas/Gone.json"]
    assert main([], tmp_path) == 0
    assert outdated(tmp_path) == []


def test_another_argument_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chek"]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_topic_is_described() -> None:
    described = json.loads(documents()["asyncapi.json"])
    assert list(described["channels"]) == [topic.name for topic in TOPICS] == list(CHANNELS)
    assert described["asyncapi"] == "3.0.0"
    assert described["channels"]["orders.changes"]["bindings"]["kafka"]["topicConfiguration"] == {
        "cleanup.policy": ["compact"]
    }


def references(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from references(part)


def test_every_reference_leads_somewhere() -> None:
    written = {path: json.loads(text) for path, text in documents().items()}
    followed = 0
    for path, document in written.items():
        for reference in references(document):
            file, _, pointer = reference.partition("#/")
            place = written[file or path]
            for step in filter(None, pointer.split("/")):
                place = place[step]
            followed += 1
    assert followed > 20


def test_what_an_event_needs_is_in_its_schema() -> None:
    event = schema(next(channel.noun for channel in CHANNELS.values() if channel.noun))
    assert event["$defs"]["Event"]["required"] == [
        *("event_id", "status_code", "timestamp", "source"),
    ]
