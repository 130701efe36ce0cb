"""The doctor on Elasticsearch, the warm tier: version, health, disks against watermarks, clocks."""

import re
from collections.abc import Iterator

from commands.doctor.clock import clock_finding
from commands.doctor.findings import Finding, ok, problem, warning
from commands.doctor.http import HttpTarget, Unanswered
from commands.wiring.process import now_ms
from schemas.instants import SECOND_MS

TOLERANCE_MS = 2 * SECOND_MS
WATERMARKS = (
    "/_cluster/settings?include_defaults=true&filter_path=*.cluster.routing.allocation.disk"
)
HEADROOM = "max_headroom"
UNITS = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40, "pb": 2**50}
SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgtp]?b)")


def check_server(target: HttpTarget, client_major: int, prefix: str) -> Iterator[Finding]:
    """Can it be reached; and if so, everything that needs no templates of ours."""
    try:
        yield from version(target, client_major)
        for each in (health, nodes):
            yield from each(target)
        yield from blocks(target, prefix)
    except Unanswered as error:
        yield error.finding


def version(target: HttpTarget, client_major: int) -> Iterator[Finding]:
    """Check the major version: a client refuses a server of another major, and vice versa.

    Raises:
        Unanswered: no server answers, or it is no Elasticsearch.
    """
    match target.get("/").data:
        case {"version": {"number": str(number)}}:
            yield ok("reachable", target.shown)
        case _:
            remedy = f"check {target.setting}"
            raise Unanswered(problem("reachable", f"{target.shown}: no Elasticsearch", remedy))
    if int(number.partition(".")[0]) == client_major:
        yield ok("version", number)
    else:
        found = f"{number}, and the client is for {client_major}"
        yield problem("version", found, f"use a server of version {client_major}")


def health(target: HttpTarget) -> Iterator[Finding]:
    """Red: some shards can't be read or written. Yellow: copies are missing."""
    data = target.get("/_cluster/health").data
    status, nodes = data["status"], data["number_of_nodes"]
    found = f"{status}, {nodes} nodes"
    if status == "red":
        remedy = (
            "some data can't be read: bring missing nodes back, see _cluster/allocation/explain"
        )
        yield problem("health", found, remedy)
    elif status == "yellow":
        remedy = "copies are missing: add a node, or set fewer replicas on a single one"
        yield warning("health", found, remedy)
    else:
        yield ok("health", found)


def nodes(target: HttpTarget) -> Iterator[Finding]:
    """Each node's disk and clock."""
    limits = watermarks(target)
    asked_at = now_ms()
    stats = target.get("/_nodes/stats/fs").data["nodes"]
    round_trip_ms = now_ms() - asked_at
    for node in stats.values():
        yield disk(node["name"], node["fs"]["total"], limits)
    ahead_ms = [node["timestamp"] - asked_at - round_trip_ms // 2 for node in stats.values()]
    yield clock_finding(max(ahead_ms, key=abs), TOLERANCE_MS, round_trip_ms)


def watermarks(target: HttpTarget) -> dict[str, str]:
    """{low, high, flood_stage: as they are set}; values set explicitly before defaults."""
    data = target.get(WATERMARKS).data or {}
    found: dict[str, str] = {}
    for layer in ("defaults", "persistent", "transient"):
        match data.get(layer):
            case {"cluster": {"routing": {"allocation": {"disk": {"watermark": dict(held)}}}}}:
                found |= held
    return found


def disk(node: str, total: dict[str, int], limits: dict[str, str]) -> Finding:
    """Check the free space against the watermarks."""
    size_bytes, free_bytes = total["total_in_bytes"], total["available_in_bytes"]
    found = f"{free_bytes / 2**30:.1f} of {size_bytes / 2**30:.1f} GiB free"
    remedy = "make room or add a node; at the flood stage indices become read-only"
    past = [
        name
        for name in ("low", "high", "flood_stage")
        if free_bytes < free_needed(limits, name, size_bytes)
    ]
    if not past:
        return ok(f"disk of {node}", found)
    found = f"{found}, past the {past[-1]} watermark ({limits[past[-1]]})"
    if past[-1] == "flood_stage":
        return problem(f"disk of {node}", found, remedy)
    return warning(f"disk of {node}", found, remedy)


def free_needed(limits: dict[str, str], name: str, size_bytes: int) -> float:
    """Bytes that have to be free; a share of a large disk is capped by the headroom beside it."""
    headroom_bytes = size_of(limits.get(f"{name}.{HEADROOM}", ""))
    needed_bytes = free_by(limits.get(name, "0b"), size_bytes)
    return needed_bytes if headroom_bytes is None else min(needed_bytes, headroom_bytes)


def free_by(watermark: str, size_bytes: int) -> float:
    """Bytes that have to be free by `85%` or `0.85` (used) or `5gb` (free)."""
    if watermark.endswith("%"):
        return size_bytes * (1 - float(watermark[:-1]) / 100)
    free_bytes = size_of(watermark)
    return size_bytes * (1 - float(watermark)) if free_bytes is None else free_bytes


def size_of(text: str) -> float | None:
    """Bytes of `20GB`; None where it is no size (`-1` is none)."""
    found = SIZE.fullmatch(text.lower())
    return float(found[1]) * UNITS[found[2]] if found else None


def blocks(target: HttpTarget, prefix: str) -> Iterator[Finding]:
    """Indices of ours that take no writes."""
    settings = target.get(f"/{prefix}*/_settings/index.blocks.*?flat_settings=true").data or {}
    for index, held in settings.items():
        set_blocks = [n for n, value in held["settings"].items() if str(value) == "true"]
        if set_blocks:
            remedy = "make room on the disks, then take the block away with PUT /INDEX/_settings"
            yield problem(f"index {index}", f"{', '.join(set_blocks)}: takes no writes", remedy)
