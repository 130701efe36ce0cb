"""Gantt chart of an order: a row a stage and a row a parcel, planned beside actual.

Drawn on the server, so it prints and reads without a script. A stretch without anything in it that
would take over 40 % of the width is folded; its length is written on the break.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from gateway.board.progress import DELIVERED, LAST, Progress
from gateway.board.wording import Words
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from schemas.order import AcceptedEvent, OrderDocument, ShipmentView

FOLD_SHARE = 0.4
FOLDED_WIDTH = 34
ROW, HEAD, FOOT = 30, 34, 8
FOLD_LABEL = 56  # pixels around the label of a fold
LABEL_EVERY = 58  # pixels between two labels of the axis, at least
STEPS_MS = (
    HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    *(days * DAY_MS for days in (1, 2, 4, 7, 14, 28, 91, 182, 365)),
)
MARGIN = 0.03  # of the span, before and after


class Axis:
    """Maps instants to pixels, with long idle stretches folded."""

    def __init__(self, instants: Sequence[int], left: int, right: int) -> None:
        """Create an axis over these instants, from pixel `left` to `right`."""
        marks = sorted(set(instants))
        span = marks[-1] - marks[0]
        gaps = [(a, b) for a, b in pairwise(marks) if b - a > FOLD_SHARE * span]
        busy_ms = span - sum(b - a for a, b in gaps)
        margin = max(int(busy_ms * MARGIN), 30 * MINUTE_MS)
        self.start, self.end = marks[0] - margin, marks[-1] + margin
        # A little of a gap stays on both sides, for the ends of bars.
        self.folds = [(a + margin, b - margin) for a, b in gaps if b - a > 4 * margin]
        folded_ms = sum(b - a for a, b in self.folds)
        width = right - left - FOLDED_WIDTH * len(self.folds)
        self.scale = width / max(self.end - self.start - folded_ms, 1)
        self.left, self.right = left, right

    def x(self, at: int) -> float:
        """Pixel of an instant."""
        x = float(self.left)
        passed = self.start
        for first, last in self.folds:
            if at <= first:
                break
            x += (first - passed) * self.scale
            if at < last:
                return round(x + FOLDED_WIDTH * (at - first) / (last - first), 1)
            x += FOLDED_WIDTH
            passed = last
        return round(x + (at - passed) * self.scale, 1)

    def is_folded(self, at: int) -> bool:
        """Return True for an instant inside a fold."""
        return any(first < at < last for first, last in self.folds)


class Tick(NamedTuple):
    """A line of the axis with its label, which may be empty."""

    x: float
    label: str


class Bar(NamedTuple):
    """A bar from x on; `kind` is planned, actual, late, open or openlate."""

    x: float
    width: float
    kind: str


class Row(NamedTuple):
    """A row. `scans`: pixels of events on it; `about` is the row in words."""

    y: int
    label: str
    detail: str
    bars: list[Bar]
    scans: list[float]
    about: str


class Flag(NamedTuple):
    """A promise or deadline on the axis; `end` is true if its label stands left of it."""

    x: float
    label: str
    kind: str
    end: bool


class Gantt(NamedTuple):
    """A chart ready to be drawn."""

    width: int
    height: int
    left: int
    ticks: list[Tick]
    folds: list[Tick]
    rows: list[Row]
    flags: list[Flag]
    now: float
    about: str


class Stage(NamedTuple):
    """A stage between two milestones: planned and actual, (from, to) in ms."""

    code: str
    planned: tuple[int, int] | None
    actual: tuple[int, int] | None
    is_open: bool


def gantt(
    words: Words,
    progress: Progress,
    order: OrderDocument,
    timeline: Sequence[AcceptedEvent],
    now: int,
    width: int,
) -> Gantt | None:
    """The chart of an order; None for one that never began."""
    if not order.created_at:
        return None
    stages = stages_of(progress, order, now)
    parcels = parcels_of(order, timeline)
    flags = flags_of(words, order)
    is_done = progress.ends_well(order.status)
    end = parse_instant(order.updated_at) if is_done and order.updated_at else now
    instants = [end, parse_instant(order.created_at), *(at for at, _, _ in flags)]
    for stage in stages:
        instants += [*(stage.planned or ()), *(stage.actual or ())]
    instants += [at for _, scans in parcels for at in scans]
    left = 118 if width > 500 else 84  # noqa: PLR2004 - a desk, else a phone
    axis = Axis(instants, left, width - 12)
    rows = [stage_row(words, axis, stage, HEAD + n * ROW) for n, stage in enumerate(stages)]
    for n, (parcel, scans) in enumerate(parcels, len(stages)):
        rows.append(parcel_row(words, progress, axis, parcel, scans, end, HEAD + n * ROW))
    middle = (left + width) / 2
    return Gantt(
        width=width,
        height=HEAD + ROW * len(rows) + FOOT,
        left=left,
        ticks=ticks(words, axis),
        folds=[
            Tick(round((axis.x(a) + axis.x(b)) / 2, 1), words.span(b - a)) for a, b in axis.folds
        ],
        rows=rows,
        flags=[Flag(axis.x(at), label, kind, axis.x(at) > middle) for at, label, kind in flags],
        now=0 if is_done else axis.x(now),
        about="; ".join(row.about for row in rows),
    )


def stages_of(progress: Progress, order: OrderDocument, now: int) -> list[Stage]:
    """Stages of the order by their milestones, in the order of the lifecycle."""
    created_at = parse_instant(order.created_at or "")
    reached = {code: parse_instant(at) for code, at in order.milestones.items()}
    planned = {code: parse_instant(at) for code, at in order.planned.items()}
    is_coming = progress.stages.get(order.status or "", 0) < LAST
    codes = main_path(progress, reached, planned, is_coming=is_coming)
    stages: list[Stage] = []
    at = plan_at = created_at
    for code in codes:
        plan = (plan_at, planned[code]) if code in planned else None
        plan_at = planned.get(code, plan_at)
        is_open = code not in reached and not progress.ends_well(order.status)
        is_next = is_open and not any(stage.is_open for stage in stages)
        actual = (at, reached[code]) if code in reached else (at, now) if is_next else None
        if plan or actual:
            stages.append(Stage(code, plan, actual, is_next))
        at = reached.get(code, at)
    return stages


def main_path(
    progress: Progress, reached: Mapping[str, int], planned: Mapping[str, int], *, is_coming: bool
) -> list[str]:
    """Codes of the order's stages: planned ones, reached ones, and the delivery that is to come."""
    table = progress.table
    of_order = [code for code in table.codes if code in progress.of_order]
    begun = {code for code in reached if table.creates[table.index[code]]}
    first = min(begun, key=reached.__getitem__, default="")
    meant = [code for code in of_order if code in planned or code in reached]
    if is_coming and DELIVERED in of_order and DELIVERED not in meant:
        meant.append(DELIVERED)
    return sorted(
        (code for code in meant if code != first),
        key=lambda code: reached.get(code, planned.get(code, 1 << 62)),
    )


