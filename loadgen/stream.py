"""The stream of generated events: orders live step by step, and the network delays and doubles.

Nothing is kept of a live order but one number in the slice of time in which its next step comes.
"""

import random
from collections.abc import Iterator

from loadgen.agenda import Agenda
from loadgen.chance import SLOTS, log_uniform, mixer
from loadgen.demand import Demand
from loadgen.expectation import ExpectedCounts
from loadgen.lives import KINDS, LIVES, SALE_LIVES, Life, kind_of
from loadgen.malformed import bad_message
from loadgen.plan import Plan, Shares, Waits
from schemas.instants import MINUTE_MS, SECOND_MS

# A message to be sent: (arrival, number of the order, step, time, the order's chance). A plain
# tuple, as making a named one takes 0.4 us more, a tenth of all that an event costs.
Emission = tuple[int, int, int, int, int]
MALFORMED = -1  # a step that no life has

# A turn of an order is one integer that sorts by time: time, number, step (10 bits), chance.
STEP_BITS, CHANCE_BITS, NAME_BITS = 10, 64, 44
STEP_MASK = (1 << STEP_BITS) - 1
CHANCE_MASK = (1 << CHANCE_BITS) - 1
NAME_MASK = (1 << NAME_BITS) - 1

HELD_BACK_MS = log_uniform(SECOND_MS, MINUTE_MS)
AT_ONCE = 0.5  # of second copies: sent again before an answer came; the others within a minute
LOTS = mixer(0)  # odd multipliers of 64 bits: their products of one draw look like many
LAST_COMMANDS = [life.last_command for life in KINDS]
SAMPLE = 1000  # lives sampled to estimate when the oldest live order began


