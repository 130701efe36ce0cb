"""A round of the numbers' benchmark runs, and has every figure of the table."""

from benchmarks.number_costs import ROUND, TITLES, run_round


def test_a_round_has_every_figure_of_the_table() -> None:
    figures = run_round(ROUND.parent.parent, 500)
    assert figures.keys() == TITLES.keys()
    assert all(value >= 0 for name, value in figures.items() if name != "resident_bytes")
