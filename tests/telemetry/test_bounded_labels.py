"""Bound on labels that messages bring."""

from hypothesis import given
from hypothesis import strategies as st

from telemetry.bounded_labels import MAX_GROUPS, MAX_VALUES, OTHER, BoundedLabels


def test_a_pair_keeps_its_labels_until_the_bound_and_after_it() -> None:
    labels = BoundedLabels(max_groups=2, max_values=2)
    assert labels.of("sf", "A") == ("sf", "A")
    assert labels.of("sf", "B") == ("sf", "B")
    assert labels.of("sf", "C") == ("sf", OTHER)
    assert labels.of("sf", "A") == ("sf", "A")
    assert labels.of("sto", "C") == ("sto", "C")
    assert labels.of("yto", "A") == (OTHER, OTHER)


@given(st.lists(st.tuples(st.text(max_size=2), st.text(max_size=2)), max_size=300))
def test_however_many_pairs_come_the_labels_are_few(pairs: list[tuple[str, str]]) -> None:
    labels = BoundedLabels(max_groups=3, max_values=4)
    found = {labels.of(*pair) for pair in pairs}
    assert len({group for group, _ in found} - {OTHER}) <= 3
    assert len(found) <= 3 * (4 + 1) + 1


def test_a_carrier_that_sends_ids_as_codes_hides_no_other_carrier() -> None:
    labels = BoundedLabels()
    noisy = {labels.of("noisy", f"id-{number}") for number in range(10_000)}
    assert len(noisy) == MAX_VALUES + 1
    quiet = [f"carrier-{number}" for number in range(MAX_GROUPS - 1)]
    assert [labels.of(name, "ALERT") for name in quiet] == [(name, "ALERT") for name in quiet]