class Stream:
    """A plan's messages in slices of time, each sorted by arrival. One use."""

    def __init__(self, plan: Plan) -> None:
        """Create the stream; the same plan gives the same messages."""
        self.plan = plan
        self.expected = ExpectedCounts()
        self.rng = random.Random(plan.seed)  # noqa: S311 - a seeded stream, not a secret
        self.mix = mixer(plan.seed)
        # A sale is bought and paid in minutes and shipped after it, however short lives are.
        self.waits = [
            *(waits_of(life, plan.waits) for life in LIVES),
            *(waits_of(life, Waits(scale=1.0)) for life in SALE_LIVES),
        ]
        self.schedule: Agenda[int] = Agenda()
        self.held: Agenda[Emission] = Agenda()
        self.delayed = share_delayed(plan.shares)
        either = plan.shares.out_of_order + plan.shares.late
        self.late_among_delayed = plan.shares.late / either if either else 0.0
        self.slice_ms = plan.slice_ms
        self.begins_at = plan.start_at - (self.longest_ms() if plan.live_orders else 0)
        self.demand = Demand(plan, self.rng, self.begins_at)

    def slices(self) -> Iterator[tuple[int, list[Emission]]]:
        """(end of a slice, its messages) to the end of the plan; what is held back then is left.

        First comes the history of the orders that are live at the start.
        """
        yield from self.between(self.begins_at, self.plan.start_at)
        yield from self.between(self.plan.start_at, self.plan.end_at)

    def flush(self, at: int) -> list[Emission]:
        """Everything held back, arriving at `at`: the network is mended."""
        return sorted((min(sent[0], at), *sent[1:]) for sent in self.held.take_all())

    def between(self, begin_at: int, end_at: int) -> Iterator[tuple[int, list[Emission]]]:
        """The slices that hold something, from `begin_at` to before `end_at`."""
        number = begin_at // self.slice_ms
        while number * self.slice_ms < end_at:
            until = min((number + 1) * self.slice_ms, end_at)
            yield until, self.slice(number, until)
            nexts = (self.schedule.first(), self.held.first(), self.demand.first() // self.slice_ms)
            number = max(number + 1, min(n for n in nexts if n is not None))

    def slice(self, number: int, end_at: int) -> list[Emission]:
        """The messages that arrive in a slice, which ends before `end_at`."""
        due = self.schedule.take(number)
        due += self.placed(end_at)
        due.sort()
        out = self.held.take(number)
        self.emit_due(due, out)
        out.sort()
        return out

    def placed(self, end_at: int) -> Iterator[int]:
        """First turns of orders placed before `end_at`; before the start of those that last."""
        start = self.plan.start_at
        for at, serial in self.demand.until(end_at):
            if at >= start or at + self.life_ms(serial) >= start:
                yield (at << NAME_BITS | serial << STEP_BITS) << CHANCE_BITS | self.mix(serial)

    def emit_due(self, due: list[int], out: list[Emission]) -> None:
        """Emit the due event of each order, and schedule its next."""
        # One loop with everything at hand: this is what each event costs.
        put, slice_ms, end_at = self.schedule.put, self.slice_ms, self.plan.end_at
        kinds, expected, rng = self.waits, self.expected.steps, self.rng.random
        shares, delayed, asked = self.plan.shares, self.delayed, LAST_COMMANDS
        for packed in due:
            chance, named = packed & CHANCE_MASK, packed >> CHANCE_BITS
            at, name = named >> NAME_BITS, named & NAME_MASK
            serial, step = name >> STEP_BITS, name & STEP_MASK
            kind = kind_of(serial, chance)
            waits = kinds[kind]
            expected[kind][step] += 1
            if step + 1 < len(waits):
                table, lot = waits[step + 1]
                next_at = at + table[(chance * lot >> 40) % SLOTS]
                if next_at < end_at:
                    turn = (next_at << NAME_BITS | name + 1) << CHANCE_BITS | chance
                    put(next_at // slice_ms, turn)
            sent = at, serial, step, at, chance
            if rng() < delayed and step > asked[kind]:
                sent = self.delay(sent)
            else:
                out.append(sent)
            if rng() < shares.duplicates:
                self.inject_duplicate(sent, out)
            if rng() < shares.malformed:
                self.inject_malformed(sent, out)

    def delay(self, sent: Emission) -> Emission:
        """Delay an event: it arrives out of order, or late."""
        is_late = self.rng.random() < self.late_among_delayed
        self.expected.late += is_late
        self.expected.out_of_order += not is_late
        return self.hold(sent, self.plan.late_ms if is_late else HELD_BACK_MS)

    def inject_duplicate(self, sent: Emission, out: list[Emission]) -> None:
        """Send an event once more, after its first copy."""
        self.expected.duplicates += 1
        if sent[0] == sent[3] and self.rng.random() < AT_ONCE:
            out.append(sent)
        else:
            self.hold(sent, HELD_BACK_MS)

    def inject_malformed(self, sent: Emission, out: list[Emission]) -> None:
        """Send a malformed message beside an event."""
        _, serial, _, at, chance = sent
        out.append((at, serial, MALFORMED, at, chance))
        self.expected.rejected[bad_message(chance + at).code] += 1

    def hold(self, sent: Emission, delays_ms: tuple[float, ...]) -> Emission:
        """Let a message arrive later."""
        arrival_at = sent[0] + int(delays_ms[int(self.rng.random() * SLOTS)])
        held = arrival_at, *sent[1:]
        self.held.put(arrival_at // self.slice_ms, held)
        return held

    def life_ms(self, serial: int) -> int:
        """Length of an order's life: from its first event to its last."""
        chance = self.mix(serial)
        waits = self.waits[kind_of(serial, chance)]
        return sum(table[(chance * lot >> 40) % SLOTS] for table, lot in waits[1:])

    def longest_ms(self) -> int:
        """Age of the oldest order that may be live, estimated from a sample."""
        return max(self.life_ms(serial) for serial in range(SAMPLE)) // 1000 * 1000


def waits_of(life: Life, waits: Waits) -> list[tuple[tuple[int, ...], int]]:
    """For each step of a life its waits in ms, and the multiplier that draws one by its lot."""
    return [(waits.table(step.wait), LOTS(step.wait.lot) | 1) for step in life.steps]


def share_delayed(shares: Shares) -> float:
    """The share of delayed events among those that may be delayed: they make up for the others."""
    all_steps = sum(life.per_mille * len(life.steps) for life in LIVES)
    spared = sum(life.per_mille * (life.last_command + 1) for life in LIVES)
    return (shares.out_of_order + shares.late) * all_steps / (all_steps - spared)
