"""Senders of callbacks count what a gateway answers: each is known here, over a real server."""

import asyncio
from pathlib import Path
from threading import Event, Timer

from benchmarks.board_changes import Change, latencies
from benchmarks.board_page import Painted
from benchmarks.callback_senders import Flooding, send_patiently, withhold_bodies
from broker.consume import read_all
from gateway.application import application
from gateway.limits import Limits
from schemas.topics import EVENTS
from tests.browser.conftest import served
from tests.support.gateway import REST_TOKEN, open_door

PATH = f"/v1/carriers/rest/depot/callback/{REST_TOKEN}"


def test_the_senders_tell_what_was_taken_refused_and_lost(tmp_path: Path) -> None:
    with open_door(tmp_path) as door:
        limits = Limits({"callback": "20 per 1 second"})
        door.gateway = door.gateway._replace(limits=limits, now_ms=lambda: door.now_ms)
        with served(application(door.gateway)) as address:
            flooding = Flooding(address + PATH)
            flood = asyncio.run(flooding.run(200, 0.5))
            stop = Event()
            Timer(0.6, stop.set).start()
            probes = withhold_bodies(address + PATH, stop)
            patience = send_patiently(address + PATH, 30, 0.2)
        held = {(message.key or b"").decode() for message in read_all(door.connection, EVENTS)}
    assert flood.taken + flood.refused == 100
    assert 20 <= flood.taken < 60
    assert (flood.without_delay, flood.unanswered) == (0, 0)
    assert len(flooding.taken) == flood.taken
    assert probes.too_late == 0
    assert patience.refusals > 0
    assert patience.without_delay == 0
    assert {*flooding.taken, *patience.events} == held


def test_a_card_that_shows_a_later_version_shows_the_change() -> None:
    changes = [Change("a", 2, 100.0), Change("a", 3, 110.0), Change("b", 5, 100.0)]
    paints = [Painted("a", 1, 90.0), Painted("a", 3, 150.0), Painted("b", 4, 160.0)]
    assert latencies(changes, paints) == ([40.0, 50.0], 1)
