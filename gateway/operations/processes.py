"""Processes that register their metrics in the folder `telemetry.targets`, and their conservation.

    read + restored = ticks + applied + duplicates + refused + rejected + waiting + under way

What was read and is in none of the others yet is under way: it is in the epoch that isn't complete.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from telemetry.http_client import HttpClient, HttpFailed

TIMEOUT_S = 1.0
PREFIX = "ordertide_"
TRACK = "track"
PARTS = ("ticks", "applied", "duplicates", "refused", "rejected")


class Target(msgspec.Struct, frozen=True):
    """An entry of a target file."""

    targets: list[str]
    labels: dict[str, str]


TARGETS = msgspec.json.Decoder(list[Target])


class ProcessSample(NamedTuple):
    """A process: its samples by metric, summed over their labels; None while it doesn't answer."""

    instance: str
    role: str
    samples: Mapping[str, float] | None


class Conservation(NamedTuple):
    """Messages that `track` has read or found waiting at its start, and what became of them."""

    read: int
    restored: int
    parts: Mapping[str, int]
    waiting: int

    @property
    def under_way(self) -> int:
        """Messages in the epoch that isn't complete; below 0 is a fault of ordertide."""
        return self.read + self.restored - sum(self.parts.values()) - self.waiting


def processes_in(folder: Path | None) -> list[ProcessSample]:
    """The processes that are registered in a folder, by their names; none without a folder."""
    if folder is None:
        return []
    found = [
        ProcessSample(
            target.labels.get("instance", address),
            target.labels.get("process", ""),
            samples_at(address),
        )
        for target in registered(folder)
        for address in target.targets
    ]
    return sorted(found, key=lambda process: process.instance)


def registered(folder: Path) -> Iterator[Target]:
    """The entries of the target files; one that goes meanwhile is left out."""
    for path in sorted(folder.glob("*.json")):
        try:
            yield from TARGETS.decode(path.read_bytes())
        except FileNotFoundError:
            continue  # its process has ended


def samples_at(address: str) -> Mapping[str, float] | None:
    """The samples of ours at host:port, without their prefix; None without an answer."""
    client = HttpClient(f"http://{address}", timeout_s=TIMEOUT_S)
    try:
        text = client.request("GET", "/metrics").body.decode()
    except HttpFailed:
        return None
    finally:
        client.close()
    sums: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                sums[sample.name.removeprefix(PREFIX)] += sample.value
    return sums


def conservation(processes: Sequence[ProcessSample]) -> Conservation | None:
    """Conservation over all workers of `track`; None where none of them answers."""
    workers = [each.samples for each in processes if each.role == TRACK and each.samples]
    if not workers:
        return None

    def total(name: str) -> int:
        return int(sum(samples.get(name, 0.0) for samples in workers))

    return Conservation(
        read=total("messages_read_total"),
        restored=total("messages_restored_total"),
        parts={name: total(f"{name}_total") for name in PARTS},
        waiting=total("waiting"),
    )
