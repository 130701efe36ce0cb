"""Explanations: the state of each rule for an order and its parcels, and its sentence.

    No logistics update: armed for 2026-03-04 09:00 UTC, since the last update

`engine/core/src/rules/explained.rs` computes the states; codes are stable. Sentences are in English
and Chinese, one line each, in which text from outside is escaped (`schemas.display`). Look-ups and
the API take them from here.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from schemas.alert import Severity
from schemas.alert_text import AlertText, Language, minute_of, shortened
from schemas.display import printable

State = Literal[
    "armed",
    "open",
    "flapping",
    "acted",
    "missed",
    "outside_calendar",
    "embryo",
    "retired",
    "status",
    "no_parcel",
    "parcel_ended",
    "parcel_settled",
    "shipment_status",
    "direction",
    "anchor_missing",
    "unless_reached",
    "once_missing",
    "scanned",
    "condition_false",
    "condition_fault",
]
WATCHED = frozenset({"armed", "open", "flapping"})
ANCHORED = frozenset({"armed", "acted", "missed", "outside_calendar"})  # `detail` is the anchor
ANCHORS = ANCHORED | {"anchor_missing", "unless_reached", "once_missing"}
STATUSES = frozenset({"status", "shipment_status"})


class RuleState(msgspec.Struct, frozen=True, kw_only=True):
    """State of a rule for an order (`shipment` is None) or one of its parcels.

    `detail` is what decided it: a status, a direction, an anchor or several (` | ` between), a
    milestone, a condition or its fault. `due_at` is when its alert opens or its action is
    requested, of an open alert when that was due. `paused_until`: until when the present status of
    the parcel stops the clock, which `due_at` includes. `severity` is None for a rule that only
    acts.
    """

    rule: str
    state: State
    shipment: str | None
    severity: Severity | None
    detail: str
    anchor_at: str | None
    due_at: str | None
    escalates_at: str | None
    opened_at: str | None
    paused_until: str | None

    @property
    def is_watched(self) -> bool:
        """Return True if its deadline runs or its alert is open."""
        return self.state in WATCHED


STATES = msgspec.json.Decoder(list[RuleState])

PHRASES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "sentence": "{label}{parcel}: {state}",
        "parcel": ", parcel {parcel}",
        "armed": "due {due}, counted from {detail}",
        "armed when": "true: {detail}",
        "open": "its alert is open since {opened}",
        "flapping": "its alert is open since {opened} and flaps",
        "acted": "its action was requested, due {due}",
        "missed": "missed: {detail} arrived long after it was due, {due}",
        "outside_calendar": "no deadline: it is outside the years of its calendar",
        "embryo": "not watched: the order was never created",
        "retired": "not watched: the order has retired",
        "status": "not watched in status {detail}",
        "no_parcel": "not watched: no parcel is known",
        "parcel_ended": "not watched: the parcel has ended",
        "parcel_settled": "not watched: the shop's word of the order covers the parcel",
        "shipment_status": "not watched while the parcel is in status {detail}",
        "shipment_status none": "not watched while the parcel has no status",
        "direction": "not watched: the parcel goes {detail}",
        "forward": "forward",
        "return": "back",
        "anchor_missing": "not watched: missing is {detail}",
        "unless_reached": "not watched: reached is {detail}",
        "once_missing": "not watched before {detail}",
        "scanned": "not watched: the parcel was scanned",
        "condition_false": "not watched: its condition is false: {detail}",
        "condition_fault": "not watched: its condition could not be evaluated: {detail}",
        "escalates": "; overdue from {at}",
        "paused": "; its clock stands still until {at} at most",
    },
    "zh": {
        "sentence": "{label}{parcel}：{state}",
        "parcel": "，包裹 {parcel}",
        "armed": "{due} 到期，自{detail}起计",
        "armed when": "条件成立：{detail}",
        "open": "预警自 {opened} 起未解除",
        "flapping": "预警自 {opened} 起未解除，反复触发",
        "acted": "已请求处理，到期时间 {due}",
        "missed": "已错过：{detail}到达时早已超过期限（{due}）",
        "outside_calendar": "无期限：超出其日历的年份",
        "embryo": "未监控：订单尚未创建",
        "retired": "未监控：订单已归档",
        "status": "状态为{detail}时不监控",
        "no_parcel": "未监控：没有已知包裹",
        "parcel_ended": "未监控：包裹已终止",
        "parcel_settled": "未监控：商家对整个订单的状态已涵盖该包裹",
        "shipment_status": "包裹状态为{detail}时不监控",
        "shipment_status none": "包裹尚无状态时不监控",
        "direction": "未监控：包裹方向为{detail}",
        "forward": "正向",
        "return": "退回",
        "anchor_missing": "未监控：缺少{detail}",
        "unless_reached": "未监控：已有{detail}",
        "once_missing": "在{detail}之前不监控",
        "scanned": "未监控：包裹已有扫描",
        "condition_false": "未监控：条件不成立：{detail}",
        "condition_fault": "未监控：条件无法求值：{detail}",
        "escalates": "；{at} 起升级为逾期",
        "paused": "；计时最迟暂停至 {at}",
    },
}


def sentence(found: RuleState, text: AlertText) -> str:
    """The state of a rule in a sentence, with the labels of `text` in its language."""
    phrases = PHRASES[text.language]
    parcel = ""
    if found.shipment:
        parcel = phrases["parcel"].format(parcel=printable(found.shipment))
    state = state_text(found, text)
    return phrases["sentence"].format(label=text.rule(found.rule), parcel=parcel, state=state)


def state_text(found: RuleState, text: AlertText, moment: Callable[[str], str] = minute_of) -> str:
    """The state of a rule in words, without the rule; `moment` writes its instants."""
    phrases = PHRASES[text.language]
    name: str = found.state
    if found.state == "shipment_status" and not found.detail:
        name = "shipment_status none"
    if found.state == "armed" and found.anchor_at is None:
        name = "armed when"
    state = phrases[name].format(
        detail=detail_of(found, text),
        due=moment(found.due_at or ""),
        opened=moment(found.opened_at or ""),
    )
    for phrase, at in (("escalates", found.escalates_at), ("paused", found.paused_until)):
        if at and found.is_watched:
            state += phrases[phrase].format(at=moment(at))
    return state


def detail_of(found: RuleState, text: AlertText) -> str:
    """Detail of a state, in words."""
    if found.state in STATUSES:
        return text.status(found.detail)
    if found.state == "direction":
        return PHRASES[text.language][found.detail]
    if found.state in ANCHORS and not (found.state in ANCHORED and found.anchor_at is None):
        return text.phrases["or"].join(map(text.anchor, found.detail.split(" | ")))
    return printable(shortened(found.detail))
