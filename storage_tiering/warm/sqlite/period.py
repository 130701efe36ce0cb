"""One period of the warm tier: the orders whose first change fell into one month."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import Rejected
from schemas.instants import format_instant, to_instant
from schemas.outcomes import OutcomeQuery
from schemas.search import NEVER_MS, OrderQuery, Sort, numbers_of
from storage_tiering.records import DOCUMENT, NOWHERE, order_record
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord
from storage_tiering.warm.sqlite.database import COUNT_WRITE, IDENTITY, Database, Row, Statement

PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
SUFFIX = ".sqlite"
LIVE = "live"  # in the place of a period: open orders whose period was dropped

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, version INTEGER, status TEXT, lane TEXT, updated_at INTEGER, doc BLOB);
CREATE INDEX IF NOT EXISTS orders_by_time ON orders (updated_at);
CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, updated_at);
CREATE INDEX IF NOT EXISTS orders_by_lane ON orders (lane, updated_at);
CREATE TABLE IF NOT EXISTS events (
    key TEXT, event_hash TEXT, at INTEGER, arrival_at INTEGER, status TEXT, shipment TEXT, doc BLOB,
    PRIMARY KEY (key, event_hash));
CREATE TABLE IF NOT EXISTS outcomes (
    id TEXT, kind TEXT, tenant TEXT, order_id TEXT, operator TEXT, ip TEXT, at INTEGER, doc BLOB,
    PRIMARY KEY (id, kind));
CREATE INDEX IF NOT EXISTS outcomes_by_order ON outcomes (order_id, at);
CREATE INDEX IF NOT EXISTS outcomes_by_time ON outcomes (kind, at);
CREATE INDEX IF NOT EXISTS outcomes_by_operator ON outcomes (operator, at)
    WHERE operator IS NOT NULL;
CREATE INDEX IF NOT EXISTS outcomes_by_ip ON outcomes (ip, at) WHERE ip IS NOT NULL;
CREATE TABLE IF NOT EXISTS numbers (form TEXT, key TEXT, PRIMARY KEY (form, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers_reversed (
    form TEXT, key TEXT, PRIMARY KEY (form, key)) WITHOUT ROWID;
"""
PUT_ORDER = """
INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET version = excluded.version, status = excluded.status,
    lane = excluded.lane, updated_at = excluded.updated_at, doc = excluded.doc
WHERE excluded.version > orders.version
"""
# Numbers that an order has no longer stay: what is found by them is compared with the document.
ADD_NUMBER = "INSERT OR IGNORE INTO numbers VALUES (?, ?)"
ADD_REVERSED = "INSERT OR IGNORE INTO numbers_reversed VALUES (?, ?)"
WITH_NUMBER = """key IN (
    SELECT key FROM numbers WHERE form >= ? AND form < ?
    UNION ALL SELECT key FROM numbers_reversed WHERE form >= ? AND form < ?)"""
WITH_ATTRIBUTE = """EXISTS (SELECT 1 FROM json_each(CAST(doc AS TEXT), '$.attributes') AS held
    WHERE held.key = ? AND held.value = ?)"""
BEHIND_ALL = "\U0010ffff"


def in_ms(instant: str) -> str:
    """SQL of an instant in ms, `NEVER_MS` where there is none."""
    seconds = f"CAST(strftime('%s', {instant}) AS INTEGER)"
    return f"ifnull({seconds} * 1000 + CAST(substr({instant}, 21, 3) AS INTEGER), {NEVER_MS})"


def first_in(listed: str, due_at: str) -> str:
    """SQL of the earliest instant of a list in the document."""
    each = f"json_each(CAST(doc AS TEXT), '$.{listed}')"
    return in_ms(f"(SELECT min(json_extract(value, '$.{due_at}')) FROM {each})")  # noqa: S608 - both are texts below


