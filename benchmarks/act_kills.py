"""`python -m benchmarks actions kills`: kill -9 of `act` at every state of its outbox.

python -m benchmarks actions kills                          10,000 actions, 30 % of requests fail
python -m benchmarks actions kills --actions 200 --kills 6 --broker embedded
python -m benchmarks actions kills --out docs/benchmarks.md

`act` is killed at each write of its outbox, before and after the commit, and at random instants,
again and again until all actions have ended. Its clock runs 200 times as fast, so that back-offs
take milliseconds. After each life, stderr shows how it ended and how far the actions are. Fails
unless none is lost, none is done twice beyond its idempotency key, all end done or dead, and each
outcome stands on the topics once.
"""

import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from benchmarks.action_installation import action_installation, action_of, encode
from benchmarks.action_receiver import DONE_BEFORE, ActionReceiver, Plan, Request
from benchmarks.hurried_act import POINTS, VARIABLE, Hurry
from benchmarks.report import Section, machine, put_sections, table, verdict
from benchmarks.scenario_installation import Kind, ScenarioInstallation
from broker.connect import Connection
from broker.consume import read_all
from broker.produce import Producer
from commands.act.worker import outbox_path
from commands.wiring.process import now_ms
from deploy.installation import Process, ProcessEnded
from deploy.stack.ports import free_port
from schemas.alert import Action
from schemas.instants import DAY_MS
from schemas.topics import EVENTS, ORDERS_ACTIONS, ORDERS_AUDIT
from sinks.actions.outbox import Outbox, State
from sinks.actions.receiver import AHEAD

SEED = 20_161_004
KINDS = ("confirm_order", "notify", "contact_carrier", "send_survey")
ENDED: dict[State, str] = {"done": "done", "dead": "refused"}  # and the answer to it
FAULTS, REFUSED = 0.30, 0.01
SPEED = 200
TIMEOUT_S, LATE_S = 0.25, 0.5
RANDOM_LIVES = 4  # in each round, beside the points
MOST_TIMES = 6
LIFE_S = (0.5, 6.0)  # from when it acts to a random instant
POINT_WITHIN_S = 20.0  # a point that doesn't come by then, such as an insert after the last one
STALLED_S = 300.0
SHOW_EVERY_S = 10.0
POLL_S, LOOK_S = 0.05, 0.5
PROGRAM = (sys.executable, "-m", "benchmarks.hurried_act")
RANDOM = "at a random instant"
SHOWN = 20


class Trial(NamedTuple):
    """Actions, kills at most, and the seed of faults and kills."""

    actions: int
    kills: int
    seed: int


class Record(NamedTuple):
    """Record of a trial: what was asked for, what came of it, and what it took."""

    wanted: list[Action]
    states: dict[str, State]
    requests: list[Request]
    notes: dict[str, Counter[str]]  # action → event ids of its outcome, with how often each came
    audits: dict[str, Counter[str]]
    kills: Counter[str]
    took_s: float


