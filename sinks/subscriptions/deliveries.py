"""Deliveries: a durable row for each event of each subscription, in one SQLite file.

    waiting ─► sending ─┬─► done
       ▲                ├─► failed ─► sending …   (an attempt failed; the next is due later)
       └── restart ─────┴─► dead                  (failed for three days, or 410; `replay`)
    queued ─► waiting                             (an earlier event of its order has ended)

The rows of a batch, the position after it and what was seen of its orders are one transaction: an
event is neither lost nor made twice. Of an order a subscription has one row that isn't queued, so
a receiver gets its events in sequence. An event's body is kept once for all its subscriptions.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, get_args
from urllib.parse import quote

import msgspec

from schemas.sqlite_files import answers, open_file, transaction
from sinks.subscriptions.events import Seen

DeliveryState = Literal["waiting", "queued", "sending", "failed", "done", "dead"]
STATES: tuple[DeliveryState, ...] = get_args(DeliveryState)
UNFINISHED: tuple[DeliveryState, ...] = ("waiting", "queued", "sending", "failed")
REMEDY = "move the file away: deliveries that wait are lost, and the next start makes another"
FILE = "deliveries.sqlite"

SCHEMA = """
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,       -- webhook-id, the same on every attempt
    webhook TEXT NOT NULL,
    order_key TEXT NOT NULL,
    event INTEGER NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,       -- wall clock, ms, like all instants here
    first_at INTEGER,              -- first attempt, or the first since a replay
    came_at INTEGER NOT NULL,      -- its change was appended
    ended_at INTEGER,
    sent_at INTEGER,               -- of the last attempt, like all that follows
    took_ms INTEGER,
    status INTEGER,
    headers TEXT NOT NULL DEFAULT '{}',
    answer TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS due ON delivery (webhook, due_at) WHERE state IN ('waiting', 'failed');
CREATE INDEX IF NOT EXISTS unfinished ON delivery (webhook, order_key, seq)
    WHERE state IN ('waiting', 'queued', 'sending', 'failed');
CREATE INDEX IF NOT EXISTS counted ON delivery (webhook, state)
    WHERE state IN ('waiting', 'queued', 'sending', 'failed', 'dead');
