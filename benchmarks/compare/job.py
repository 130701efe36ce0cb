"""One run of the comparison: its size, and the names that all systems are given."""

from pathlib import Path
from typing import Literal, NamedTuple

PARTITIONS = 8
RuleSet = Literal["like", "default"]


class Trial(NamedTuple):
    """Size of a run. `rules` of ordertide: the job's one, or the default ones."""

    orders: int
    events: int
    rounds: int
    silence_ms: int
    duplicates: float
    seed: int
    rules: RuleSet
    checkpoint_ms: int


class SystemContext(NamedTuple):
    """Broker of a system, and the folder for its files."""

    bootstrap: str
    folder: Path
    trial: Trial


class Ready(NamedTuple):
    """A system that can be started. `counted` is the topic with one message for every event."""

    name: str
    command: list[str]
    counted: str
    changes: str
    alerts: str


class Obstacle(NamedTuple):
    """Why a system can't take part."""

    name: str
    reason: str


def topics_of(name: str) -> tuple[str, str]:
    """Changes and alerts of a system."""
    return f"compare.{name}.changes", f"compare.{name}.alerts"