# Places of orders in a sequence, as `schemas.search.place_of` has them. Only the time of the last
# change has an index; by the others a page reads every order that the conditions leave.
CREATED = "json_extract(CAST(doc AS TEXT), '$.created_at')"
PLACES: dict[Sort, tuple[str, ...]] = {
    "updated": ("-updated_at",),
    "silent": ("updated_at",),
    "created": (f"iif({CREATED} IS NULL, {NEVER_MS}, -{in_ms(CREATED)})",),
    "due": (first_in("open_alerts", "because.due_at"), first_in("deadlines", "due_at")),
}
# The same by the bare column, which has the index.
SEQUENCES: dict[Sort, str] = {"updated": "updated_at DESC, key", "silent": "updated_at, key"}
INDEXED: dict[Sort, str] = {"updated": "updated_at <= -?", "silent": "updated_at >= ?"}
ROWS_PER_QUERY = 200
ADD_OUTCOME = "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
MAY_BE_OPEN = """
SELECT doc FROM orders WHERE lane <> 'normal'
    OR json_array_length(CAST(doc AS TEXT), '$.open_alerts') > 0
    OR json_array_length(CAST(doc AS TEXT), '$.deadlines') > 0
"""
REMOVE_ORDER = "DELETE FROM orders WHERE key = ? AND version <= ifnull(?, version)"
REMOVE_EVENTS = "DELETE FROM events WHERE key = ? AND key NOT IN (SELECT key FROM orders)"
ADD_EVENT = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"


class PeriodFile:
    """The SQLite file of one period."""

    def __init__(self, folder: Path, period: str) -> None:
        self.period = period
        self.database = Database(folder / f"{period}{SUFFIX}", SCHEMA + IDENTITY)

    def put(self, records: Iterable[OrderRecord]) -> None:
        """Take documents whose version is higher than the one held."""
        taken = list(records)
        numbers = [(form, r.key) for r in taken if r.document for form in numbers_of(r.document)]
        backwards = [(form[::-1], key) for form, key in numbers]
        more = ((ADD_NUMBER, numbers), (ADD_REVERSED, backwards))
        self._write(PUT_ORDER, [order_row(record) for record in taken], *more)

    def add(self, rows: Sequence[Row]) -> None:
        """Take event rows, once each."""
        self._write(ADD_EVENT, rows)

    def remove(self, records: Sequence[OrderRecord]) -> None:
        """Remove orders whose version isn't higher than the record's, with their events."""
        rows = [(record.key, record.version) for record in records]
        self._write(REMOVE_ORDER, rows, (REMOVE_EVENTS, [row[:1] for row in rows]))

    def open_orders(self) -> list[OrderRecord]:
        """The orders that are open."""
        documents = self.database.read(MAY_BE_OPEN)
        records = [order_record(DOCUMENT.decode(doc), NOWHERE, doc) for (doc,) in documents]
        return [record for record in records if record.is_open]

    def event_rows(self, key: str) -> list[Row]:
        """The rows of an order's events."""
        return self.database.read("SELECT * FROM events WHERE key = ?", (key,))

    def add_outcomes(self, records: Sequence[OutcomeRecord]) -> None:
        """Take audit entries and actions, once each."""
        self._write(ADD_OUTCOME, [outcome_row(record) for record in records])

    def outcomes(self, query: OutcomeQuery, limit: int) -> list[bytes]:
        """The latest outcomes asked for, as JSON."""
        conditions: dict[str, object] = {
            "kind = ?": query.kind,
            **{f"{name} = ?": value for name, value in sorted(query.fields.items())},
        }
        if query.since is not None:
            conditions["at >= ?"] = query.since
        if query.until is not None:
            conditions["at < ?"] = query.until
        rows = self.database.read(  # the conditions are the texts above
            f"SELECT doc FROM outcomes WHERE {' AND '.join(conditions)}"  # noqa: S608 - see above
            " ORDER BY at DESC, id DESC LIMIT ?",
            [*conditions.values(), limit],
        )
        return [doc for (doc,) in rows]

    def held(self, keys: Sequence[str]) -> set[str]:
        """Which of the orders lie here."""
        rows = self.database.read_by_keys("SELECT key FROM orders WHERE key IN ({keys})", keys)
        return {key for (key,) in rows}

    def find(self, key: str) -> tuple[int, bytes] | None:
        """(version, document) of an order."""
        rows = self.database.read("SELECT version, doc FROM orders WHERE key = ?", (key,))
        return rows[0] if rows else None

    def events_of(self, key: str) -> list[bytes]:
        """The events of an order, as JSON."""
        return [
            doc for (doc,) in self.database.read("SELECT doc FROM events WHERE key = ?", (key,))
        ]

    def search(self, query: OrderQuery, after: Sequence[object] | None) -> Iterator[Row]:
        """(place, key, updated_at, document) of what may match, from behind `after` on."""
        indexed = sorted({"status", "lane"} & query.fields.keys())
        conditions: dict[str, Sequence[object]] = {
            f"{name} = ?": [query.fields[name]] for name in indexed
        }
        if query.rule is not None:
            conditions["lane <> 'normal'"] = []  # where its alert is open
        if query.changed_since is not None:
            conditions["updated_at >= ?"] = [query.changed_since]
        if query.changed_until is not None:
            conditions["updated_at < ?"] = [query.changed_until]
        if pairs := query.attributes.items():
            every = " AND ".join([WITH_ATTRIBUTE] * len(pairs))
            conditions[every] = [part for pair in pairs for part in pair]
        if form := query.form:
            ends = (form, form[::-1])
            conditions[WITH_NUMBER] = [bound for e in ends for bound in (e, e + BEHIND_ALL)]
        place = ", ".join((*PLACES[query.sort], "key"))
        marks = ", ".join("?" * len((*PLACES[query.sort], "key")))
        begin = after
        while True:
            behind: dict[str, Sequence[object]] = {}
            if begin is not None:
                behind[f"({place}) > ({marks})"] = begin
            if begin is not None and query.sort in INDEXED:  # nothing new: for the index
                behind[INDEXED[query.sort]] = begin[:1]
            parts = conditions | behind
            where = " AND ".join(parts) or "TRUE"
            parameters = [value for values in parts.values() for value in values]
            rows = self.database.read(  # both texts are made of those above
                f"SELECT {place}, updated_at, doc FROM orders WHERE {where}"  # noqa: S608 - see above
                f" ORDER BY {SEQUENCES.get(query.sort, place)} LIMIT ?",
                (*parameters, ROWS_PER_QUERY),
            )
            yield from rows
            if len(rows) < ROWS_PER_QUERY:
                return
            begin = rows[-1][:-2]

    def of_customer(self, customer_id: str) -> list[bytes]:
        """The documents that name a customer; read from all, as there is no index for it."""
        query = "SELECT doc FROM orders WHERE json_extract(CAST(doc AS TEXT), '$.customer_id') = ?"
        return [doc for (doc,) in self.database.read(query, (customer_id,))]

    def _write(self, statement: str, rows: Sequence[Row], *more: Statement) -> None:
        if rows:
            self.database.write(statement, rows, *more, COUNT_WRITE)

    def counts(self) -> tuple[int, int]:
        """(orders, events)."""
        query = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM events)"
        orders, events = self.database.read(query)[0]
        return orders, events


