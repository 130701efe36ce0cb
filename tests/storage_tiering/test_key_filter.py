"""The key filter forgets no key, and lets few others through."""

from hypothesis import given
from hypothesis import strategies as st

from storage_tiering.archive.key_filter import make_filter, may_hold


@given(st.sets(st.text(max_size=20), max_size=40))
def test_a_key_that_was_put_in_is_always_found(keys: set[str]) -> None:
    made = make_filter(keys)
    assert all(may_hold(made, key) for key in keys)


def test_of_other_keys_about_one_in_a_hundred_passes() -> None:
    made = make_filter({f"order-{n}" for n in range(5_000)})
    passed = sum(may_hold(made, f"other-{n}") for n in range(5_000))
    assert passed < 100


def test_the_filter_of_nothing_holds_nothing() -> None:
    assert not may_hold(make_filter(set()), "order-1")
