"""Start of a server in Java: little memory, a quick start."""

from collections.abc import Mapping
from pathlib import Path

from deploy.stack.programs import path_of


def java(folder: Path, heap_mb: int, *options: str) -> list[str]:
    """The java command up to its class path; a crash report goes to `folder`.

    One collector thread, and the quick compiler only: both save memory and seconds at the start,
    which on a developer's machine count for more than throughput.
    """
    return [
        path_of("java"),
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={folder}/crash-%p.log",
        "-Djava.awt.headless=true",
        *options,
    ]


def write_properties(path: Path, template: Path, values: Mapping[str, str]) -> None:
    """Write a .properties file: the template's lines, then `values`, which go before them."""
    own = "".join(f"{key}={value}\n" for key, value in values.items())
    path.write_text(f"{template.read_text()}\n{own}")