# ---------------------------------------------------------------- lives
class Lives:
    """The lives of `act`, one after the other, over one outbox."""

    def __init__(self, installation: ScenarioInstallation, trial: Trial, began_at: int) -> None:
        self.outbox = outbox_path(installation.settings)
        self.processes = installation.processes
        self.processes.program = PROGRAM
        self.trial, self.began_at = trial, began_at
        self.rng = random.Random(trial.seed)
        self.kills = Counter[str]()

    def points(self) -> Iterator[str]:
        """The points of all lives: in each round every point, and some random instants."""
        while True:
            each_round = [*POINTS, *[RANDOM] * RANDOM_LIVES]
            yield from self.rng.sample(each_round, len(each_round))

    def live(self, point: str) -> None:
        """One life, which ends at its point, or at a random instant before."""
        process = self.start(point)
        if is_acting(process):
            life_s = self.rng.uniform(*LIFE_S) if point == RANDOM else POINT_WITHIN_S
            give_up_at = time.monotonic() + life_s
            while process.poll() is None and time.monotonic() < give_up_at:
                time.sleep(POLL_S)
        if process.poll() is None:
            process.kill()
            process.wait()
            point = RANDOM
        if process.returncode != -signal.SIGKILL:
            process.check()
        self.kills[point] += 1
        lives = f"{self.kills.total()} of at most {self.trial.kills}"
        self.show(f"life {lives}: killed {point}")

    def end(self, count: int) -> None:
        """The last life: nothing kills it until all have ended."""
        process = self.start(RANDOM)
        give_up_at, show_at = time.monotonic() + STALLED_S, time.monotonic() + SHOW_EVERY_S
        while not self.is_over(count):
            process.check()
            if time.monotonic() > show_at:
                show_at += SHOW_EVERY_S
                self.show("the last life")
            if time.monotonic() > give_up_at:
                raise SystemExit(
                    f"after {STALLED_S:.0f} s not over: {Counter(self.states().values())}"
                )
            time.sleep(LOOK_S)
        process.stop()

    def start(self, point: str) -> Process:
        """Start `act`, which kills itself at the point."""
        hurry = Hurry(
            speed=SPEED,
            began_at=self.began_at,
            timeout_s=TIMEOUT_S,
            point=point,
            times=self.rng.randint(1, MOST_TIMES),
        )
        environment = {VARIABLE: encode(hurry).decode()}
        return self.processes.start("act", port=free_port(), environment=environment)

    def show(self, what: str) -> None:
        """Show on stderr what a life does, and how many actions are in each state."""
        counts = sorted(Counter(self.states().values()).items())
        shown = ", ".join(f"{count:,} {state}" for state, count in counts) or "none read yet"
        click.echo(f"{what}; of {self.trial.actions:,} actions: {shown}", err=True)

    def states(self) -> dict[str, State]:
        """The state of every action in the outbox."""
        if not self.outbox.exists():
            return {}
        with closing(Outbox(self.outbox)) as outbox:
            return outbox.states()

    def is_over(self, count: int) -> bool:
        """Return True once so many have ended and all outcomes are published."""
        states = self.states()
        if len(states) < count or not all(state in ENDED for state in states.values()):
            return False
        with closing(Outbox(self.outbox)) as outbox:
            return not outbox.unpublished(1)


def is_acting(process: Process) -> bool:
    """Wait until a life acts; False if it was killed before."""
    try:
        process.wait_until_ready(STALLED_S)
    except ProcessEnded:
        if process.returncode != -signal.SIGKILL:
            raise
        return False
    return True


def play(broker: Kind, trial: Trial) -> Record:
    """All lives, until all actions have ended."""
    began_s, began_at = time.monotonic(), now_ms()
    wanted = [
        action_of(f"SO-{n}", KINDS[n % len(KINDS)], began_at, began_at + 90 * DAY_MS)
        for n in range(trial.actions)
    ]
    plan = Plan(faults=FAULTS, refused=REFUSED, late_s=LATE_S, seed=trial.seed)
    with ActionReceiver(plan) as receiver:
        kinds = {name: receiver.url(name) for name in KINDS}
        with action_installation(receiver, kinds, broker) as site:
            connection = site.installation.connection
            lives = Lives(site.installation, trial, began_at)
            live_on(lives, connection, wanted)
            return Record(
                wanted=wanted,
                states=lives.states(),
                requests=receiver.taken(),
                notes=outcomes(connection, EVENTS, "event_id", "action"),
                audits=outcomes(connection, ORDERS_AUDIT, "audit_id", "detail"),
                kills=lives.kills,
                took_s=time.monotonic() - began_s,
            )


