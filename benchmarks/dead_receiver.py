"""`python -m benchmarks actions dead-receiver`: one of twenty receivers is dead.

python -m benchmarks actions dead-receiver
python -m benchmarks actions dead-receiver --rate 1000 --seconds 60 --rounds 5
python -m benchmarks actions dead-receiver --out docs/benchmarks.md

All have equal load. Rounds in turn: all alive, one that hangs until the time-out, one that refuses
connections. `act` starts anew for each round, and what waits for the dead one expires before.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.action_installation import (
    Site,
    action_installation,
    action_of,
    at_share,
    encode,
    paced,
    share_of,
)
from benchmarks.action_receiver import ActionReceiver
from benchmarks.report import Section, machine, put_sections, spread, table, verdict
from benchmarks.scenario_installation import Kind
from broker.produce import Record
from schemas.topics import ORDERS_ACTIONS

SEED = 20_161_004
RECEIVERS = tuple(f"r{number:02d}" for number in range(20))
DEAD = RECEIVERS[-1]
ARMS = ("all alive", "one hangs", "one refuses")
AIM_TIMES = 1.10
WARM_UP_S, DRAIN_S, STOP_S = 3.0, 60.0, 30.0


class Round(NamedTuple):
    """A round of an arm: seconds from the intended instant to the other nineteen, and losses."""

    arm: str
    found_s: list[float]
    never: int
    at_dead: int  # requests that the dead one would have got, and did not answer


class Load:
    """Actions of a round: when each was to be sent, by its order."""

    def __init__(self, number: int, rate: float, ends_at: float) -> None:
        self.number, self.rate, self.ends_at = number, rate, ends_at
        self.intended: dict[str, float] = {}

    def due(self, tick: int, at: float) -> Iterator[Record]:
        """The actions of a tick, to the receivers in turn."""
        for number in share_of(tick, self.rate):
            kind = RECEIVERS[number % len(RECEIVERS)]
            name = f"{self.number}-{number}"
            expires_at = int(self.ends_at * 1000) if kind == DEAD else None
            if kind != DEAD:
                self.intended[name] = at
            action = action_of(name, kind, int(at * 1000), expires_at)
            yield Record(name.encode(), encode(action))


def measure(rate: float, seconds: float, rounds: int, broker: Kind) -> list[Round]:
    """All rounds, in turn."""
    found: list[Round] = []
    with ActionReceiver() as receiver:
        kinds = {name: receiver.url(name, second=name == DEAD) for name in RECEIVERS}
        with action_installation(receiver, kinds, broker) as site:
            for number in range(rounds * len(ARMS)):
                arm = ARMS[number % len(ARMS)]
                found.append(play(site, receiver, arm, number, rate, seconds))
    return found


def play(
    site: Site, receiver: ActionReceiver, arm: str, number: int, rate: float, seconds: float
) -> Round:
    """One round with an `act` of its own."""
    receiver.hang(*([DEAD] if arm == "one hangs" else []))
    receiver.refuse(is_refusing=arm == "one refuses")
    act = site.start_act()
    length_s = WARM_UP_S + seconds
    load = Load(number, rate, time.time() + length_s + 1)
    receiver.taken()
    paced(site.installation.connection, ORDERS_ACTIONS, length_s, load.due)
    came, at_dead = collect(receiver, load)
    act.stop(STOP_S)
    begin = load.ends_at - 1 - seconds
    counted = {name: at for name, at in load.intended.items() if at >= begin}
    latencies = sorted(came[name] - at for name, at in counted.items() if name in came)
    return Round(arm, latencies, len(counted) - len(latencies), at_dead)


def collect(receiver: ActionReceiver, load: Load) -> tuple[dict[str, float], int]:
    """When the others got each order, and the number of requests at the dead one."""
    came: dict[str, float] = {}
    at_dead = 0
    give_up_at = time.monotonic() + DRAIN_S
    while load.intended.keys() - came.keys() and time.monotonic() < give_up_at:
        for request in receiver.taken():
            if request.receiver == DEAD:
                at_dead += request.outcome == "hang"
            else:
                came.setdefault(request.order_id, request.at)
        time.sleep(0.1)
    return came, at_dead


def report(found: list[Round]) -> str:
    """The table of the arms."""
    alive = [at_share(each.found_s, 0.99) for each in found if each.arm == ARMS[0]]
    rows = []
    for arm in ARMS:
        rounds = [each for each in found if each.arm == arm]
        p99s = [at_share(each.found_s, 0.99) for each in rounds]
        times = spread([p99 / other for p99, other in zip(p99s, alive, strict=True)])
        rows.append(
            [
                arm,
                f"{sum(len(each.found_s) for each in rounds):,}",
                sum(each.never for each in rounds),
                *(
                    spread([at_share(each.found_s, share) * 1000 for each in rounds]).text()
                    for share in (0.5, 0.99, 1)
                ),
                "" if arm == ARMS[0] else times.text(2),
                "" if arm == ARMS[0] else verdict(is_met=times.median <= AIM_TIMES),
            ]
        )
    heads = ["", "actions of the nineteen", "never", "p50 ms", "p99 ms", "most ms"]
    return table([*heads, "p99, times all alive", f"at most {AIM_TIMES:.2f}"], rows)


@click.command("dead-receiver")
@click.option("--rate", type=float, default=400, show_default=True, help="actions/s, of all twenty")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=20.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="of each arm")
@click.option("--broker", type=click.Choice(["kafka", "embedded"]), default="kafka")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def dead_receiver(
    *, rate: float, seconds: float, rounds: int, broker: Kind, out: Path | None
) -> None:
    """Time actions at nineteen receivers while the twentieth is alive, hangs, or refuses."""
    conditions = machine(SEED)
    found = measure(rate, seconds, rounds, broker)
    head = (
        f"{conditions}; {rate:,.0f} actions/s to twenty receivers, {rounds} rounds of "
        f"{seconds:.0f} s in turn; at the one that hangs "
        f"{sum(each.at_dead for each in found)} requests ran into the time-out."
    )
    section = Section("dead-receiver", f"{head}\n\n{report(found)}")
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