def parcels_of(
    order: OrderDocument, timeline: Sequence[AcceptedEvent]
) -> list[tuple[ShipmentView, list[int]]]:
    """The named parcels with the instants of their events."""
    return [
        (
            parcel,
            sorted(parse_instant(e.at) for e in timeline if e.shipment == parcel.shipment)
            or ([parse_instant(parcel.updated_at)] if parcel.updated_at else []),
        )
        for parcel in order.shipments
        if parcel.shipment
    ]


def flags_of(words: Words, order: OrderDocument) -> list[tuple[int, str, str]]:
    """(instant, label, kind) of the promises and running deadlines."""
    flags: list[tuple[int, str, str]] = []
    if order.promised_at:
        flags.append((parse_instant(order.promised_at), words.say("gantt.promised"), "promise"))
    if order.ship_by:
        flags.append((parse_instant(order.ship_by), words.say("gantt.ship_by"), "promise"))
    flags += [
        (parse_instant(each.due_at), "", each.severity)
        for each in order.deadlines
        if each.due_at != order.promised_at
    ]
    return flags


def stage_row(words: Words, axis: Axis, stage: Stage, y: int) -> Row:
    """The row of a stage."""
    bars: list[Bar] = []
    if stage.planned:
        bars.append(bar(axis, *stage.planned, "planned"))
    if stage.actual:
        is_late = stage.planned is not None and stage.actual[1] > stage.planned[1]
        kind = ("open" if stage.is_open else "") + ("late" if is_late else "")
        bars.append(bar(axis, *stage.actual, kind or "actual"))
    label = words.status(stage.code)
    return Row(y, label, "", bars, [], about_stage(words, stage))


def about_stage(words: Words, stage: Stage) -> str:
    """A stage in words."""
    parts = [words.status(stage.code)]
    if stage.planned:
        parts.append(words.say("gantt.about.planned", at=words.stamp(stage.planned[1])))
    if stage.actual:
        key = "gantt.about.open" if stage.is_open else "gantt.about.actual"
        span = words.span(stage.actual[1] - stage.actual[0])
        parts.append(words.say(key, at=words.stamp(stage.actual[1]), span=span))
    return ", ".join(parts)


def parcel_row(
    words: Words,
    progress: Progress,
    axis: Axis,
    parcel: ShipmentView,
    scans: list[int],
    end: int,
    y: int,
) -> Row:
    """The row of a parcel: what was scanned, and hatched since then unless it has ended."""
    bars: list[Bar] = []
    if scans:
        bars.append(bar(axis, scans[0], scans[-1], "actual"))
        is_over = parcel.ended_at is not None or progress.ends_well(parcel.status)
        if not is_over and end > scans[-1]:
            bars.append(bar(axis, scans[-1], end, "open"))
    about = f"{parcel.shipment}, {words.status(parcel.status)}"
    label = f"…{parcel.shipment[-8:]}" if len(parcel.shipment) > 10 else parcel.shipment  # noqa: PLR2004 - fits
    return Row(y, label, parcel.carrier or "", bars, [axis.x(at) for at in scans], about)


def bar(axis: Axis, start: int, end: int, kind: str) -> Bar:
    """A bar between two instants, wide enough to be seen."""
    x = axis.x(start)
    return Bar(x, round(max(axis.x(end) - x, 2.0), 1), kind)


def ticks(words: Words, axis: Axis) -> list[Tick]:
    """Lines at round local times, as close as their labels allow."""
    wide = next((s for s in STEPS_MS if s * axis.scale >= LABEL_EVERY), STEPS_MS[-1])
    midnight = words.local(axis.start).replace(hour=0, minute=0, second=0, microsecond=0)
    at = int(midnight.timestamp() * 1000)
    found: list[Tick] = []
    while at <= axis.end:
        if at >= axis.start and not axis.is_folded(at):
            x = axis.x(at)
            is_midnight = words.local(at).hour == 0
            label = words.day(at) if is_midnight else words.clock(at)
            near = [abs(x - axis.x((a + b) // 2)) < FOLD_LABEL for a, b in axis.folds]
            is_free = (not found or x - found[-1].x >= LABEL_EVERY) and not any(near)
            if is_free and x < axis.right - 20:
                found.append(Tick(x, label))
        at += wide
    return found
