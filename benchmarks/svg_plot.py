"""Curves over days as a small SVG, panels side by side; written by hand, as one kind is needed."""

from collections.abc import Sequence
from typing import NamedTuple

WIDE, HIGH, GAP = 360, 200, 60
TOP = 34
COLOURS = ("#0b6e99", "#c4572b", "#4d7c0f")
STYLE = "font: 12px sans-serif; fill: #333"
TICKS = 4


class Curve(NamedTuple):
    """A name and a value for each day, from day 0 on."""

    name: str
    values: Sequence[float]


class Panel(NamedTuple):
    """Curves with a scale in common, which begins at zero."""

    title: str
    curves: Sequence[Curve]


def plot(panels: Sequence[Panel], columns: int = 2) -> str:
    """The document."""
    rows = -(-len(panels) // columns)
    width, height = columns * (WIDE + GAP) + GAP, rows * (HIGH + 2 * GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        x = GAP + number % columns * (WIDE + GAP)
        y = TOP + number // columns * (HIGH + 2 * GAP)
        parts += [f'<g transform="translate({x},{y})" style="{STYLE}">', *drawn(panel), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def drawn(panel: Panel) -> list[str]:
    """One panel: grid, scale, curves, names."""
    most = max((max(curve.values) for curve in panel.curves), default=0) or 1
    days = max(len(curve.values) for curve in panel.curves) - 1
    parts = [f'<text y="-14" font-weight="bold">{panel.title}</text>', *grid(most)]
    for day in range(0, days + 1, 5):
        x = WIDE * day / max(days, 1)
        parts.append(f'<text x="{x:.0f}" y="{HIGH + 16}" text-anchor="middle">{day}</text>')
    for number, curve in enumerate(panel.curves):
        points = " ".join(
            f"{WIDE * day / max(days, 1):.1f},{HIGH - HIGH * value / most:.1f}"
            for day, value in enumerate(curve.values)
        )
        colour = COLOURS[number]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(
            f'<text x="{number * 180}" y="{HIGH + 36}" fill="{colour}">{curve.name}</text>'
        )
    return parts


def grid(most: float) -> list[str]:
    """Lines with the values that they stand for."""
    parts = []
    for tick in range(TICKS + 1):
        y = HIGH - HIGH * tick / TICKS
        parts.append(f'<line x2="{WIDE}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>')
        text = shown(most * tick / TICKS)
        parts.append(f'<text x="-6" y="{y + 4:.0f}" text-anchor="end">{text}</text>')
    return parts


def shown(value: float) -> str:
    """Short enough for the edge."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"
