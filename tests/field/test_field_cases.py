"""The field cases, as they stand, shuffled, doubled and split over two files."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.field.case import NAMES, Case, by_reference, check, few, outcome_in, outcome_of
from tests.support.recording import Json, Results, replay, written

SEED = 17
COMPARED = ("orders", "alerts", "actions")
Files = list[Path]
Variant = Callable[[list[Json], Path, random.Random], Files]


def shuffled(events: list[Json], folder: Path, rng: random.Random) -> Files:
    """The lines in another order."""
    return [written(folder / "shuffled.ndjson", rng.sample(events, len(events)))]


def doubled(events: list[Json], folder: Path, rng: random.Random) -> Files:
    """Every line twice, the second ones anywhere."""
    return [written(folder / "doubled.ndjson", rng.sample([*events, *events], 2 * len(events)))]


def split(events: list[Json], folder: Path, rng: random.Random) -> Files:
    """Each line in one of two files."""
    files: list[list[Json]] = [[], []]
    for event in events:
        rng.choice(files).append(event)
    return [written(folder / f"split-{n}.ndjson", each) for n, each in enumerate(files)]


VARIANTS: tuple[Variant, ...] = (shuffled, doubled, split)


def as_it_stands(case: Case, folder: Path) -> Files:
    """The case's own file, byte for byte, and what the carriers pushed."""
    files = [case.folder / "events.ndjson"]
    own = len([line for line in files[0].read_text("utf-8-sig").splitlines() if line.strip()])
    pushed = case.events()[own:]
    return [*files, written(folder / "pushed.ndjson", pushed)] if pushed else files


def tables(results: Results) -> dict[str, bytes]:
    """Results that must be the same bytes for the same set of events."""
    return {name: results.exact()[name] for name in COMPARED}


@pytest.mark.parametrize("name", NAMES)
def test_a_field_case_comes_out_right_however_its_lines_arrive(name: str, tmp_path: Path) -> None:
    case, rng = Case(name), random.Random(f"{SEED} {name}")
    plain = replay(tmp_path / "plain", *as_it_stands(case, tmp_path), *case.options)
    check(case, plain)
    events = case.events()
    for variant in VARIANTS:
        files = variant(events, tmp_path, rng)
        results = replay(tmp_path / variant.__name__, *files, *case.options)
        assert tables(results) == tables(plain), (variant.__name__, SEED)


@pytest.mark.parametrize("name", [name for name in NAMES if not Case(name).pushes])
def test_the_independent_evaluator_agrees_on_a_field_case(name: str, tmp_path: Path) -> None:
    case = Case(name)
    events = few(case.events())
    results = replay(tmp_path / "out", written(tmp_path / "few.ndjson", events), *case.options)
    assert outcome_in(results) == outcome_of(by_reference(case, events))
