"""The same core over files: recorded events in, the same orders, alerts and actions out.

Events are sorted by (arrival, source, event_id), resolved in that order, and judged shard by shard,
in this process or in several. What comes out depends on the set of events alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dataflows.core.fact import decode_facts
from dataflows.core.intake import Origin
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.questions import Answers, decode_questions
from dataflows.core.resolve import resolver_of
from dataflows.decoding import Decoder, recorded_at
from dataflows.replay.event_files import Line, read_events
from dataflows.replay.external_sort import Record, Sorter
from schemas.errors import Rejected
from schemas.event import Tick, field_of, too_large
from schemas.instants import DAY_MS

BATCH, BATCH_BYTES = 5_000, 16 * 1024 * 1024  # a batch is held several times over
# A clock that stood at the end of such a gap would let every deadline pass for one odd time.
LONE_AFTER_MS = 366 * DAY_MS


def is_same(one: Record, other: Record) -> bool:
    """Return True if two records are of one event, or ticks of one time."""
    return one[:3] == other[:3]


class Counts:
    """Counts of the messages read, by outcome; `waiting` counts those pending at the end."""

    def __init__(self) -> None:
        """Create counts at zero."""
        self.read = 0
        self.ticks = 0
        self.rejected = 0
        self.waiting = 0
        self.duplicates = 0
        self.after_until = 0
        self.first_at: int | None = None
        self.last_at: int | None = None
        self.fields_dropped: Counter[str] = Counter()
        self.unknown_codes: Counter[tuple[str, str]] = Counter()  # (source, code)

    def dropped(self, names: list[str]) -> None:
        """Count fields that were left out of an event that was taken."""
        self.fields_dropped.update(map(field_of, names))

    def unknown_code(self, source: str, code: str) -> None:
        """Count a code that the lifecycle doesn't have."""
        self.unknown_codes[source, code] += 1

    def saw(self, at: int) -> None:
        """An event of this time is in the recording."""
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)


class Bad(NamedTuple):
    """A record that can't be taken: why, its bytes, and where it lies.

    Of one that was too long to be read as a whole, `sha256` and `size_bytes` in place of the bytes.
    """

    reason: Rejected
    data: bytes
    file: str
    number: int
    sha256: str = ""
    size_bytes: int = 0


def sort_files(
    paths: Iterable[str],
    sorter: Sorter,
    counts: Counts,
    bad: Callable[[Bad], None],
    decoder: Decoder,
) -> None:
    """Read files into `sorter`; what is no event goes to `bad`."""
    for path in paths:
        for line in read_events(path):
            counts.read += 1
            if line.sha256:
                bad(too_long(line))
                continue
            try:
                event, data = decoder.read(line.data, [])
                arrival_at = recorded_at(event)
            except Rejected as reason:
                bad(Bad(reason, line.data, line.file, line.number))
                continue
            if isinstance(event, Tick):
                sorter.add(Record(arrival_at, "", "", data, line.file, line.number))
                continue
            source, event_id = event.source, event.event_id
            sorter.add(Record(arrival_at, source, event_id, data, line.file, line.number))


def too_long(line: Line) -> Bad:
    """The rejection of a line of which only hash and size are known."""
    reason = too_large(line.size_bytes)
    return Bad(reason, b"", line.file, line.number, line.sha256, line.size_bytes)


class Resolved(NamedTuple):
    """A step of the replay: facts and how far the clock has come with them."""

    answers: Answers
    watermark: int


