"""Sentences of an alert in English and Chinese: its summary and its description.

    Late delivery: order 4711, promised 24 Aug, last heard Shipped 15 Aug, Wuhan

Pure functions of the order, the alert, and the labels of rules and statuses. Channels, look-ups and
live views take them from here, so that an alert reads the same everywhere. Each is one line, in
which text from outside is escaped (`schemas.display`). Instants are UTC; a promised day is the day
that was promised, in the offset in which it ends.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import msgspec

from schemas.alert import Because
from schemas.display import printable
from schemas.event import Location
from schemas.instants import DAY_MS, EPOCH, MINUTE_MS, ONE_MS

Language = Literal["en", "zh"]
Names = Mapping[str, Mapping[str, str]]  # id or code → language → label

LIMIT = re.compile(r"(-?)(\d+)(ms|s|m|h|d|wd|wh)")
PROMISES = ("promised_at", "ship_by", "planned ")
QUARTER_MINUTES = 15  # offsets of zones are whole quarters of an hour
EASTERNMOST_MINUTES = 14 * 60
DATE_LENGTH = len("2018-08-24")
LONGEST_CONDITION = 200  # characters shown
EN_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

PHRASES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "summary": "{label}: order {order}",
        "parcel": ", parcel {parcel}",
        "promised": ", promised {day}",
        "heard": ", last heard {status} {day}",
        "place": ", {place}",
        "description": "{reason}. Last event: {status}, {at}{place}.",
        "ahead": "Less than {limit} to {anchor}, {at}",
        "passed": "Past {anchor}, {at}",
        "since": "Since {anchor}, {at}",
        "after": "More than {limit} since {anchor}, {at}",
        "condition": "Its condition is true since {due}: {condition}",
        "condition for": "Its condition is true for more than {limit}, since {at}",
        "rule removed": "Due since {due}; its rule has left the rules file",
        "created": "the creation of the order",
        "last_update": "the last update",
        "status_since": "the beginning of its present status",
        "promised_at": "the promised delivery",
        "ship_by": "the promised dispatch",
        "planned": "the planned time of {status}",
        "announced": "{status} and its announcement",
        "status after": "{status} after {before}",
        "or": " or ",
    },
    "zh": {
        "summary": "{label}：订单 {order}",
        "parcel": "，包裹 {parcel}",
        "promised": "，承诺 {day}",
        "heard": "，最近动态 {status} {day}",
        "place": "，{place}",
        "description": "{reason}。最近动态：{status}，{at}{place}。",
        "ahead": "距{anchor}（{at}）不足 {limit}",
        "passed": "已过{anchor}（{at}）",
        "since": "自{anchor}（{at}）起",
        "after": "自{anchor}（{at}）起已超过 {limit}",
        "condition": "自 {due} 起条件成立：{condition}",
        "condition for": "条件自 {at} 起成立，已超过 {limit}",
        "rule removed": "自 {due} 起到期；其规则已从规则文件中移除",
        "created": "下单",
        "last_update": "最后一次更新",
        "status_since": "进入当前状态",
        "promised_at": "承诺送达时间",
        "ship_by": "承诺发货时间",
        "planned": "计划的{status}时间",
        "announced": "{status}并登记",
        "status after": "{before}之后的{status}",
        "or": "或",
    },
}
# (one, several) of a unit, after its number.
UNITS: Mapping[Language, Mapping[str, tuple[str, str]]] = {
    "en": {
        "ms": (" millisecond", " milliseconds"),
        "s": (" second", " seconds"),
        "m": (" minute", " minutes"),
        "h": (" hour", " hours"),
        "d": (" day", " days"),
        "wd": (" working day", " working days"),
        "wh": (" working hour", " working hours"),
    },
    "zh": {
        "ms": (" 毫秒",) * 2,
        "s": (" 秒",) * 2,
        "m": (" 分钟",) * 2,
        "h": (" 小时",) * 2,
        "d": (" 天",) * 2,
        "wd": (" 个工作日",) * 2,
        "wh": (" 个工作小时",) * 2,
    },
}


class AlertLike(Protocol):
    """An open alert, or a transition of one."""

    @property
    def rule(self) -> str: ...
    @property
    def because(self) -> Because: ...


class ParcelLike(Protocol):
    """A parcel of an order document."""

    @property
    def shipment(self) -> str: ...
    @property
    def status(self) -> str | None: ...
    @property
    def updated_at(self) -> str | None: ...
    @property
    def location(self) -> Location | None: ...


class OrderLike(Protocol):
    """An order document, as far as sentences need it."""

    @property
    def order_id(self) -> str: ...
    @property
    def promised_at(self) -> str | None: ...
    @property
    def shipments(self) -> Sequence[ParcelLike]: ...


class Heard(NamedTuple):
    """The last event of an order or a parcel: status code, instant, and name of the place."""

    status: str
    at: str
    place: str


class AlertText(msgspec.Struct, frozen=True):
    """Sentences in a language, with these labels of rules (by id) and of statuses (by code)."""

    language: Language = "en"
    rules: Names = {}
    statuses: Names = {}

    def summary(self, order: OrderLike, alert: AlertLike) -> str:
        """The rule, the order, its promise, and what was heard last."""
        heard = last_heard(order, alert.because)
        year = self.year_of(alert.because.due_at)
        parts = [self.say("summary", label=self.rule(alert.rule), order=order.order_id)]
        if alert.because.shipment:
            parts.append(self.say("parcel", parcel=alert.because.shipment))
        if order.promised_at:
            parts.append(self.say("promised", day=self.day(promised_day(order.promised_at), year)))
        heard_day = self.day(heard.at, year)
        parts.append(self.say("heard", status=self.status(heard.status), day=heard_day))
        return "".join([*parts, self.place(heard)])

    def description(self, order: OrderLike, alert: AlertLike) -> str:
        """The reason of the alert, and the last event."""
        heard = last_heard(order, alert.because)
        return self.say(
            "description",
            reason=self.reason(alert.because),
            status=self.status(heard.status),
            at=minute_of(heard.at),
            place=self.place(heard),
        )

    def reason(self, because: Because) -> str:
        """The deadline that was passed, or the condition that is true."""
        due, at = minute_of(because.due_at), minute_of(because.anchor_at)
        limit = self.duration(because.limit)
        if because.anchor == "condition":
            condition = shortened(because.limit)
            name = "condition for" if limit else "condition"
            return self.say(name, due=due, at=at, limit=limit, condition=condition)
        if because.anchor == "rule removed":
            return self.say("rule removed", due=due)
        is_promise = because.anchor.startswith(PROMISES)
        if is_promise:
            at = minute_of(promised_day(because.anchor_at))
        anchor = self.anchor(because.anchor)
        if is_at_once(because.limit):
            return self.say("passed" if is_promise else "since", anchor=anchor, at=at)
        if because.limit.startswith("-"):
            return self.say("ahead", limit=limit, anchor=anchor, at=at)
        return self.say("after", limit=limit or because.limit, anchor=anchor, at=at)

    def anchor(self, name: str) -> str:
        """An anchor in words (docs/rules.md lists them)."""
        kind, _, rest = name.partition(" ")
        if kind == "milestone":
            codes = [code.strip() for code in rest.split(",")]
            return self.phrases["or"].join(map(self.status, codes))
        if kind in {"planned", "announced"}:
            return self.say(kind, status=self.status(rest))
        if rest.startswith("after "):
            before = self.status(rest.removeprefix("after "))
            return self.say("status after", status=self.status(kind), before=before)
        return self.phrases.get(name, printable(name))

    def rule(self, rule: str) -> str:
        """Label of a rule; its id without one."""
        return label_in(self.rules, rule, self.language)

    def status(self, code: str) -> str:
        """Label of a status; its code without one."""
        return label_in(self.statuses, code, self.language)

    def place(self, heard: Heard) -> str:
        """Name of the place where something was heard of an order, behind a comma."""
        return self.say("place", place=heard.place) if heard.place else ""

    def duration(self, limit: str) -> str:
        """A limit in words, without its sign: `2 days`; "" if it is no duration."""
        found = LIMIT.fullmatch(limit)
        if found is None:
            return ""
        one, several = UNITS[self.language][found[3]]
        return f"{found[2]}{one if found[2] == '1' else several}"

    def day(self, instant: str, year: int) -> str:
        """A day without its time, and without the year if it is `year`."""
        moment = moment_of(instant)
        if moment is None:
            return printable(instant)
        if self.language == "zh":
            day = f"{moment.month}月{moment.day}日"
            return day if moment.year == year else f"{moment.year}年{day}"
        day = f"{moment.day} {EN_MONTHS[moment.month - 1]}"
        return day if moment.year == year else f"{day} {moment.year}"

    @staticmethod
    def year_of(instant: str) -> int:
        """The year of an instant; 0 if it is none."""
        moment = moment_of(instant)
        return moment.year if moment else 0

    @property
    def phrases(self) -> Mapping[str, str]:
        """The phrases of the language."""
        return PHRASES[self.language]

    def say(self, phrase: str, **values: str) -> str:
        """A phrase with its values, which are escaped."""
        return self.phrases[phrase].format_map({n: printable(v) for n, v in values.items()})


def is_at_once(limit: str) -> bool:
    """Return True for a limit of no time: the anchor itself has passed."""
    found = LIMIT.fullmatch(limit)
    return found is not None and not int(found[2])


def label_in(names: Names, name: str, language: Language) -> str:
    """Label in the language, else in English, else the name itself; escaped."""
    labels = names.get(name, {})
    return printable(labels.get(language) or labels.get("en") or name)


def last_heard(order: OrderLike, because: Because) -> Heard:
    """The last event of the alert's parcel, else of the order; with a place where one is known.

    An event of the order that named a parcel (SHIPPED) gives it a place without updating it.
    """
    parcels = [p for p in order.shipments if because.shipment in {None, p.shipment}]
    for parcel in parcels if because.shipment else ():
        if parcel.updated_at:
            status = parcel.status or because.last_event
            return Heard(status, parcel.updated_at, place_of(parcel))
    for updated_at in (because.last_event_at, None):
        places = [place_of(p) for p in parcels if p.updated_at == updated_at and place_of(p)]
        if places:
            return Heard(because.last_event, because.last_event_at, places[0])
    return Heard(because.last_event, because.last_event_at, "")


def place_of(parcel: ParcelLike) -> str:
    """Name of the last place of a parcel; "" if unknown."""
    return (parcel.location.name or "") if parcel.location else ""


def promised_day(instant: str) -> str:
    """The date of a promise that is a whole day, else the instant.

    Such a promise is the last millisecond of its day (`schemas.promises`); the offset in which a
    day ends then is the one in which it was promised.
    """
    moment = moment_of(instant)
    if moment is None:
        return instant
    minutes, rest_ms = divmod((moment - EPOCH) // ONE_MS + 1, MINUTE_MS)
    if rest_ms or minutes % QUARTER_MINUTES:
        return instant
    day_minutes = DAY_MS // MINUTE_MS
    offset = -minutes % day_minutes
    if offset > EASTERNMOST_MINUTES:
        offset -= day_minutes
    ended = EPOCH + timedelta(minutes=minutes + offset)
    return f"{ended - timedelta(days=1):%Y-%m-%d}"


# A document names an instant several times: reading it takes 2 us, two thirds of a sentence.
@lru_cache(maxsize=1024)
def moment_of(instant: str) -> datetime | None:
    """An instant, or the beginning of a date; None if the text is neither."""
    try:
        moment = datetime.fromisoformat(instant)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if len(instant) == DATE_LENGTH else None


def minute_of(instant: str) -> str:
    """`2018-08-24 02:59 UTC`; a date as it is."""
    moment = moment_of(instant)
    if moment is None:
        return instant
    return instant if len(instant) == DATE_LENGTH else f"{moment:%Y-%m-%d %H:%M} UTC"


def shortened(condition: str) -> str:
    """A condition on one line, cut off if it is long."""
    text = " ".join(condition.split())
    return text if len(text) <= LONGEST_CONDITION else f"{text[:LONGEST_CONDITION]}…"