CREATE INDEX IF NOT EXISTS listed ON delivery (webhook, seq);
CREATE INDEX IF NOT EXISTS bodies ON delivery (event);
CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (
    partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, quiet_until INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS request (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failing (webhook TEXT PRIMARY KEY, since_at INTEGER NOT NULL)
    WITHOUT ROWID;
PRAGMA user_version = 1;
"""
SEEN = msgspec.msgpack.Decoder(Seen)
HEADERS = msgspec.json.Decoder(dict[str, str])
COLUMNS = (
    "seq, delivery.id, webhook, order_key, type, state, attempts, due_at, first_at, came_at,"
    " ended_at, sent_at, took_ms, status, headers, answer, reason, body"
)
JOINED = "delivery JOIN event ON event.id = delivery.event"


class NewDelivery(NamedTuple):
    """A row to be inserted; `event` is the number of its body."""

    id: str
    webhook: str
    order_key: str
    event: int
    kind: str
    came_at: int


class Delivery(NamedTuple):
    """A row of the file; what was answered is that of the last attempt."""

    seq: int
    id: str
    webhook: str
    order_key: str
    kind: str
    state: DeliveryState
    attempts: int
    due_at: int
    first_at: int | None
    came_at: int
    ended_at: int | None
    sent_at: int | None
    took_ms: int | None
    status: int | None
    headers: str
    answer: str
    reason: str
    body: bytes


class Attempted(NamedTuple):
    """Result of an attempt, and the next state: when it is due again, or when it ended."""

    delivery: Delivery
    state: DeliveryState
    sent_at: int
    took_ms: int
    status: int | None = None
    headers: Mapping[str, str] = {}
    answer: str = ""
    reason: str = ""
    due_at: int = 0
    ended_at: int | None = None


class Deliveries:
    """The file at `path`, for one thread; other processes may read it.

    Raises:
        Busy: locked for long, or the disk is full or unavailable. StateError: the file is damaged.
    """

    def __init__(self, path: Path, *, is_reader: bool = False) -> None:
        """Open the file, which is created where it is missing; a reader waits for no writer."""
        self.path = path
        with self._answers():
            if is_reader:
                address = f"file:{quote(str(path))}?mode=ro"
                self._database = sqlite3.connect(address, uri=True, isolation_level=None)
            else:
                self._database = open_file(path, SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what the block writes durable at its end, as a whole."""
        with self._answers(), transaction(self._database):
            yield

    # ------------------------------------------------------------ in a transaction
    def seen(self, key: str) -> Seen | None:
        """An order as it was seen last; None for one that wasn't."""
        row = self._database.execute("SELECT value FROM seen WHERE key = ?", (key,)).fetchone()
        return SEEN.decode(row[0]) if row else None

    def see(self, key: str, seen: Seen | None) -> None:
        """Remember an order; None forgets it."""
        if seen is None:
            self._database.execute("DELETE FROM seen WHERE key = ?", (key,))
        else:
            value = msgspec.msgpack.encode(seen)
            self._database.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (key, value))

    def add_event(self, body: bytes) -> int:
        """Keep a body; its number."""
        number = self._database.execute("INSERT INTO event (body) VALUES (?)", (body,)).lastrowid
        assert number is not None
        return number

    def add(self, deliveries: Iterable[NewDelivery], now_at: int) -> int:
        """Insert deliveries that are new, behind earlier ones of their order; how many."""
        before = self._database.total_changes
        self._database.executemany(
            "INSERT OR IGNORE INTO delivery"
            " (id, webhook, order_key, event, type, state, due_at, came_at)"
            " SELECT ?1, ?2, ?3, ?4, ?5, CASE WHEN EXISTS (SELECT 1 FROM delivery"
            " WHERE webhook = ?2 AND order_key = ?3"
            " AND state IN ('waiting', 'queued', 'sending', 'failed'))"
            " THEN 'queued' ELSE 'waiting' END, ?7, ?6",
            ((*each, now_at) for each in deliveries),
        )
        return self._database.total_changes - before

    def move_to(self, positions: Mapping[int, int]) -> None:
        """Note up to which offset each partition was read."""
        self._database.executemany(
            "INSERT INTO position VALUES (?, ?, 0)"
            " ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset",
            positions.items(),
        )

    def be_quiet(self, until: Mapping[int, int]) -> None:
        """Read everything again, and make no event of what lies below these offsets."""
        self._database.execute("DELETE FROM position")
        self._database.executemany("INSERT INTO position VALUES (?, 0, ?)", until.items())

    def restart(self) -> int:
        """Turn what a killed process was sending to waiting again; the number of those."""
        return self._database.execute(
            "UPDATE delivery SET state = 'waiting' WHERE state = 'sending'"
        ).rowcount

    def take(self, webhook: str, now_at: int, limit: int) -> list[Delivery]:
        """Turn deliveries that are due to sending, the earliest first."""
        found = self._deliveries(
            "webhook = ? AND due_at <= ? AND state IN ('waiting', 'failed')"
            " ORDER BY due_at, seq LIMIT ?",
            (webhook, now_at, limit),
        )
        self._database.executemany(
            "UPDATE delivery SET state = 'sending', first_at = coalesce(first_at, ?) WHERE seq = ?",
            ((now_at, each.seq) for each in found),
        )
        return found

    def settle(self, results: Sequence[Attempted], now_at: int) -> None:
        """Store the results of attempts; an order's next event follows one that has ended."""
        self._database.executemany(
            "UPDATE delivery SET state = ?, attempts = attempts + 1, due_at = ?, ended_at = ?,"
            " sent_at = ?, took_ms = ?, status = ?, headers = ?, answer = ?, reason = ?"
            " WHERE seq = ? AND state = 'sending'",
            (
                (
                    *(each.state, each.due_at, each.ended_at, each.sent_at, each.took_ms),
                    *(each.status, msgspec.json.encode(each.headers).decode(), each.answer),
                    *(each.reason, each.delivery.seq),
                )
                for each in results
            ),
        )
        ended = {
            (each.delivery.webhook, each.delivery.order_key) for each in results if each.ended_at
        }
        self._promote(ended, now_at)

    def replay(self, webhook: str, delivery: str, now_at: int) -> int:
        """Send deliveries that have ended again: one, or all dead ones; the number of those."""
        meant = "id = ? AND state IN ('done', 'dead')" if delivery else "? = '' AND state = 'dead'"
        rows = self._rows(
            f"SELECT seq, order_key FROM delivery WHERE webhook = ? AND {meant} ORDER BY seq",  # noqa: S608 - texts of this file
            (webhook, delivery),
        )
        for seq, key in rows:
            self._database.execute(
                "UPDATE delivery SET state = CASE WHEN EXISTS (SELECT 1 FROM delivery"
                " WHERE webhook = ? AND order_key = ?"
                " AND state IN ('waiting', 'queued', 'sending', 'failed'))"
                " THEN 'queued' ELSE 'waiting' END,"
                " due_at = ?, first_at = NULL, ended_at = NULL WHERE seq = ?",
                (webhook, key, now_at, seq),
            )
        return len(rows)

    def drop(self, webhook: str, limit: int) -> None:
        """Delete deliveries of a subscription that has ended."""
        self._database.execute("DELETE FROM failing WHERE webhook = ?", (webhook,))
        self._database.execute(
            "DELETE FROM delivery WHERE seq IN"
            " (SELECT seq FROM delivery WHERE webhook = ? LIMIT ?)",
            (webhook, limit),
        )

    def forget(self, before_at: int, now_at: int, limit: int) -> set[str]:
        """Delete deliveries, and notes of requests, of long ago; the subscriptions of these."""
        rows = self._rows(
            "SELECT seq, webhook, order_key FROM (SELECT * FROM delivery ORDER BY seq LIMIT ?)"
            " WHERE came_at < ? AND state != 'sending'",
            (limit, before_at),
        )
        self._database.executemany(
            "DELETE FROM delivery WHERE seq = ?", ((seq,) for seq, _, _ in rows)
        )
        self._promote({(str(webhook), str(key)) for _, webhook, key in rows}, now_at)
        self._database.execute("DELETE FROM request WHERE at < ?", (before_at,))
        return {str(webhook) for _, webhook, _ in rows}

    def trim(self, webhook: str, most_done: int) -> None:
        """Delete the oldest deliveries of a subscription that has taken more than so many."""
        self._database.execute(
            "DELETE FROM delivery WHERE webhook = ?1 AND state = 'done' AND seq <= (SELECT seq"
            " FROM delivery WHERE webhook = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            (webhook, most_done),
        )

    def sweep(self, begin: int, limit: int) -> int:
        """Delete some of the bodies without deliveries; where the next sweep begins."""
        self._database.execute(
            "DELETE FROM event WHERE id >= ? AND id < ?"
            " AND NOT EXISTS (SELECT 1 FROM delivery WHERE event = event.id)",
            (begin, begin + limit),
        )
        (last,) = self._database.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
        return begin + limit if begin + limit <= last else 0

    def note_request(self, request: str, at: int) -> bool:
        """Note a request; False where it was noted before."""
        cursor = self._database.execute(
            "INSERT OR IGNORE INTO request VALUES (?, ?)", (request, at)
        )
        return bool(cursor.rowcount)

    def note_failing(self, webhook: str, since_at: int | None) -> None:
        """Note since when a receiver fails; None: it answers."""
        self._database.execute("DELETE FROM failing WHERE webhook = ?", (webhook,))
        if since_at is not None:
            self._database.execute("INSERT INTO failing VALUES (?, ?)", (webhook, since_at))

    def _promote(self, orders: Iterable[tuple[str, str]], now_at: int) -> None:
        """Let the next event of these (subscription, order) be sent, unless one is under way."""
        self._database.executemany(
            "UPDATE delivery SET state = 'waiting', due_at = ?1 WHERE seq = (SELECT min(seq)"
            " FROM delivery WHERE webhook = ?2 AND order_key = ?3 AND state = 'queued')"
            " AND NOT EXISTS (SELECT 1 FROM delivery WHERE webhook = ?2 AND order_key = ?3"
            " AND state IN ('waiting', 'sending', 'failed'))",
            ((now_at, webhook, key) for webhook, key in orders),
        )

    # ------------------------------------------------------------ reading
    def positions(self) -> dict[int, tuple[int, int]]:
        """{partition: (next offset, offset below which no event is made)}."""
        rows = self._rows("SELECT partition, next_offset, quiet_until FROM position", ())
        return {int(str(n)): (int(str(at)), int(str(until))) for n, at, until in rows}

    def next_due(self, webhook: str) -> int | None:
        """When the next delivery of a subscription is due; None where none waits."""
        query = (
            "SELECT min(due_at) FROM delivery WHERE webhook = ? AND state IN ('waiting', 'failed')"
        )
        ((at,),) = self._rows(query, (webhook,))
        return None if at is None else int(str(at))

    def failing(self) -> dict[str, int]:
        """Since when receivers fail, by subscription."""
        rows = self._rows("SELECT webhook, since_at FROM failing", ())
        return {str(webhook): int(str(at)) for webhook, at in rows}

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Number of deliveries by subscription and state, but for those that are done."""
        rows = self._rows(
            "SELECT webhook, state, count(*) FROM delivery"
            " WHERE state IN ('waiting', 'queued', 'sending', 'failed', 'dead')"
            " GROUP BY webhook, state",
            (),
        )
        return {(webhook, state): n for webhook, state, n in rows}  # type: ignore[misc]  # rows are objects

    def webhooks(self) -> set[str]:
        """The subscriptions that have deliveries."""
        return {
            str(webhook) for (webhook,) in self._rows("SELECT DISTINCT webhook FROM delivery", ())
        }

    def page(
        self, webhook: str, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """Deliveries of a subscription, the newest first, before a `seq`."""
        return self._deliveries(
            "webhook = ? AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR seq < ?3)"
            " ORDER BY seq DESC LIMIT ?4",
            (webhook, state, before, limit),
        )

    def one(self, webhook: str, delivery: str) -> Delivery | None:
        """A delivery of a subscription; None where it has no such one."""
        found = self._deliveries("webhook = ? AND delivery.id = ?", (webhook, delivery))
        return found[0] if found else None

    def _deliveries(self, where: str, parameters: Sequence[object]) -> list[Delivery]:
        # The conditions are texts of this file.
        rows = self._rows(f"SELECT {COLUMNS} FROM {JOINED} WHERE {where}", parameters)  # noqa: S608 - see above
        return [Delivery(*row) for row in rows]  # type: ignore[arg-type]  # rows are objects

    def _rows(self, query: str, parameters: Sequence[object]) -> list[tuple[object, ...]]:
        with self._answers():
            return self._database.execute(query, parameters).fetchall()

    def _answers(self) -> AbstractContextManager[None]:
        return answers(str(self.path), REMEDY)


@contextmanager
def reading(path: Path) -> Iterator[Deliveries | None]:
    """The deliveries for one look from another process; None where there are none on this host.

    Raises:
        Busy: locked for long, or the disk is unavailable. StateError: the file is damaged.
    """
    if not path.is_file():
        yield None
        return
    opened = Deliveries(path, is_reader=True)
    try:
        yield opened
    finally:
        opened.close()
