"""The field cases: what people who track orders reported, with what is right for each.

A folder holds `events.ndjson`, `rules.toml` where the case has rules of its own, the payloads of
carriers in `push-*`, and `expected.toml`: the source of the case, what is right in a sentence, and
what a replay must show of it.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from dataflows.carriers.installed import open_carrier
from schemas.instants import format_instant, parse_instant
from tests import reference, reference_numbers
from tests.support.carrier_samples import SAMPLES
from tests.support.recording import ROOT, Json, Results

HERE = Path(__file__).parent
NAMES = sorted(path.parent.name for path in HERE.glob("*/expected.toml"))
CARRIERS = {".json": "kuaidi100", ".txt": "sf"}
CORE = ROOT / "dataflows" / "core"
# The evaluator folds an order again at each arrival; pings are thinned from 500 on.
MOST_EVALUATED = 600


class Case:
    """A field case by the name of its folder."""

    def __init__(self, name: str) -> None:
        self.folder = HERE / name
        self.expected: Json = tomllib.loads((self.folder / "expected.toml").read_text("utf-8"))

    @property
    def pushes(self) -> list[Path]:
        """The payloads of carriers."""
        return sorted(self.folder.glob("push-*"))

    @property
    def options(self) -> tuple[object, ...]:
        """The arguments of a replay of this case."""
        rules = self.folder / "rules.toml"
        own = ("--rules", rules) if rules.exists() else ()
        return ("--until", self.expected["until"], *own)

    def events(self) -> list[Json]:
        """The events of the file, and those that the plug-ins make of the payloads."""
        text = (self.folder / "events.ndjson").read_text("utf-8-sig")
        events = [json.loads(line) for line in text.splitlines() if line.strip()]
        for push in self.pushes:
            name = CARRIERS[push.suffix]
            sample = SAMPLES[name]
            body = sample.body(push.read_text("utf-8"))
            events += open_carrier(name, sample.settings).events(body)
        return events


def few(events: list[Json]) -> list[Json]:
    """At most `MOST_EVALUATED` of a case's events, its first and last ones."""
    half = MOST_EVALUATED // 2
    return events if len(events) <= MOST_EVALUATED else [*events[:half], *events[-half:]]


def check(case: Case, results: Results) -> None:
    """Compare a replay with `expected.toml`."""
    expected = case.expected
    orders = {row["order_id"]: row for row in results.rows("orders")}
    assert sorted(orders) == sorted(each["id"] for each in expected["order"])
    for wanted in expected["order"]:
        check_order(orders[wanted["id"]], wanted)
    alerts = [shown(row) for row in results.rows("alerts")]
    missing = [alert for alert in expected.get("alert", ()) if alert not in alerts]
    assert not missing, alerts
    assert len(alerts) == len(expected.get("alert", ())) or "exact_alerts" not in expected, alerts
    absent = set(expected.get("absent_rules", ()))
    assert not [alert for alert in alerts if alert["rule"] in absent]
    for silent in expected.get("silent", ()):
        assert not [alert for alert in alerts if silent.items() <= alert.items()], silent
    rejected = sorted(row["code"] for row in results.rows("rejected"))
    assert rejected == sorted(expected.get("rejected", ()))


def check_order(row: Json, wanted: Json) -> None:
    """Compare an order with the case's expectation."""
    assert row["status"] == wanted["status"], row
    flags = set(row["flags"])
    assert flags >= set(wanted.get("flags", ()))
    assert not flags & set(wanted.get("absent_flags", ()))
    if "parcels" in wanted:
        assert parcels_of(row) == wanted["parcels"]
    milestones = {code: row["milestones"].get(code) for code in wanted.get("milestones", ())}
    assert milestones == wanted.get("milestones", {})
    assert not set(row["milestones"]) & set(wanted.get("absent_milestones", ()))


def parcels_of(row: Json) -> dict[str, str]:
    """Name -> "STATUS", "STATUS return", "STATUS ended" of the parcels of an order."""
    return {
        parcel["shipment"]: parcel_text(
            parcel.get("status"),
            is_return=parcel.get("direction") == "return",
            has_ended="ended_at" in parcel,
        )
        for parcel in row["shipments"]
        if parcel["shipment"]
    }


def parcel_text(status: str | None, *, is_return: bool, has_ended: bool) -> str:
    """A parcel in the notation of `expected.toml`."""
    marks = ["return"] * is_return + ["ended"] * has_ended
    return " ".join([status or "NONE", *marks])


def shown(row: Json) -> Json:
    """An alert as `expected.toml` writes it."""
    found = {"order": row["order_id"], "rule": row["rule"], "state": row["state"], "at": row["at"]}
    shipment = row["because"].get("shipment")
    return found | ({"shipment": shipment} if shipment else {})


def by_reference(case: Case, events: list[Json]) -> reference.Outcome:
    """Outcome of the independent evaluator on events, numbers resolved."""
    rules = case.folder / "rules.toml"
    rules_text = (rules if rules.exists() else CORE / "rules.toml").read_text("utf-8")
    lifecycle = tomllib.loads((CORE / "lifecycle.toml").read_text("utf-8"))
    read = [without_blanks(event) for event in events]
    until = parse_instant(case.expected["until"])
    given = reference_numbers.given_out(reference_numbers.resolved(lifecycle, read, until))
    given += [event for event in read if "order_id" in event]
    return reference.evaluate(lifecycle, tomllib.loads(rules_text), given, until)


def without_blanks(event: Json) -> Json:
    """An event without blank and null fields, as docs/semantics.md reads it."""
    found: Json = {}
    for name, value in event.items():
        kept: Any = value
        if name == "references" and value:
            listed = {k: [v] if isinstance(v, str) else v or [] for k, v in value.items()}
            kept = {k: [each for each in v if each] for k, v in listed.items()}
        elif isinstance(value, dict):
            kept = {k: v for k, v in value.items() if v not in ("", None)}
        if kept not in ("", None):
            found[name] = kept
    return found


def outcome_of(outcome: reference.Outcome) -> Json:
    """The orders and alerts of the independent evaluator, as `outcome_in` shows a replay's."""
    orders = {
        key.rpartition("\x1f")[2]: {
            "status": document["status"],
            "flags": sorted(document["flags"]),
            "milestones": sorted(document["milestones"]),
            "parcels": {
                name: parcel_text(
                    parcel["status"],
                    is_return=parcel["direction"] == "return",
                    has_ended=parcel["ended_at"] is not None,
                )
                for name, parcel in document["shipments"].items()
                if name
            },
        }
        for key, document in outcome.orders.items()
    }
    alerts = sorted((a.rule, a.state, format_instant(a.at)) for a in outcome.transitions)
    return {"orders": orders, "alerts": alerts}


def outcome_in(results: Results) -> Json:
    """The orders and alerts of a replay."""
    orders = {
        row["order_id"]: {
            "status": row["status"],
            "flags": sorted(row["flags"]),
            "milestones": sorted(row["milestones"]),
            "parcels": parcels_of(row),
        }
        for row in results.rows("orders")
    }
    alerts = sorted((row["rule"], row["state"], row["at"]) for row in results.rows("alerts"))
    return {"orders": orders, "alerts": alerts}
