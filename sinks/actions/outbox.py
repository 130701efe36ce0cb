"""Outbox: a durable row for each action, in one SQLite file; its states are the worker's progress.

    waiting ─► sending ─┬─► done
       ▲                ├─► failed ─► sending …   (an attempt failed; the next is due later)
       └── restart ─────┼─► dead                  (refused, or failed for three days; `replay`)
                        ├─► skipped               (its alert has ended, or its kind has no receiver)
                        └─► expired

A row is inserted, once by its `action_id`, before the offsets of its message are committed. It is
`sending` from before the attempt until its result is stored: a process that was killed in between
sends it again, under the same idempotency key. An ended row waits until its outcome was published.
Actions that are sent in one request share the name of their batch from before the attempt on, for
as long as the same request is to be sent again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from schemas.instants import MINUTE_MS, format_instant
from schemas.sqlite_files import answers, open_file, transaction
from sinks.actions.people import Contact

End = Literal["done", "dead", "skipped", "expired"]
State = Literal["waiting", "sending", "failed", "done", "dead", "skipped", "expired"]
ENDS: tuple[End, ...] = ("done", "dead", "skipped", "expired")
Partition = tuple[str, int]
HELD_MS = MINUTE_MS
NO_RECEIVER = "none"  # is shown for the receiver of an action that has none
DATE = len("2026-11-30")
REMEDY = "move the file away, and the outbox is rebuilt from the outcomes on the topics"

SCHEMA = """
CREATE TABLE IF NOT EXISTS action (
    action_id TEXT PRIMARY KEY,
    receiver TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,       -- wall clock, ms, like accepted_at and came_at
    accepted_at INTEGER NOT NULL,  -- inserted, or replayed
    came_at INTEGER NOT NULL,      -- its message was appended
    expires_at INTEGER NOT NULL,   -- the orders' own clock, ms, like ended_at
    ended_at INTEGER,
    reason TEXT NOT NULL,
    value BLOB NOT NULL,           -- as on the topic; empty once an ended action is published
    is_published INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due ON action (receiver, due_at) WHERE state IN ('waiting', 'failed');
CREATE INDEX IF NOT EXISTS expiring ON action (expires_at) WHERE state IN ('waiting', 'failed');
CREATE INDEX IF NOT EXISTS unpublished ON action (ended_at) WHERE is_published = 0;
CREATE INDEX IF NOT EXISTS kept ON action (receiver, state)
    WHERE state IN ('waiting', 'sending', 'failed', 'dead');
CREATE INDEX IF NOT EXISTS ended ON action (accepted_at) WHERE is_published = 1;
CREATE TABLE IF NOT EXISTS position (
    topic TEXT, partition INTEGER, next_offset INTEGER, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS detail (  -- fields of the outcome beyond the row, of few actions
    action_id TEXT PRIMARY KEY, fields TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS forgotten AFTER DELETE ON action BEGIN
    DELETE FROM detail WHERE action_id = OLD.action_id; END;
CREATE TABLE IF NOT EXISTS batch (  -- of actions under way in one, or to be sent in it again
    action_id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batch_members ON batch (name);
CREATE TRIGGER IF NOT EXISTS unbatched AFTER DELETE ON action BEGIN
    DELETE FROM batch WHERE action_id = OLD.action_id; END;
CREATE TABLE IF NOT EXISTS contact (  -- messages to people by day
    day TEXT, person TEXT, action_id TEXT, PRIMARY KEY (day, person, action_id)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
COLUMNS = (
    "action_id, receiver, state, attempts, accepted_at, came_at, ended_at, reason, value,"
    " (SELECT fields FROM detail WHERE detail.action_id = action.action_id),"
    " (SELECT name FROM batch WHERE batch.action_id = action.action_id)"
)
DUE = "receiver = ? AND due_at <= ? AND state IN ('waiting', 'failed')"
DETAIL = msgspec.json.Decoder(dict[str, str])


def encode(fields: Mapping[str, str]) -> str:
    """Fields as they are stored."""
    return msgspec.json.encode(fields, order="sorted").decode()


class Arrival(NamedTuple):
    """A message of orders.actions as a new row; `end` and `reason` if it ends at once."""

    action_id: str
    receiver: str
    expires_at: int
    came_at: int
    value: bytes
    end: End | None = None
    reason: str = ""


class Task(NamedTuple):
    """A row of the outbox."""

    action_id: str
    receiver: str
    state: State
    attempts: int
    accepted_at: int
    came_at: int
    ended_at: int | None
    reason: str
    value: bytes
    fields: str | None = None
    batch: str | None = None

    @property
    def detail(self) -> dict[str, str]:
        """Fields of the outcome beyond the row, such as an amount."""
        return DETAIL.decode(self.fields) if self.fields else {}


class Result(NamedTuple):
    """Result of an attempt: the next state, when it is due again or when it ended, and why.

    `detail` are fields for the outcome, `contact` the message that a person was sent, `batch` the
    name of the batch in which it is sent again.
    """

    task: Task
    state: State
    attempts: int
    reason: str
    due_at: int = 0
    ended_at: int | None = None
    retry_after_s: float | None = None  # set where the receiver itself was busy
    detail: Mapping[str, str] = {}
    contact: Contact | None = None
    batch: str | None = None

    @property
    def was_sent(self) -> bool:
        """True of an action that was sent; a refusal that divided its batch is no attempt."""
        return self.attempts > self.task.attempts or self.state == "failed"


class Outbox:
    """The outbox at `path`, for one thread; other processes may list and replay dead actions.

    Raises:
        Busy: locked for long, or the disk is full or unavailable. StateError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, which is created where it is missing."""
        self.path = path
        with self._answers():
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
    def insert(self, arrivals: Iterable[Arrival], accepted_at: int, orders_at: int) -> int:
        """Insert the actions that are new; the number of those."""
        before = self._database.total_changes
        self._database.executemany(
            "INSERT OR IGNORE INTO action VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                (
                    *(each.action_id, each.receiver, each.end or "waiting"),
                    *(accepted_at, accepted_at, each.came_at, each.expires_at),
                    *(orders_at if each.end else None, each.reason, each.value),
                )
                for each in arrivals
            ),
        )
        return self._database.total_changes - before

    def remember(self, ended: Iterable[tuple[str, str]], accepted_at: int) -> None:
        """Insert actions whose outcomes were published before: (action_id, state)."""
        self._database.executemany(
            "INSERT INTO action VALUES (?, '', ?, 0, 0, ?, ?, 0, 0, '', x'', 1)"
            " ON CONFLICT (action_id) DO UPDATE SET state = excluded.state, ended_at = 0,"
            " is_published = 1"
            " WHERE action.ended_at IS NULL",
            ((action_id, state, accepted_at, accepted_at) for action_id, state in ended),
        )

    def move_to(self, positions: Mapping[Partition, int]) -> None:
        """Note up to which offset each partition was inserted."""
        self._database.executemany(
            "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
            ((topic, partition, at) for (topic, partition), at in positions.items()),
        )

    def restart(self) -> int:
        """Turn what a killed process was sending to waiting again; the number of those."""
        return self._database.execute(
            "UPDATE action SET state = 'waiting' WHERE state = 'sending'"
        ).rowcount

    def take(self, receiver: str, now_at: int, limit: int) -> list[Task]:
        """Turn a receiver's actions that are due to sending, the earliest first."""
        found = self._tasks(f"{DUE} ORDER BY due_at LIMIT ?", (receiver, now_at, limit))
        self.begin(found)
        return found

    def begin(self, tasks: Iterable[Task]) -> None:
        """Turn actions to sending, each in its batch."""
        tasks = [*tasks]
        self._database.executemany(
            "UPDATE action SET state = 'sending' WHERE action_id = ?",
            ((task.action_id,) for task in tasks),
        )
        self._name_batches((task.action_id, task.batch) for task in tasks if task.batch)

    def settle(self, results: Sequence[Result]) -> None:
        """Store the results of attempts, with their details and messages to people."""
        self._database.executemany(
            "UPDATE action SET state = ?, attempts = ?, reason = ?, due_at = ?, ended_at = ?"
            " WHERE action_id = ? AND state = 'sending'",
            (
                (
                    *(each.state, each.attempts, each.reason, each.due_at, each.ended_at),
                    each.task.action_id,
                )
                for each in results
            ),
        )
        self._database.executemany(
            "INSERT OR REPLACE INTO detail VALUES (?, ?)",
            (
                (each.task.action_id, encode({**each.task.detail, **each.detail}))
                for each in results
                if each.detail
            ),
        )
        self._database.executemany(
            "INSERT OR IGNORE INTO contact VALUES (?, ?, ?)",
            (
                (each.contact.day, each.contact.person, each.contact.action_id)
                for each in results
                if each.contact
            ),
        )
        self._name_batches((each.task.action_id, each.batch) for each in results if each.batch)
        self._database.executemany(
            "DELETE FROM batch WHERE action_id = ?",
            ((each.task.action_id,) for each in results if each.task.batch and not each.batch),
        )

    def expire(self, orders_at: int) -> int:
        """End what has expired while it waited; the number of those."""
        return self._database.execute(
            "UPDATE action SET state = 'expired', ended_at = ?,"
            " reason = CASE reason WHEN '' THEN 'not sent in time' ELSE reason END"
            " WHERE expires_at <= ? AND state IN ('waiting', 'failed')",
            (orders_at, orders_at),
        ).rowcount

    def published(self, tasks: Iterable[Task]) -> None:
        """Note that the outcomes of these are on the topics."""
        self._database.executemany(
            "UPDATE action SET is_published = 1,"
            " value = CASE state WHEN 'dead' THEN value ELSE x'' END"
            " WHERE action_id = ? AND state = ?",
            ((task.action_id, task.state) for task in tasks),
        )

    def forget(self, accepted_before_at: int, limit: int) -> int:
        """Delete published actions of long ago, dead ones included; the number of those."""
        self._database.execute(
            "DELETE FROM contact WHERE day < ?", (format_instant(accepted_before_at)[:DATE],)
        )
        return self._database.execute(
            "DELETE FROM action WHERE action_id IN (SELECT action_id FROM action"
            " WHERE is_published = 1 AND accepted_at < ? LIMIT ?)",
            (accepted_before_at, limit),
        ).rowcount

    def replay(self, action_ids: Sequence[str], now_at: int) -> int:
        """Turn dead actions to waiting again; the number of those."""
        done = self._database.executemany(
            "UPDATE action SET state = 'waiting', attempts = 0, reason = '', due_at = ?,"
            " accepted_at = ?, ended_at = NULL, is_published = 0"
            " WHERE action_id = ? AND state = 'dead'",
            ((now_at, now_at, action_id) for action_id in action_ids),
        )
        return done.rowcount

    # ------------------------------------------------------------ reading
    def has_due(self, receiver: str, now_at: int) -> bool:
        """Return True if `take` would find something."""
        query = f"SELECT 1 FROM action WHERE {DUE} LIMIT 1"  # noqa: S608 - a text of this file
        return bool(self._rows(query, (receiver, now_at)))

    def due(self, receiver: str, now_at: int, limit: int) -> list[Task]:
        """A receiver's actions that are due, the earliest first, and all of their batches."""
        found = self._tasks(f"{DUE} ORDER BY due_at LIMIT ?", (receiver, now_at, limit))
        tasks = {task.action_id: task for task in found}
        for name in dict.fromkeys(task.batch for task in found if task.batch):
            members = "action_id IN (SELECT action_id FROM batch WHERE name = ?)"
            for task in self._tasks(members, (name,)):  # all of a batch are due together
                if task.state in {"waiting", "failed"}:
                    tasks[task.action_id] = task
        return [*tasks.values()]

    def unpublished(self, limit: int) -> list[Task]:
        """Ended actions whose outcomes aren't published, the earliest first."""
        return self._tasks(
            "is_published = 0 AND ended_at IS NOT NULL ORDER BY ended_at LIMIT ?", (limit,)
        )

    def dead(self, receiver: str | None = None) -> list[Task]:
        """Dead actions, of one receiver or of all."""
        if receiver is None:
            return self._tasks("state = 'dead' ORDER BY ended_at", ())
        return self._tasks("state = 'dead' AND receiver = ? ORDER BY ended_at", (receiver,))

    def contacts(self, since_at: int) -> list[Contact]:
        """The messages to people since the day of an instant."""
        query = "SELECT person, day, action_id FROM contact WHERE day >= ?"
        rows = self._rows(query, (format_instant(since_at)[:DATE],))
        return [Contact(*map(str, row)) for row in rows]

    def positions(self) -> dict[Partition, int]:
        """The offset up to which each partition was inserted."""
        rows = self._rows("SELECT topic, partition, next_offset FROM position", ())
        return {(str(topic), int(str(n))): int(str(at)) for topic, n, at in rows}

    def counts(self, now_at: int) -> dict[tuple[str, State | Literal["held"]], int]:
        """Number of actions by receiver and state, of those that are kept whole.

        Waiting ones that are due in over a minute are `held`, such as by quiet hours.
        """
        rows = self._rows(
            "SELECT receiver, state, count(*) FROM action"
            " WHERE state IN ('waiting', 'sending', 'failed', 'dead') GROUP BY receiver, state",
            (),
        )
        found = {(receiver, state): count for receiver, state, count in rows}
        held = self._rows(
            "SELECT receiver, count(*) FROM action WHERE state = 'waiting' AND due_at > ?"
            " GROUP BY receiver",
            (now_at + HELD_MS,),
        )
        for receiver, count in held:
            found[receiver, "held"] = count
            found[receiver, "waiting"] -= count  # type: ignore[operator]  # rows are objects
        return found  # type: ignore[return-value]  # rows are objects

    def states(self) -> dict[str, State]:
        """The state of every action that is remembered."""
        return dict(self._rows("SELECT action_id, state FROM action", ()))  # type: ignore[arg-type]  # rows are objects

    def _name_batches(self, names: Iterable[tuple[str, str | None]]) -> None:
        self._database.executemany("INSERT OR REPLACE INTO batch VALUES (?, ?)", names)

    def _tasks(self, where: str, parameters: Sequence[object]) -> list[Task]:
        # The conditions are texts of this file.
        rows = self._rows(f"SELECT {COLUMNS} FROM action WHERE {where}", parameters)  # noqa: S608 - see above
        return [Task(*row) for row in rows]  # type: ignore[arg-type]  # rows are objects

    def _rows(self, query: str, parameters: Sequence[object]) -> list[tuple[object, ...]]:
        with self._answers():
            return self._database.execute(query, parameters).fetchall()

    def _answers(self) -> AbstractContextManager[None]:
        return answers(str(self.path), REMEDY)
