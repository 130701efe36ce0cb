"""Structured logs over stdlib logging: a JSON object a line, or readable text on a terminal.

    log = logging.getLogger(__name__)
    log.warning("broker gone for %d s", 12, extra={"partition": 3})

    {"at":"2026-11-20T08:00:00.000Z","level":"warning","logger":"broker.end_offsets",
     "message":"broker gone for 12 s","partition":3}

Personal data never gets into a log: only numbers, texts, dates, paths and errors are written out,
in the message and in the fields alike. Anything else (an event, its bytes, a dict) could hold it
and is named by its type; a field called `personal` is hidden, whatever it is.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from textwrap import indent
from types import TracebackType
from typing import Any, TextIO

import msgspec

from schemas.display import printable, printable_json, printable_lines
from schemas.errors import SettingsError
from schemas.instants import format_instant
from schemas.os_faults import causes
from schemas.settings.secrets import masked_text

LOGGER = logging.getLogger("ordertide")

LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items() if level}
LEVEL_NAMES = ("debug", "info", "warning", "error", "critical")
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
HIDDEN = {"personal"}
# Our own packages: all other loggers are those of libraries and plug-ins.
OWN = (
    *("broker", "commands", "dataflows", "deploy", "examples", "gateway", "loadgen", "ordertide"),
    *("privacy", "schemas", "sinks", "storage_tiering", "telemetry"),
)
PLAIN = (int, float, type(None), date, PurePath)
LISTS = (list, tuple, set, frozenset)


def configure(
    level: str = "info", *, json: bool | None = None, stream: TextIO | None = None
) -> None:
    """Send this process's logs to `stream` (standard error), from `level` on.

    Loggers of libraries are logged from WARNING on, whatever the level. `json` None means JSON
    unless the stream is a terminal. A second call replaces the first.

    Raises:
        SettingsError: there is no such level.
    """
    if level.lower() not in LEVELS:
        raise SettingsError(f"log level: {level!r} is none; choose one of {', '.join(LEVEL_NAMES)}")
    stream = stream or sys.stderr
    as_json = not stream.isatty() if json is None else json
    handler = OwnHandler(stream)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    for former in [each for each in root.handlers if isinstance(each, OwnHandler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    own_level = LEVELS[level.lower()]
    root.setLevel(max(own_level, logging.WARNING))
    for name in OWN:
        logging.getLogger(name).setLevel(own_level)
    logging.captureWarnings(capture=True)
    threading.excepthook = log_thread_failure


def log_thread_failure(failed: threading.ExceptHookArgs) -> None:
    """Log an exception that ends a thread: a line among the others instead of a bare trace."""
    name = failed.thread.name if failed.thread else "?"
    if failed.exc_value is None or isinstance(failed.exc_value, SystemExit):
        return
    LOGGER.critical(
        "thread %s: ended by %s; a fault of ours, please report it",
        name,
        type(failed.exc_value).__name__,
        exc_info=failed.exc_value,
    )


class OwnHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure` adds, and takes away again."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": format_instant(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked_text(message_of(record)),
        }
        line |= {name: value for name, value in fields_of(record).items() if name not in line}
        if record.exc_info:
            line["error"], line["stack"] = fault_of(record.exc_info)
        return printable_json(msgspec.json.encode(line, enc_hook=str)).decode()


def fault_of(info: ExcInfo) -> tuple[str, str]:
    """(an exception with its causes, the frames from the outermost on): each on one line."""
    fault = info[1]
    if fault is None:
        return "", ""
    texts = [" ".join(f"{type(each).__name__}: {each}".split()) for each in causes(fault)]
    frames = [
        f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}"
        for each in reversed([*causes(fault)])
        for frame in traceback.extract_tb(each.__traceback__)
    ]
    return masked_text(", from ".join(texts)), " > ".join(frames)


class TextFormatter(logging.Formatter):
    """A record as text: time (UTC), level, logger, message, fields; then the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        time = format_instant(int(record.created * 1000))[11:-1]
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        text = printable(masked_text(f"{record.name}: {message_of(record)}{fields}"))
        line = f"{time} {record.levelname:<8} {text}"
        if not record.exc_info:
            return line
        # Indented, so that no line of an exception's text passes for a record.
        trace = printable_lines(masked_text(self.formatException(record.exc_info)))
        return f"{line}\n{indent(trace, '  ')}"


def message_of(record: logging.LogRecord) -> str:
    """The message with its arguments, as far as they may be shown."""
    message = str(shown(record.msg))
    if not record.args:
        return message
    try:
        return message % shown_args(record.args)
    except (TypeError, ValueError, KeyError):
        # Left to logging, this would print the arguments as they are.
        return f"{message} (and arguments that don't fit)"


def shown_args(args: Any) -> object:  # noqa: ANN401 - a tuple or a mapping, as logging has it
    """The arguments of a message, as far as they may be shown."""
    if isinstance(args, Mapping):
        return {name: shown(value, name) for name, value in args.items()}
    return tuple(shown(value) for value in args)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Fields of a record from `extra`, masked where needed."""
    extra = {name: value for name, value in vars(record).items() if name not in STANDARD}
    return {name: shown(value, name) for name, value in extra.items()}


def shown(value: object, name: str = "") -> object:
    """The value if it can't hold personal data, else what it is."""
    if name in HIDDEN:
        return "<hidden>"
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()  # lone surrogates
        return masked_text(text)
    if isinstance(value, BaseException):
        # The repr of some holds the bytes at fault.
        return masked_text(f"{type(value).__name__}: {value}")
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, LISTS):
        return [shown(each) for each in value]
    return kind_of(value)


def kind_of(value: object) -> str:
    """Placeholder for a value that isn't shown."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return f"<{type(value).__name__}>"
