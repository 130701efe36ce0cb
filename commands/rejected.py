"""`ordertide rejected`: what could not be taken, why, and trying it again after a fix."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import click

from broker.consume import Headers, Message, read_all
from broker.errors import TopicMissing
from broker.produce import Producer
from commands.wiring.broker import connection_of, prepared
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from privacy.keys import FileKeyStore, KeyErased
from privacy.originals import SEALED_WHOLE, open_rejected
from schemas import topics
from schemas.display import printable
from schemas.errors import SettingsError
from schemas.settings.model import Settings, read_settings
from telemetry.screen import Column, show, show_table

SAMPLE_BYTES = 120
COLUMNS = [Column("count", is_number=True, min_width=8), Column("code")]
WITHOUT_CODE = "unknown"

WRITTEN = f"written to {topics.EVENTS}"
LEFT_ALONE = f"left alone: too large, or not from {topics.EVENTS}"
ERASED = "left alone: sealed, and the customer's key has been erased"


@click.group("rejected", cls=Group)
def command() -> None:
    """List events.rejected, and replay its originals."""


@command.command("list")
@settings_option()
@click.option("--samples", type=click.IntRange(0), default=1, show_default=True, help="a code")
def list_rejected(path: Path | None, samples: int) -> None:
    """Count by code, with a reason and an original of each.

    \b
    ordertide rejected list --samples 3
    """
    counts = Counter[str]()
    for message in letters(read_settings(path)):
        code = header(message, topics.HEADER_CODE) or WITHOUT_CODE
        counts[code] += 1
        if counts[code] <= samples:
            show(sample(code, message))
    if counts:
        show_table(COLUMNS, [(f"{count:,}", code) for code, count in counts.most_common()])
    else:
        show(f"{topics.EVENTS_REJECTED}: nothing")


@command.command("replay")
@settings_option()
@click.option("--code", help="only what was rejected with this code")
def replay_rejected(path: Path | None, code: str | None) -> None:
    """Write the originals back to `events`; what is still wrong is rejected again.

    With the headers that they came with, so that binary CloudEvents are whole. An original that was
    sealed whole is opened with the keys of this host; what is sealed in place stays sealed. Not
    those over 700 kB (their place is in the headers), nor what a tier's writer put there. Running
    it twice does no harm: events are known by source and event_id.

    \b
    ordertide rejected replay --code unknown_status
    """
    settings = read_settings(path)
    counts = Counter[str]()
    originals = Originals(Path(settings.privacy.keys))
    with Producer(prepared(settings.broker)) as producer:
        for message in letters(settings):
            if code is not None and header(message, topics.HEADER_CODE) != code:
                continue
            if not is_original(message):
                counts[LEFT_ALONE] += 1
                continue
            try:
                value = originals.opened(message)
            except KeyErased:
                counts[ERASED] += 1
                continue
            producer.send(topics.EVENTS, message.key, value, original_headers(message))
            counts[WRITTEN] += 1
    show(f"{counts[WRITTEN]} {WRITTEN}")
    for outcome in (LEFT_ALONE, ERASED):
        if counts[outcome]:
            show(f"{counts[outcome]} {outcome}")


class Originals:
    """Opens what was sealed whole; the key file is read when the first such original comes."""

    def __init__(self, path: Path) -> None:
        """Open the key file `path`."""
        self.path = path

    @cached_property
    def keystore(self) -> FileKeyStore:
        """The keys of this host.

        Raises:
            SettingsError: there are none here: a new key file would open nothing.
        """
        if not self.path.exists():
            message = (
                f"{self.path}: no such file, and an original in {topics.EVENTS_REJECTED} is "
                "sealed; run this on the host that has the keys, or set privacy.keys"
            )
            raise SettingsError(message)
        return FileKeyStore(self.path)

    def opened(self, message: Message) -> bytes:
        """The value of an original.

        Raises:
            KeyErased: it was sealed, and its key is gone.
        """
        value = message.value or b""
        if not value.startswith(SEALED_WHOLE):
            return value
        return open_rejected(value, self.keystore, message.headers)


def original_headers(message: Message) -> Headers:
    """The headers that the original came with."""
    return [(name, value) for name, value in message.headers if name not in topics.LETTER_HEADERS]


def letters(settings: Settings) -> Iterator[Message]:
    """Every message of events.rejected as it is now; none where there is no such topic yet."""
    try:
        yield from read_all(connection_of(settings.broker), topics.EVENTS_REJECTED)
    except TopicMissing:
        return


def is_original(message: Message) -> bool:
    """Return True if the message holds an original that was sent to `events`."""
    from_events = header(message, topics.HEADER_TOPIC) == topics.EVENTS
    has_content = bool(message.value or original_headers(message))
    return from_events and has_content and not header(message, topics.HEADER_SHA256)


def sample(code: str, message: Message) -> str:
    """Code, reason, where it came from, and the beginning of the original."""
    names = (topics.HEADER_TOPIC, topics.HEADER_PARTITION, topics.HEADER_OFFSET)
    topic, partition, offset = (printable(header(message, name)) for name in names)
    value = message.value or b""
    start = value[:SAMPLE_BYTES].decode("utf-8", "backslashreplace")
    more = "…" if len(value) > SAMPLE_BYTES else ""
    return (
        f"{printable(code)}: {printable(header(message, topics.HEADER_REASON))}\n"
        f"    {topic} [{partition}] {offset}: {printable(start)}{more}"
    )


def header(message: Message, name: str) -> str:
    """The text of a header; empty where there is none."""
    for key, value in message.headers:
        if key == name and value is not None:
            return value.decode("utf-8", "replace")
    return ""
