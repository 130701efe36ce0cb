"""View model of the operations: flow, conservation, tiers, dead letters and dead actions."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from broker.fetcher import Message
from gateway.api.webhooks import WebhookView
from gateway.board.links import order_href
from gateway.board.webhooks_page import WebhookRow, webhook_row
from gateway.board.wording import Words
from gateway.dead_letters import code_of, header, is_original
from gateway.ingest import HEADER_KEY
from gateway.operations.flow import GroupFlow
from gateway.operations.letters import Replays
from gateway.operations.operations import ActionsSample, Sample, TierSample
from gateway.operations.processes import Conservation, ProcessSample, conservation
from schemas.alert import Action
from schemas.display import printable
from schemas.instants import SECOND_MS, parse_instant
from schemas.topics import HEADER_OFFSET, HEADER_PARTITION, HEADER_REASON, HEADER_TOPIC
from sinks.actions.outbox import Task

UNITS = ("B", "kB", "MB", "GB", "TB")
THOUSAND = 1_000
SHOWN_BYTES = 400  # of an original
SAMPLES = 3  # of a code
MOST_ACTIONS = 50
ACTION = msgspec.json.Decoder(Action)


class Box(NamedTuple):
    """A consumer group of the flow, in words."""

    label: str
    name: str
    state: str
    rate: str
    behind: str
    note: str


class Term(NamedTuple):
    """A term of the conservation line."""

    name: str
    messages: int


class TierRow(NamedTuple):
    """A tier in words."""

    name: str
    size: str
    is_fine: bool
    stale: str


class LetterSample(NamedTuple):
    """A dead letter: why, where it came from, and the beginning of its original."""

    at: str
    reason: str
    origin: str
    sender: str
    original: str


class LetterRow(NamedTuple):
    """The dead letters of a code. `waiting` are those that a replay would write back."""

    code: str
    letters: int
    waiting: int
    replayed: str
    samples: list[LetterSample]


class ActionRow(NamedTuple):
    """A dead action in words."""

    kind: str
    rule: str
    order_id: str
    href: str
    receiver: str
    at: str
    reason: str


class OperationsPage(NamedTuple):
    """The operations. Faults are why a part of it is unknown now.

    `letters` and `actions` are None for a viewer of one tenant, who may not see those of others.
    """

    boxes: list[Box]
    flow_fault: str
    terms_in: list[Term]
    terms_out: list[Term]
    is_broken: bool
    tiers: list[TierRow]
    letters: list[LetterRow] | None
    letters_read: int  # 0 where these are all
    letters_fault: str
    actions: list[ActionRow] | None
    queued: list[Term]
    actions_fault: str
    webhooks: list[WebhookRow]
    delivered: list[Term]
    processes: list[tuple[str, bool]]


class Seen(NamedTuple):
    """Installation, tiers and replays as a viewer sees them; `is_whole` for all tenants.

    `webhooks` are the viewer's subscriptions.
    """

    sample: Sample
    tiers: Sequence[TierSample]
    replays: Replays
    is_whole: bool
    webhooks: Sequence[WebhookView] = ()


def operations_page(words: Words, seen: Seen, now: int) -> OperationsPage:
    """The page at `now` (ms of the wall clock)."""
    sample = seen.sample
    kept = conservation(sample.processes)
    return OperationsPage(
        boxes=[box(words, group) for group in sample.flow.groups],
        flow_fault=sample.flow.fault,
        terms_in=terms_in(kept),
        terms_out=terms_out(kept),
        is_broken=kept is not None and kept.under_way < 0,
        tiers=[tier_row(words, each) for each in seen.tiers],
        letters=letter_rows(words, sample.letters, seen.replays, now) if seen.is_whole else None,
        letters_read=0 if sample.has_all_letters else len(sample.letters),
        letters_fault=sample.letters_fault,
        actions=action_rows(words, sample.actions, now) if seen.is_whole else None,
        queued=queued(sample.actions),
        actions_fault=sample.actions_fault,
        webhooks=[webhook_row(words, each, now) for each in seen.webhooks if is_troubled(each)],
        delivered=delivered(words, seen),
        processes=[is_up(each) for each in sample.processes],
    )


def box(words: Words, group: GroupFlow) -> Box:
    """A consumer group in words."""
    role, _, part = group.name.partition(" ")
    note = ""
    if group.state == "behind" and group.behind_s is not None:
        note = words.say("flow.takes", span=words.span(round(group.behind_s * SECOND_MS)))
    return Box(
        label=words.say(f"flow.{role}", part=part),
        name=group.name,
        state=group.state,
        rate=rate_text(words, group.per_second),
        behind=words.say("flow.behind", n=words.number(group.behind)),
        note=note,
    )


def rate_text(words: Words, per_second: float | None) -> str:
    """A rate; a dash before a second look."""
    if per_second is None:
        return "–"
    n = words.number(round(per_second) if per_second >= 1 else per_second)
    return words.say("flow.rate", n=n)


def terms_in(kept: Conservation | None) -> list[Term]:
    """Left side of the conservation line: messages read."""
    return [Term("read", kept.read), Term("restored", kept.restored)] if kept else []


def terms_out(kept: Conservation | None) -> list[Term]:
    """Right side of the conservation line: outcomes."""
    if kept is None:
        return []
    parts = [Term(name, messages) for name, messages in kept.parts.items()]
    return [*parts, Term("waiting", kept.waiting), Term("under_way", kept.under_way)]


def tier_row(words: Words, tier: TierSample) -> TierRow:
    """A tier in words."""
    size = "–" if tier.size_bytes is None else size_text(words, tier.size_bytes)
    return TierRow(tier.name, size, not tier.stale, tier.stale)


def size_text(words: Words, size_bytes: int) -> str:
    """`12.3 MB`."""
    size, unit = float(size_bytes), 0
    while size >= THOUSAND and unit < len(UNITS) - 1:
        size, unit = size / THOUSAND, unit + 1
    return f"{words.number(round(size, 1) if unit else size_bytes)} {UNITS[unit]}"


def letter_rows(
    words: Words, letters: Sequence[Message], replays: Replays, now: int
) -> list[LetterRow]:
    """Dead letters by code, the most frequent first."""
    by_code: dict[str, list[Message]] = defaultdict(list)
    for letter in letters:
        by_code[code_of(letter)].append(letter)
    rows = [letter_row(words, code, found, replays, now) for code, found in by_code.items()]
    return sorted(rows, key=lambda row: (-row.waiting, -row.letters, row.code))


def letter_row(
    words: Words, code: str, found: Sequence[Message], replays: Replays, now: int
) -> LetterRow:
    """The dead letters of a code; the examples are the newest that were not replayed."""
    waiting = replays.waiting(found, code)
    replay, replayed = replays.records.get(code), ""
    if replay:
        at = words.stamp(parse_instant(replay.at), now)
        replayed = words.say("letters.replayed", n=replay.letters, at=at, name=replay.by)
    return LetterRow(
        code=code,
        letters=len(found),
        waiting=len(waiting),
        replayed=replayed,
        samples=[letter_sample(words, each, now) for each in (waiting or found)[:SAMPLES]],
    )


def letter_sample(words: Words, letter: Message, now: int) -> LetterSample:
    """A dead letter in words."""
    value = letter.value or b""
    text = value[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    topic, partition, offset = (
        header(letter, name) for name in (HEADER_TOPIC, HEADER_PARTITION, HEADER_OFFSET)
    )
    return LetterSample(
        at=words.stamp(letter.timestamp_ms, now) if letter.timestamp_ms > 0 else "",
        reason=header(letter, HEADER_REASON),
        origin=f"{topic} [{partition}] {offset}",
        sender=header(letter, HEADER_KEY),
        original=printable(text) + ("…" if len(value) > SHOWN_BYTES else "")
        if is_original(letter)
        else "",
    )


def action_rows(words: Words, actions: ActionsSample | None, now: int) -> list[ActionRow]:
    """The dead actions, the one that ended last first."""
    dead = actions.dead if actions else []
    return [action_row(words, task, now) for task in reversed(dead)][:MOST_ACTIONS]


def action_row(words: Words, task: Task, now: int) -> ActionRow:
    """A dead action in words."""
    action = ACTION.decode(task.value)
    return ActionRow(
        kind=action.kind,
        rule=words.rule(action.rule),
        order_id=action.order_id,
        href=order_href(action.tenant, action.order_id),
        receiver=task.receiver,
        at=words.stamp(task.ended_at, now) if task.ended_at else "",
        reason=task.reason,
    )


def queued(actions: ActionsSample | None) -> list[Term]:
    """Actions of the outbox by receiver and state."""
    counts = actions.counts if actions else {}
    return [Term(f"{receiver} · {state}", n) for (receiver, state), n in sorted(counts.items())]


def is_troubled(webhook: WebhookView) -> bool:
    """Return True for a subscription whose receiver fails, or that was disabled."""
    return webhook.status in {"failing", "disabled"}


def delivered(words: Words, seen: Seen) -> list[Term]:
    """Deliveries of the viewer's subscriptions by state, but for those that are done."""
    own, counts = {each.id for each in seen.webhooks}, Counter[str]()
    for (webhook, state), count in seen.sample.deliveries.items():
        counts[state] += count if webhook in own else 0
    return [Term(words.say(f"hooks.state.{state}"), n) for state, n in counts.items() if n]


def is_up(process: ProcessSample) -> tuple[str, bool]:
    """The name of a process, and whether it answers."""
    return process.instance, process.samples is not None
