"""Packages with plug-ins, laid out in a folder as pip would."""

from importlib.metadata import EntryPoint
from pathlib import Path

from schemas.plugins import PluginKind


def install(folder: Path, package: str, kind: PluginKind, name: str, value: str) -> None:
    """A package with one plug-in."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{kind.group}]\n{name} = {value}\n")


def point(kind: PluginKind, name: str, value: str) -> EntryPoint:
    """An entry point that no package brings."""
    return EntryPoint(name, value, kind.group)
