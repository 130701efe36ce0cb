"""`ordertide rejected`: what could not be taken, why, and trying it again after a fix."""

from collections import Counter
from pathlib import Path

import click

from broker.consume import Message
from broker.produce import Producer
from commands.wiring.broker import connection_of, prepared
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from gateway.dead_letters import (
    Letters,
    Originals,
    code_of,
    header,
    is_original,
    original_headers,
)
from privacy.keys import KeyErased
from schemas import topics
from schemas.display import printable
from schemas.settings.model import read_settings
from telemetry.screen import Column, show, show_table

SAMPLE_BYTES = 120
COLUMNS = [Column("count", is_number=True, min_width=8), Column("code")]

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
    for message in Letters(connection_of(read_settings(path).broker)).read():
        code = code_of(message)
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
        for message in Letters(connection_of(settings.broker)).read():
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