def live_on(lives: Lives, connection: Connection, wanted: list[Action]) -> None:
    """Append some actions before each of the first lives; the last one lives to the end."""
    at_a_time = -(-len(wanted) // max(lives.trial.kills // 2, 1))
    sent = 0
    with Producer(connection, linger_ms=0) as producer:
        for point in islice(lives.points(), lives.trial.kills):
            for each in wanted[sent : sent + at_a_time]:
                producer.send(ORDERS_ACTIONS, each.order_id.encode(), encode(each))
            producer.flush()
            sent = min(sent + at_a_time, len(wanted))
            lives.live(point)
            if sent == len(wanted) and lives.is_over(sent):
                break
    lives.end(len(wanted))


def outcomes(
    connection: Connection, topic: str, identity: str, detail: str
) -> dict[str, Counter[str]]:
    """Ids of the messages about each action on a topic, with how often each came."""
    found = defaultdict[str, Counter[str]](Counter)
    for message in read_all(connection, topic):
        fields = msgspec.json.decode(message.value or b"{}")
        if "state" in fields.get(detail, {}):
            found[fields[detail]["action_id"]][f"{fields[detail]['state']} {fields[identity]}"] += 1
    return found


# ---------------------------------------------------------------- what has to hold
def faults_of(record: Record, trial: Trial) -> Iterator[str]:
    """Violations, one a line."""
    wanted = {each.action_id for each in record.wanted}
    if missing := wanted - record.states.keys():
        yield f"{len(missing)} actions are missing in the outbox, such as {min(missing)}"
    if open_ones := {key for key, state in record.states.items() if state not in ENDED}:
        yield f"{len(open_ones)} have not ended, such as {min(open_ones)}"
    yield from wrong_requests(record, wanted)
    for topic, found in ((EVENTS, record.notes), (ORDERS_AUDIT, record.audits)):
        yield from wrong_outcomes(topic, found, record.states)
    allowed = sum(record.kills.values()) * AHEAD * len(KINDS)
    if (again := repeated(record)) > allowed:
        yield f"{again} were sent again after their answer; the kills explain {allowed}"
    if trial.kills > 2 * len(POINTS) and (never := set(POINTS) - record.kills.keys()):
        yield f"never killed {', '.join(sorted(never))}"


def wrong_requests(record: Record, wanted: set[str]) -> Iterator[str]:
    """Requests under another key or body, and ends that the receiver's answers don't explain."""
    bodies, answers = defaultdict[str, set[bytes]](set), defaultdict[str, set[str]](set)
    for request in record.requests:
        bodies[request.key].add(request.body)
        answers[request.key].add(request.outcome)
    if strange := bodies.keys() - wanted:
        yield f"{len(strange)} idempotency keys are of no action, such as {min(strange)}"
    if changed := [key for key, each in bodies.items() if len(each) > 1]:
        yield f"{len(changed)} keys came with several bodies, such as {changed[0]}"
    for key, state in record.states.items():
        if state in ENDED and ENDED[state] not in answers[key]:
            yield f"{key} is {state}, and its receiver has answered {sorted(answers[key])}"


def wrong_outcomes(
    topic: str, identities: dict[str, Counter[str]], states: dict[str, State]
) -> Iterator[str]:
    """Actions whose outcome is missing on a topic, comes under two ids, or is another."""
    for key, state in states.items():
        found = identities.get(key, Counter())
        if [each.split(" ")[0] for each in found] != [state]:
            yield f"{key} is {state}; {topic} has {sorted(found) or 'nothing'}"


def repeated(record: Record) -> int:
    """Requests for what the receiver had taken, with an answer, before."""
    answered = Counter(each.key for each in record.requests if each.outcome == "done")
    return sum(count - 1 for count in answered.values())


# ---------------------------------------------------------------- report
def report(record: Record, wrong: list[str]) -> str:
    """The tables."""
    was = Counter(each.outcome for each in record.requests)
    ends = Counter(record.states.values())
    twice = sum(sum(each.values()) - len(each) for each in record.notes.values())
    done_unanswered = sum(was[each] for each in DONE_BEFORE)
    requests = len(record.requests)
    failed = requests - was["done"] - was["refused"]
    rows = [
        ["actions: done, dead", f"{ends['done']:,}, {ends['dead']:,}"],
        ["requests", f"{requests:,}"],
        *([f"… {name}", f"{count:,}"] for name, count in sorted(was.items())),
        ["share of requests that failed", f"{failed / requests:.0%}"],
        ["taken by the receiver without an answer in time", f"{done_unanswered:,}"],
        ["sent again after an answer, under the same key", f"{repeated(record):,}"],
        ["outcomes on events a second time, with the same id", f"{twice:,}"],
        ["kills", f"{sum(record.kills.values()):,}"],
        *([f"… {point}", f"{count:,}"] for point, count in sorted(record.kills.items())),
        ["time", f"{record.took_s:,.0f} s"],
    ]
    aim = "none lost, none done twice beyond its key, all done or dead, outcomes once"
    aims = [[aim, f"{len(wrong)} violations", verdict(is_met=not wrong)]]
    return f"{table(['', ''], rows)}\n\n{table(['aim', 'measured', ''], aims)}"


@click.command()
@click.option("--actions", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--kills", type=click.IntRange(1), default=100, show_default=True, help="at most")
@click.option("--broker", type=click.Choice(["kafka", "embedded"]), default="kafka")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def kills(*, actions: int, kills: int, broker: Kind, seed: int, out: Path | None) -> None:
    """Kill `act` at every state of its outbox, with faulty receivers, and check the outcome."""
    trial = Trial(actions, kills, seed)
    conditions = machine(seed)
    record = play(broker, trial)
    wrong = [*faults_of(record, trial)]
    head = f"{conditions}; {broker} broker; {actions:,} actions, {len(KINDS)} receivers."
    section = Section("kills", f"{head}\n\n{report(record, wrong)}")
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if wrong:
        raise SystemExit("\n".join(wrong[:SHOWN]))
    if out:
        put_sections(out, [section])
