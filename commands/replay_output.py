"""Output of `ordertide replay`: sorted, keys sorted, so that equal results are equal bytes."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self, TextIO

import msgspec

from dataflows.decoding import Headers
from dataflows.replay.evaluate import Result, rows
from dataflows.replay.recording import Bad, Counts
from privacy.keys import FileKeyStore
from schemas.alert import Action, AlertTransition, AuditEntry
from schemas.instants import format_instant
from schemas.order import OrderDocument
from schemas.private_files import private_folder, private_text
from telemetry.bounded_labels import OTHER

Sealing = Callable[[bytes, Headers], bytes | None]

KEY_FILES = ("keys.json", "keys.json.lock", "master.key")
STATE_RANK = {"opened": 0, "escalated": 1, "resolved": 2}
NO_STATUS = "EMBRYO"
SAMPLES = 3  # rejected records that are shown
MAX_ORIGINAL_BYTES = 700_000
MAX_UNKNOWN_CODES = 200  # that are named
ORDER_FIELDS = (
    "tenant", "order_id", "status", "version", "lane", "created_at", "updated_at", "promised_at",
    "milestones", "flags", "shipments", "attributes", "open_alerts",
)  # fmt: skip


class ResultKeys:
    """The keys of a replay's personal data, in the folder of its results.

    Afterwards there is none that nothing was sealed with: no key file without keys, and no folder
    that a failed replay created and left empty.
    """

    def __init__(self, out: Path) -> None:
        """Create the folder `out` and its key files, as far as they are missing."""
        self.out = out
        self.is_new_folder = not out.exists()
        private_folder(out)
        self.has_new_keys = not any((out / name).exists() for name in KEY_FILES)
        self.keys = FileKeyStore(out / KEY_FILES[0])

    def __enter__(self) -> FileKeyStore:
        return self.keys

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.keys.close()
        if self.has_new_keys and not self.keys.has_keys:
            for name in KEY_FILES:
                (self.out / name).unlink(missing_ok=True)
        if kind is not None and self.is_new_folder and not any(self.out.iterdir()):
            self.out.rmdir()


class RejectedRows:
    """`rejected.ndjson`, written while the recording is read; it appears when all is done.

    `samples` are the first records, one of each code.
    """

    def __init__(self, out: Path, seal: Sealing) -> None:
        """Create the file in the folder `out` under another name."""
        self.path = out / "rejected.ndjson"
        self.draft = out / ".rejected.ndjson.begun"
        self.seal = seal
        self.count = 0
        self.samples: list[Bad] = []
        self.stream: TextIO = private_text(self.draft)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stream.close()
        if kind is None:
            self.draft.replace(self.path)
        else:
            self.draft.unlink(missing_ok=True)

    def add(self, bad: Bad) -> None:
        """Append a record."""
        self.stream.write(line_of(rejected_row(bad, self.seal)))
        self.count += 1
        is_new = bad.reason.code not in {each.reason.code for each in self.samples}
        if is_new and len(self.samples) < SAMPLES:
            self.samples.append(bad)


def write_all(out: Path, results: list[Result]) -> None:
    """Write the four tables of a replay into the folder `out`, beside `RejectedRows`."""
    orders: list[OrderDocument] = rows(results, "orders")
    orders.sort(key=lambda order: (order.order_id, order.tenant))
    write_rows(out / "orders.ndjson", map(order_row, orders))
    alerts: list[AlertTransition] = rows(results, "alerts")
    alerts.sort(key=lambda alert: (alert.at, alert.alert_id, STATE_RANK[alert.state]))
    write_rows(out / "alerts.ndjson", map(msgspec.to_builtins, alerts))
    actions: list[Action] = rows(results, "actions")
    actions.sort(key=lambda action: (action.at, action.action_id))
    write_rows(out / "actions.ndjson", map(msgspec.to_builtins, actions))
    audit: list[AuditEntry] = rows(results, "audit")
    audit.sort(key=lambda entry: (entry.at, entry.audit_id))
    write_rows(out / "audit.ndjson", map(msgspec.to_builtins, audit))


def order_row(order: OrderDocument) -> dict[str, Any]:
    """The fields of an order that a replay reports."""
    row = msgspec.to_builtins(order)
    return {name: row[name] for name in ORDER_FIELDS}


def rejected_row(bad: Bad, seal: Sealing) -> dict[str, Any]:
    """A rejected record: text where it is text, base64 where not.

    Size and hash of a large one, and of one whose personal data can't be sealed.
    """
    row: dict[str, Any] = {
        "code": bad.reason.code,
        "reason": bad.reason.reason,
        "file": bad.file,
        "line": bad.number,
    }
    if bad.sha256:
        return {**row, "original": None, "sha256": bad.sha256, "size_bytes": bad.size_bytes}
    data = seal(bad.data, [])
    if data is None or len(data) > MAX_ORIGINAL_BYTES:
        described = bad.data if data is None else data
        return {
            **row,
            "original": None,
            "sha256": hashlib.sha256(described).hexdigest(),
            "size_bytes": len(described),
        }
    try:
        return {**row, "original": data.decode()}
    except UnicodeDecodeError:
        return {**row, "original": None, "original_base64": base64.b64encode(data).decode()}


def write_rows(path: Path, values: Iterable[Any]) -> None:
    """Write NDJSON, keys sorted."""
    with private_text(path) as stream:
        stream.writelines(map(line_of, values))


def line_of(value: Any) -> str:  # noqa: ANN401 - any JSON
    """A line of NDJSON, keys sorted."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - any JSON
    """Write one JSON document for people."""
    with private_text(path) as stream:
        stream.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def summarise(
    results: list[Result], counts: Counts, rejected: int, seconds: float
) -> dict[str, Any]:
    """The figures of a replay."""
    orders: list[OrderDocument] = rows(results, "orders")
    alerts: list[AlertTransition] = rows(results, "alerts")
    told = sum((Counter(result.counts) for result in results), Counter[str]())
    return {
        "events_read": counts.read,
        "events_applied": told["applied"],
        "events_duplicate": told["duplicates"] + counts.duplicates,
        "events_refused": told["refused"],
        "events_rejected": rejected,
        "events_waiting": told["waiting"] + counts.waiting,
        "events_after_until": counts.after_until,
        **({"orders_set_aside": told["set_aside"]} if told["set_aside"] else {}),
        **left_out(counts),
        "ticks": counts.ticks,
        "orders": len(orders),
        "orders_by_status": tally(order.status or NO_STATUS for order in orders),
        "orders_by_lane": tally(order.lane for order in orders),
        "flags": tally(flag for order in orders for flag in order.flags),
        "alerts_opened_by_rule": tally(alert.rule for alert in alerts if alert.state == "opened"),
        "alerts_escalated_by_rule": tally(
            alert.rule for alert in alerts if alert.state == "escalated"
        ),
        "actions_by_kind": tally(action.kind for action in rows(results, "actions")),
        "first_event_at": instant(counts.first_at),
        "last_event_at": instant(counts.last_at),
        "seconds": round(seconds, 3),
        "events_per_second": round(counts.read / seconds) if seconds else 0,
    }


def left_out(counts: Counts) -> dict[str, Any]:
    """Fields left out by name, and unknown codes by source, where there are any."""
    found: dict[str, Any] = {}
    if counts.fields_dropped:
        found["fields_dropped"] = dict(sorted(counts.fields_dropped.items()))
    if counts.unknown_codes:
        by_count = sorted(counts.unknown_codes.items(), key=lambda item: (-item[1], item[0]))
        codes: dict[str, dict[str, int]] = {}
        for (source, code), count in by_count[:MAX_UNKNOWN_CODES]:
            codes.setdefault(source, {})[code] = count
        more = sum(count for _, count in by_count[MAX_UNKNOWN_CODES:])
        found["unknown_codes"] = {**codes, **({OTHER: {OTHER: more}} if more else {})}
    return found


def tally(values: Iterable[str]) -> dict[str, int]:
    """Number of occurrences of each value, sorted by value."""
    return dict(sorted(Counter(values).items()))


def instant(at: int | None) -> str | None:
    """An instant as text."""
    return None if at is None else format_instant(at)
