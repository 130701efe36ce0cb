"""Coordinator: the first of many hosts, which begins the runs."""

import logging
import time
from collections.abc import Callable
from contextlib import closing

from broker.lease import RunLease
from dataflows.cluster.host_workers import Part, first_of, take_part
from dataflows.cluster.rendezvous import ASK_EVERY_S, OVER, Ear, Meeting
from dataflows.cluster.supervisor import LOOK_EVERY_S, OUR_ERROR, Ended, confirm
from dataflows.state.remote.records import STARTED
from dataflows.state.remote.run_start import Origin, Plan, begin_run

LOGGER = logging.getLogger("ordertide.track")
TELL_AFTER_S = 5.0


def lead(
    part: Part,
    plan: Plan,
    next_token: Callable[[], int | None],
    lease: RunLease,
    anew: Origin | None = None,
) -> Ended:
    """Begin a run, supervise it, and return its result; with `anew` it begins a new state.

    Raises:
        LeaseLost: another run has the lease.
        TakenOver: another process has begun a run.
    """
    token = next_token()
    if token is None:
        return Ended(0, "stopped")
    run = begin_run(part.journal, part.place, plan._replace(token=token), anew)
    meeting = Meeting(part.journal, run, part.host)
    with closing(Ear(meeting, part.stop)) as ear:
        if not gathered(part, meeting, ear, lease):
            meeting.say(OVER, "host 0 was stopped")
            return Ended(0, ear.over.reason if ear.over else "stopped")
        meeting.say(STARTED)
        LOGGER.info("track: run %d begins on %d hosts", run.number, run.hosts)
        ended = take_part(part, meeting, ear, lambda: confirm(lease))
        if ear.is_superseded:  # two coordinators would keep taking it from each other
            reason = (
                f"another process has begun run {run.number + 1} of this state; stop one of them"
            )
            return Ended(OUR_ERROR, reason)
        return ended


def gathered(part: Part, meeting: Meeting, ear: Ear, lease: RunLease) -> bool:
    """Wait until all hosts have joined.

    False: stopped, or a host reports that the run is over already.
    """
    tell_at_s = time.monotonic() + TELL_AFTER_S
    while missing := meeting.missing():
        if time.monotonic() > tell_at_s:
            tell_at_s += TELL_AFTER_S
            run = meeting.run
            names = ", ".join(f"{host} ({run.addresses[first_of(run, host)]})" for host in missing)
            LOGGER.warning("track: run %d waits for host %s", run.number, names)
        if not waited(part, ear, lease, ASK_EVERY_S):
            return False
    return not part.stop.is_set()


def waited(part: Part, ear: Ear, lease: RunLease, pause_s: float) -> bool:
    """Let time pass, with an eye on the lease; False when there is no use in it any more."""
    until_s = time.monotonic() + pause_s
    while time.monotonic() < until_s:
        confirm(lease)
        if part.stop.wait(LOOK_EVERY_S) or ear.over:
            return False
    return not part.stop.is_set()
