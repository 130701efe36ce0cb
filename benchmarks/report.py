"""Report of measurements, as Markdown: tables, the machine, and the sections of a document."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("bytewax", "confluent-kafka", "msgspec")


class Spread(NamedTuple):
    """The least, the middle and the most of several measurements."""

    least: float
    median: float
    most: float

    def text(self, digits: int = 0) -> str:
        low, middle, high = (f"{value:,.{digits}f}" for value in self)
        return f"{middle} ({low} - {high})"


class Section(NamedTuple):
    """A part of the report; `name` is also that of its markers in a document."""

    name: str
    text: str


def spread(values: Sequence[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; every column but the first is aligned to the right."""
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def verdict(*, is_met: bool) -> str:
    return "met" if is_met else "**MISSED**"


def machine(seed: int) -> str:
    """Conditions of the figures besides the code."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    busy = "/".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{processor()}, {os.cpu_count()} cores, load at start {busy}; {platform.system()} "
        f"{platform.release()}; Python {platform.python_version()}; {packages}; seed {seed}"
    )


def processor() -> str:
    """The processor's name; where the system doesn't report it, its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def put_sections(path: Path, sections: Sequence[Section]) -> None:
    """Replace what stands between the markers of each section.

    Raises:
        ValueError: the document has no such markers.
    """
    text = path.read_text("utf-8")
    for section in sections:
        begin, end = f"<!-- {section.name}: begin -->", f"<!-- {section.name}: end -->"
        head, found, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{path}: no {begin} … {end}; put both where the section shall stand")
        text = f"{head}{begin}\n{section.text}\n{end}{tail}"
    path.write_text(text, "utf-8")
