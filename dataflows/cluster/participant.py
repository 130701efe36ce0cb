"""Participants: the other hosts, which join the runs of the first one."""

import logging
from contextlib import closing

from dataflows.cluster.host_workers import Part, take_part
from dataflows.cluster.rendezvous import ASK_EVERY_S, OVER, Ear, Meeting, joined
from dataflows.cluster.supervisor import OUR_ERROR, ClusterEnded, Ended
from dataflows.state.remote.records import STARTED, Run
from dataflows.state.remote.run_start import join_run
from schemas.errors import StateError

LOGGER = logging.getLogger("ordertide.track")


def follow(part: Part) -> None:
    """Take part in run after run of the first host, until stopped.

    Raises:
        ClusterEnded: a worker ended for a reason that a new run doesn't mend.
    """
    known = 0
    while run := next_run(part, known):
        known = run.number
        meeting = Meeting(part.journal, run, part.host)
        try:
            ended = join(part, meeting)
        except StateError:
            if max(part.journal.runs()) == known:
                raise
            ended = Ended(0, "a later one begun while this host made its files ready")
        if ended.code == OUR_ERROR and not meeting.is_superseded():
            raise ClusterEnded(f"track: {ended.reason}")
        if not part.stop.is_set():
            LOGGER.warning("track: run %d is over (%s); waiting for the next", known, ended.reason)


def next_run(part: Part, known: int) -> Run | None:
    """The newest run after `known`, once there is one that is not over; None if stopped."""
    while not part.stop.is_set():
        newest = max(part.journal.runs(), default=0)
        if newest > known:
            run = part.journal.run(newest)
            if run.hosts > part.host and not Meeting(part.journal, run, part.host).heard(OVER):
                return run
        part.stop.wait(ASK_EVERY_S)
    return None


def join(part: Part, meeting: Meeting) -> Ended:
    """Take part in a run from its beginning to its end."""
    if meeting.heard(joined(part.host)):
        meeting.say(OVER, f"host {part.host} was restarted", is_clean=False)
        return Ended(0, "it had begun without this process")
    join_run(part.journal, part.place, meeting.run)
    meeting.join()
    with closing(Ear(meeting, part.stop)) as ear:
        while not meeting.heard(STARTED):
            if part.stop.wait(ASK_EVERY_S) or ear.over or ear.is_superseded:
                if part.stop.is_set():
                    meeting.say(OVER, f"host {part.host} was stopped")
                return Ended(0, "it did not begin")
        return take_part(part, meeting, ear)
