"""Logs: one line a record, fields kept, and no personal data whatever is handed in."""

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest

from schemas.errors import SettingsError
from schemas.event import Event, decode_event
from telemetry.log import JsonFormatter, configure

DATA = (
    b'{"event_id": "1", "order_id": "o-1", "status_code": "PAID", "source": "shop",'
    b' "timestamp": "2018-01-31T02:30:00Z", "personal": {"name": "Ada Lovelace"}}'
)
log = logging.getLogger("ordertide.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _warnings_as_they_were() -> Iterator[None]:
    yield
    logging.captureWarnings(capture=False)


@pytest.fixture
def stream() -> io.StringIO:
    made = io.StringIO()
    configure("debug", stream=made)
    return made


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_of_json_with_its_fields(stream: io.StringIO) -> None:
    fields = {"partition": 3, "behind_s": 0.5, "tier": None, "partitions": [1, 2]}
    log.warning("broker gone\nfor %d s", 12, extra=fields)
    [line] = lines(stream)
    assert str(line.pop("at")).endswith("Z")
    message = "broker gone\nfor 12 s"
    assert line == {"level": "warning", "logger": "ordertide.test", "message": message, **fields}


def test_on_a_terminal_it_is_text() -> None:
    stream = Terminal()
    configure(stream=stream)
    log.info("epoch closed", extra={"orders": 17})
    assert stream.getvalue().endswith(" INFO     ordertide.test: epoch closed orders=17\n")
    assert not stream.getvalue().startswith("{")


def test_the_form_can_be_asked_for() -> None:
    text, as_json = io.StringIO(), Terminal()
    configure(json=False, stream=text)
    log.info("one")
    configure(json=True, stream=as_json)
    log.info("two")
    assert text.getvalue().endswith("one\n")
    assert json.loads(as_json.getvalue())["message"] == "two"


def commit() -> None:
    try:
        int("no such\nepoch")
    except ValueError as error:
        raise OSError("not written") from error


def test_an_error_comes_with_its_causes_and_frames_and_without_a_trace(
    stream: io.StringIO,
) -> None:
    try:
        commit()
    except OSError:
        log.exception("commit failed")
    [line] = lines(stream)
    assert line["level"] == "error"
    assert line["error"] == (
        "OSError: not written, from ValueError: invalid literal for int() with base 10: "
        r"'no such\nepoch'"
    )
    frames = str(line["stack"]).split(" > ")
    assert [frame.split()[1] for frame in frames] == [
        "commit",
        "test_an_error_comes_with_its_causes_and_frames_and_without_a_trace",
        "commit",
    ]
    assert all(frame.startswith("test_log.py:") for frame in frames)
    assert "Traceback" not in stream.getvalue()


def test_loggers_of_libraries_are_heard_from_warning_on(stream: io.StringIO) -> None:
    logging.getLogger("elastic_transport.transport").info("POST http://127.0.0.1:9200 [200]")
    logging.getLogger("elastic_transport.node_pool").warning("gone")
    logging.getLogger("storage_tiering.writer").debug("ours")
    assert [line["message"] for line in lines(stream)] == ["gone", "ours"]


def test_a_higher_level_holds_for_libraries_too() -> None:
    stream = io.StringIO()
    configure("error", stream=stream)
    logging.getLogger("elastic_transport.node_pool").warning("gone")
    assert not stream.getvalue()


def test_a_level_keeps_what_is_below_out() -> None:
    stream = io.StringIO()
    configure("WARNING", stream=stream)
    log.info("detail")
    log.warning("news")
    assert [line["message"] for line in lines(stream)] == ["news"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"log level: 'loud' is none; choose one of .*warning"):
        configure("loud")


def test_configuring_again_replaces_and_does_not_double(stream: io.StringIO) -> None:
    again = io.StringIO()
    configure(stream=again)
    log.info("once")
    assert stream.getvalue() == ""
    assert len(lines(again)) == 1


def test_warnings_come_as_records_too(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in str(lines(stream)[-1]["message"])


@pytest.mark.parametrize("as_json", [True, False])
def test_no_personal_data_gets_into_a_log(
    as_json: bool,  # noqa: FBT001 - both forms
) -> None:
    stream = io.StringIO()
    configure("debug", json=as_json, stream=stream)
    event = decode_event(DATA)
    assert isinstance(event, Event)
    logging.getLogger().debug(event)
    log.warning("rejected %s from %r", event, DATA)
    log.warning("rejected %(personal)s of %(event)s", {"personal": "Ada", "event": event.personal})
    log.warning("seen %s", [event, (DATA, event.personal)])
    log.warning(
        "fields",
        extra={
            "event": event, "data": bytearray(DATA), "fields": event.personal,
            "personal": "Ada Lovelace", "held": {"Ada"} and [event.personal],
        },
    )  # fmt: skip
    try:
        DATA[:-1].replace(b"Ada", b"\xff Ada").decode()
    except UnicodeDecodeError as error:
        log.warning("unreadable: %r", error)
    text = stream.getvalue()
    assert "Ada" not in text
    assert "Lovelace" not in text
    assert "<Event>" in text
    assert f"<{len(DATA)} bytes>" in text


def test_arguments_that_do_not_fit_are_left_out_and_not_printed() -> None:
    record = logging.makeLogRecord({"msg": "took %d events", "args": (decode_event(DATA),)})
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "took %d events (and arguments that don't fit)"


def test_nobody_writes_to_the_terminal_through_an_order_id() -> None:
    stream = Terminal()
    configure(stream=stream)
    log.info("order %s", "\x1b[2J\r\nforged: line", extra={"note": "\x9b1m\ud800"})
    assert stream.getvalue().count("\n") == 1
    assert not set("\x1b\x9b\r") & set(stream.getvalue())
    assert "\\x1b[2J\\x0d\\x0aforged: line note=\\x9b1m\\ud800" in stream.getvalue()


def test_an_exception_that_ends_a_thread_is_a_line_of_the_log(stream: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("broken")

    thread = threading.Thread(target=fail, name="worker-7")
    thread.start()
    thread.join()
    [line] = lines(stream)
    assert line["level"] == "critical"
    assert str(line["message"]).startswith("thread worker-7: ended by ValueError")
    assert "broken" in str(line)
