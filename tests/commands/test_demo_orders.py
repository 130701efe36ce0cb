"""The demo's generated orders."""

from itertools import islice

from commands.demo.feed import history, sizes, time_order
from commands.demo.orders import HISTORY_END_AT, generate


def test_one_seed_gives_one_stream() -> None:
    assert [*islice(generate(7), 500)] == [*islice(generate(7), 500)]


def test_generated_events_come_in_the_order_of_their_times() -> None:
    times = [timed[0] for timed in islice(generate(7), 5000)]
    assert times == sorted(times)


def test_the_history_is_in_order_and_ends_with_a_tick_at_its_end() -> None:
    records = history(50)
    assert records == sorted(records, key=time_order)
    assert records[-1][0] == HISTORY_END_AT
    assert records[-1][3]["kind"] == "tick"


def test_the_whole_sample_is_fed() -> None:
    assert sizes(history(None))[0] == 19_762
