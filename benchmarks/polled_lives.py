"""Parcels' lives against the plan of one account, in virtual time, without HTTP.

Each parcel gets its scans at random instants; the carrier knows one as soon as it happens, we learn
of it by asking. `Watch` checks the promise at each answer: how old the news was just before.
"""

import random
from heapq import heapify, heapreplace
from typing import NamedTuple

from dataflows.carriers.pollable import Asked
from dataflows.carriers.polling import PROMISED, SILENT_MS, Plan

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
PATH = ("LABEL_CREATED", "COLLECTED", "IN_TRANSIT", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED")
LONG_AGO = -(10**13)


class Life(NamedTuple):
    """A parcel's number, and (instant, status) of each of its scans."""

    number: str
    scans: list[tuple[int, str]]


class Outcome(NamedTuple):
    """`oldest_ms`: age of the oldest promised news; `most_a_second`: requests in one second."""

    asked: int
    requests: int
    oldest_ms: int
    most_a_second: int
    delivered: int


def lives(count: int, days: float, rng: random.Random) -> list[Life]:
    """Parcels that begin within `days`; a fiftieth falls silent on its way."""
    made = []
    for number in range(count):
        at = rng.randrange(round(days * 24 * HOUR_MS))
        scans = []
        for status in PATH[: 3 if number % 50 == 0 else None]:
            scans.append((at, status))
            at += rng.randrange(10 * MINUTE_MS, 30 * HOUR_MS)
        made.append(Life(f"JT{number:012}", scans))
    return made


def run(plan: Plan, parcels: list[Life], until: int, *, latency_ms: int = 500) -> Outcome:
    """Ask by the plan from 0 to `until`; each request is answered after `latency_ms`."""
    by_number = {life.number: life for life in parcels}
    known: dict[str, int] = {}  # number → scans that we have
    begins = [(life.scans[0][0], life.number) for life in parcels]
    heapify(begins)
    end = (until + 1, "")
    now = asked = requests = oldest = delivered = 0
    seconds: dict[int, int] = {}
    while now < until:
        while begins[0][0] <= now:
            life = by_number[heapreplace(begins, end)[1]]
            known[life.number] = 1  # the shop gives the label's event
            plan.put(Asked(life.number, "jt"), life.scans[0][1], life.scans[0][0], now)
        taken = plan.take(now)
        if not taken:
            now = max(now + 1, min(begins[0][0], plan.next_at(now) or until))
            continue
        requests += 1
        seconds[now // 1000] = seconds.get(now // 1000, 0) + 1
        answered_at = now + latency_ms
        for each in taken:
            parcel = plan.parcels[each.number]
            if parcel.status in PROMISED and answered_at - parcel.news_at < SILENT_MS:
                oldest = max(oldest, answered_at - parcel.heard_at)
        plan.answered(taken, answered_at)
        for each in taken:
            life, have = by_number[each.number], known[each.number]
            asked += 1
            new = [scan for scan in life.scans[have:] if scan[0] <= now]
            if new:
                known[each.number] = have + len(new)
                news_at, status = new[-1]
                delivered += status == "DELIVERED"
                plan.put(each, status, news_at, answered_at)
    return Outcome(asked, requests, oldest, max(seconds.values(), default=0), delivered)