def order_row(record: OrderRecord) -> Row:
    """The row of a document (not of a tombstone)."""
    document = record.document
    assert document is not None
    state = (document.status, document.lane, record.changed_at)
    return record.key, document.version, *state, record.data


def event_row(record: EventRecord) -> Row:
    """The row of an event."""
    event = record.event
    content = (event.status, event.shipment, record.data)
    return record.key, event.event_hash, record.at, record.arrival_at, *content


def outcome_row(record: OutcomeRecord) -> Row:
    """The row of an audit entry or action."""
    outcome = record.outcome
    who = (getattr(outcome, "operator", None), getattr(outcome, "ip", None))
    what = (record.id, record.kind, outcome.tenant, outcome.order_id)
    return *what, *who, record.at, record.data


def check_period(period: str) -> None:
    """A period becomes a file name: nothing but a month may pass.

    Raises:
        Rejected: `bad_period`.
    """
    if not PERIOD.fullmatch(period):
        raise Rejected("bad_period", f"warm_period {period!r} is no month; it is written 2017-10")


def month_of(instant: int) -> str:
    """`2017-10` of an instant in ms, UTC."""
    return format_instant(instant)[:7]


def period_end(period: str) -> int:
    """The first ms after a period."""
    year, month = int(period[:4]), int(period[5:])
    following = (year + 1, 1) if month == 12 else (year, month + 1)  # noqa: PLR2004 - December
    return to_instant(datetime(*following, 1, tzinfo=UTC))
