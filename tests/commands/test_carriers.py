"""`ordertide carriers`: payloads in files as a table, as NDJSON, and in the topic."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from commands.carriers import command
from dataflows.carriers.installed import open_carrier
from schemas import topics
from schemas.errors import SettingsError
from tests.support.carrier_samples import PAYLOADS

YUNDA = PAYLOADS / "kuaidi100" / "push_yunda_2017_words_only.json"
NULL_TEXT = PAYLOADS / "odd" / "kuaidi100_null_text.json"
FORM = PAYLOADS / "odd" / "sf_form_with_xml.txt"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


def written(folder: Path, *nodes: object) -> Path:
    path = folder / "push.json"
    path.write_text(json.dumps({"lastResult": {"nu": "N1", "com": "sto", "data": nodes}}))
    return path


def node(text: str, code: str | None = None) -> dict[str, object]:
    return {"time": "2024-03-01 10:00:00", "context": text, "statusCode": code}


def test_the_installed_plug_ins_are_listed() -> None:
    result = run("list")
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines()]
    assert names == ["jt", "kuaidi100", "rest", "sf"]


def test_a_payload_that_is_read_whole_is_shown_scan_by_scan() -> None:
    result = run("test", "kuaidi100", YUNDA)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == 10
    assert lines[0].split()[:2] == ["2017-08-07T04:44:56+00:00", "DELIVERED"]


def test_what_has_no_mapping_is_counted_and_ends_with_1(tmp_path: Path) -> None:
    path = written(tmp_path, node("某处"), node("某处"), node("x", "777"))
    result = run("test", "kuaidi100", path)
    assert result.exit_code == 1
    assert "unmapped:    2  某处\nunmapped:    1  777 x\n" in result.output
    mapped = run(
        "test", "kuaidi100", path, "--set", "statuses.777=LOST", "--set", "phrases.某处=SCAN"
    )
    assert (mapped.exit_code, "LOST" in mapped.output) == (0, True)


def test_an_odd_node_is_named_and_ends_with_1() -> None:
    result = run("test", "kuaidi100", NULL_TEXT)
    assert result.exit_code == 1
    assert "unreadable: lastResult.data[1]: context: " in result.output


def test_the_events_are_those_of_the_plug_in_one_a_line() -> None:
    result = run("events", "sf", FORM)
    assert result.exit_code == 0
    carrier = open_carrier("sf", {"token": "a-long-random-token"})
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines == carrier.events(FORM.read_bytes())


def test_a_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = written(tmp_path, node("a\x1b[31m\u202eb\nc"))
    for result in (run("test", "kuaidi100", path), run("events", "kuaidi100", path)):
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output


def test_the_events_go_into_the_topic(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        for topic in topics.TOPICS:
            broker.create(topic.name)
        settings = tmp_path / "ordertide.toml"
        settings.write_text(f'[broker]\nembedded = true\nbootstrap = "{broker.bootstrap}"\n')
        result = run("events", "kuaidi100", YUNDA, "--topic", "--settings", settings)
        assert result.exit_code == 0, result.output
        messages = list(read_all(broker.connection, topics.EVENTS))
    carrier = open_carrier("kuaidi100", {"salt": "s"})
    sent = [msgspec.json.decode(message.value or b"") for message in messages]
    assert sent == carrier.events(YUNDA.read_bytes())
    assert {message.key for message in messages} == {b"3805420000000"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("test", "nobody", YUNDA), "carrier nobody: no such plug-in"),
        (("test", "sf", YUNDA), "invalid_event: "),
        (("test", "sf", "missing.json"), "missing.json: No such file"),
        (("events", "sf", FORM, "--set", "zone"), "is no KEY=VALUE"),
        (("events", "sf", FORM, "--set", "zone=Nowhere"), "no zone 'Nowhere'"),
        (("events", "sf", FORM, "--set", "nope=1"), "nope"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[object, ...], reason: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, SettingsError)
    assert reason in str(error)
    assert "\n" not in str(error)
