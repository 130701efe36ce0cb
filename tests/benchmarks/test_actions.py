"""The benchmarks of the action worker at the size of a smoke run, and their checks seen to fail."""

import sys
from collections import Counter
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.act_kills import Record, Trial, faults_of
from benchmarks.action_installation import action_of
from benchmarks.action_receiver import Request
from benchmarks.confirmation import Run, conclusion
from benchmarks.dead_receiver import ARMS, Round, report
from benchmarks.hurried_act import POINTS

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="CPU time is read from /proc")
TRIAL = Trial(actions=2, kills=1, seed=1)


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(main, ["actions", *arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.timeout(600)  # seven processes, some seconds where the cores are free
def test_killed_again_and_again_with_faulty_receivers_no_action_is_lost() -> None:
    """It fails where its own checks do: losses, other keys, other ends, outcomes twice."""
    printed = run("kills", "--actions", "200", "--kills", "4", "--broker", "embedded")
    assert "life 1 of at most 4: killed" in printed, "progress, on stderr"
    assert "| 0 violations | met |" in printed
    assert "| actions: done, dead | 19" in printed


@needs_linux
@pytest.mark.timeout(600)
def test_confirmations_are_timed_from_their_intended_instant() -> None:
    small = ("--rates", "500", "--seconds", "1", "--broker", "embedded")
    printed = run("confirmation", "--part", "act", *small)
    (row,) = [line.split("|") for line in printed.splitlines() if line.startswith("| 500")]
    assert (row[3].strip(), row[4].strip()) == ("100", "0"), "confirmed, and never"


# ---------------------------------------------------------------- checks of the kills
def record() -> Record:
    """A record of two actions, one done and one refused."""
    done, refused = (action_of(f"SO-{number}", "confirm_order", 1_000) for number in range(2))
    states = {done.action_id: "done", refused.action_id: "dead"}
    outcomes = {key: Counter([f"{state} id-{key}"]) for key, state in states.items()}
    return Record(
        wanted=[done, refused],
        states=states,  # type: ignore[arg-type]  # texts of states
        requests=[
            Request("confirm_order", done.action_id, "SO-0", b"a", 1.0, "lost"),
            Request("confirm_order", done.action_id, "SO-0", b"a", 2.0, "done"),
            Request("confirm_order", refused.action_id, "SO-1", b"b", 1.0, "refused"),
        ],
        notes=outcomes,
        audits=outcomes,
        kills=Counter({POINTS[0]: 1}),
        took_s=1.0,
    )


def lost(of: Record) -> Record:
    return of._replace(states=dict(list(of.states.items())[:1]))


def open_ended(of: Record) -> Record:
    return of._replace(states=dict.fromkeys(of.states, "failed"))


def never_sent(of: Record) -> Record:
    return of._replace(requests=of.requests[2:])


def under_another_key(of: Record) -> Record:
    return of._replace(requests=[*of.requests, of.requests[0]._replace(key="another")])


def with_another_body(of: Record) -> Record:
    return of._replace(requests=[*of.requests, of.requests[0]._replace(body=b"c")])


def dead_without_a_refusal(of: Record) -> Record:
    return of._replace(states=dict.fromkeys(of.states, "dead"))


def sent_again_without_a_kill(of: Record) -> Record:
    return of._replace(requests=[*of.requests, of.requests[1]], kills=Counter())


def outcome_missing(of: Record) -> Record:
    return of._replace(notes={})


def outcome_under_two_ids(of: Record) -> Record:
    key = of.wanted[0].action_id
    return of._replace(audits=of.audits | {key: Counter(["done id-1", "done id-2"])})


VIOLATIONS: list[tuple[Callable[[Record], Record], str]] = [
    (lost, "1 actions are missing in the outbox"),
    (open_ended, "2 have not ended"),
    (never_sent, "is done, and its receiver has answered"),
    (under_another_key, "1 idempotency keys are of no action"),
    (with_another_body, "1 keys came with several bodies"),
    (dead_without_a_refusal, "is dead, and its receiver has answered"),
    (sent_again_without_a_kill, "1 were sent again after their answer"),
    (outcome_missing, "events has nothing"),
    (outcome_under_two_ids, "orders.audit has"),
]


@pytest.mark.parametrize(("violates", "complaint"), VIOLATIONS)
def test_each_violation_is_found(violates: Callable[[Record], Record], complaint: str) -> None:
    assert not [*faults_of(record(), TRIAL)], "an outcome that comes twice under one id is right"
    assert complaint in "\n".join(faults_of(violates(record()), TRIAL))


def test_a_point_of_the_outbox_that_was_never_reached_is_found() -> None:
    (complaint,) = faults_of(record(), TRIAL._replace(kills=100))
    assert complaint == f"never killed {', '.join(sorted(POINTS[1:]))}"


# ---------------------------------------------------------------- reports
def run_of(found_s: list[float], sent: int) -> Run:
    return Run(500, 100.0, sent, found_s, 0.0, {"act": 300.0}, 1.0)


def test_a_rate_is_kept_only_if_all_are_confirmed_in_time() -> None:
    kept, late, lossy = run_of([0.1] * 100, 100), run_of([6.0] * 100, 100), run_of([0.1], 2)
    assert [each.is_met for each in (kept, late, lossy)] == [True, False, False]
    assert conclusion([kept, late]).startswith("Highest rate kept: 100 orders/s")
    assert conclusion([late]).startswith("None of the rates is kept")


def test_the_others_are_compared_with_the_round_in_which_all_were_alive() -> None:
    rounds = [
        Round(arm, [seconds], 0, 0) for arm, seconds in zip(ARMS, (0.10, 0.12, 0.105), strict=True)
    ]
    hangs, refuses = report(rounds).splitlines()[-2:]
    assert "1.20 (1.20 - 1.20) | **MISSED**" in hangs
    assert "1.05 (1.05 - 1.05) | met" in refuses