class Recording:
    """A sorted recording on its way to the shards."""

    def __init__(
        self,
        table: Lifecycle,
        counts: Counts,
        until: int | None,
        bad: Callable[[Bad], None],
        decoder: Decoder,
    ) -> None:
        """Create the recording; `until` in ms, None for the last arrival."""
        self.decoder = decoder
        self.counts = counts
        self.until = until
        self.bad = bad
        self.resolver = resolver_of(table.numbers)
        self.places: list[str] = []
        self.place_of: dict[str, int] = {}

    def steps(self, records: Iterator[Record]) -> Iterator[Resolved]:
        """The facts in order, in batches; the clock behind each batch and at `until` at last."""
        last_at = 0
        if self.until is None:
            records = self.without_a_lone_end(records)
        while batch := self.batch(records):
            answers = Answers()
            self.take_all(batch, answers)
            last_at = batch[-1].arrival_at
            watermark = last_at - 1  # more of that ms may follow, also behind a tick
            self.resolver.advance(watermark, answers)
            yield self.settled(answers, watermark)
        answers = Answers()
        end = self.until if self.until is not None else last_at
        self.resolver.advance(end, answers)
        yield self.settled(answers, end)
        self.counts.waiting += self.resolver.waiting_count

    def settled(self, answers: Answers, watermark: int) -> Resolved:
        """A step, what the resolver gave up counted."""
        self.counts.duplicates += answers.duplicates
        for given_up in answers.rejected:
            fact = given_up.fact
            self.bad(Bad(given_up.reason, fact.raw, self.places[fact.partition], fact.offset))
        return Resolved(answers, watermark)

    def without_a_lone_end(self, records: Iterator[Record]) -> Iterator[Record]:
        """All but one event or tick over a year after all others, which counts as after the end.

        It is an odd time more often than not, and nothing confirms it; with `until` it is judged.
        """
        lone: list[Record] = []
        last_at: int | None = None
        for record in records:
            if lone and not is_same(record, lone[0]):
                yield from lone
                lone = []
            is_far = last_at is not None and record.arrival_at - last_at > LONE_AFTER_MS
            if lone or is_far:
                lone.append(record)
            else:
                yield record
            last_at = record.arrival_at
        self.counts.after_until += len(lone)
        self.counts.read -= len(lone)

    def batch(self, records: Iterator[Record]) -> list[Record]:
        """The next records; those after `until` are counted and left out."""
        taken: list[Record] = []
        size_bytes = 0
        for record in records:
            if self.until is not None and record.arrival_at > self.until:
                self.counts.after_until += 1
                self.counts.read -= 1
                continue
            taken.append(record)
            size_bytes += len(record.data)
            if len(taken) >= BATCH or size_bytes >= BATCH_BYTES:
                break
        return taken

    def take_all(self, batch: list[Record], answers: Answers) -> None:
        """Make facts of records, registering and resolving their numbers; ticks are counted."""
        by_file: dict[str, list[Record]] = {}
        for record in batch:
            if record.is_tick:
                self.counts.ticks += 1
            else:
                by_file.setdefault(record.file, []).append(record)
        for file, records in by_file.items():
            self.take_file(file, records, answers)

    def take_file(self, file: str, records: list[Record], answers: Answers) -> None:
        """Make facts of records of one file."""
        read = self.decoder.read_plain((record.data, []) for record in records)
        is_plain = [at is not None for at in read.recorded_at]
        arrivals = [
            record.arrival_at if plain else None
            for record, plain in zip(records, is_plain, strict=True)
        ]
        numbers = [record.number for record in records]
        made, registrations, questions, left = read.take(file, self.place(file), numbers, arrivals)
        facts = [fact for _, listed in made for fact in decode_facts(listed.packed())]
        asked = decode_questions(questions)
        answers.facts += facts
        self.resolver.offer([], asked)
        for _, registered in registrations:
            self.resolver.offer_made(registered)
        for fact in (*facts, *(question.fact for question in asked)):
            self.counts.saw(fact.at)
        others = {index for index, plain in enumerate(is_plain) if not plain}.union(left)
        for index in sorted(others):
            self.take(records[index], answers)

    def take(self, record: Record, answers: Answers) -> None:
        """Make facts of a record that isn't plain."""
        try:
            event = self.decoder.read_again(record.data)
            if isinstance(event, Tick):
                return
            place = Origin(record.file, self.place(record.file), record.number)
            decoded = self.decoder.decode(event, record.data, record.arrival_at, place)
        except Rejected as reason:
            self.bad(Bad(reason, record.data, record.file, record.number))
            return
        self.counts.saw(event.at)
        if event.dropped_fields:
            self.counts.dropped(event.dropped_fields)
        if self.decoder.intake.is_unknown(event):
            self.counts.unknown_code(event.source, event.status_code)
        if decoded.fact is not None:
            answers.facts.append(decoded.fact)
        questions = [] if decoded.question is None else [decoded.question]
        self.resolver.offer(decoded.registrations, questions)

    def place(self, file: str) -> int:
        """A number for a file, so that facts needn't carry its name twice."""
        number = self.place_of.setdefault(file, len(self.places))
        if number == len(self.places):
            self.places.append(file)
        return number
