"""Reasons of alerts in a short sentence, counted from now: what a card has room for.

    No news for 51 h, last In transit, Wuhan

The full sentences, with their instants, are those of `schemas.alert_text`.
"""

from collections.abc import Mapping

from gateway.board.wording import Words
from schemas.alert import Because
from schemas.alert_text import PROMISES, OrderLike, is_at_once, last_heard
from schemas.instants import parse_instant
from schemas.order import OpenAlert

SILENT = ("last_update", "announced ")


def reason(words: Words, order: OrderLike, alert: OpenAlert, now: int) -> str:
    """The reason of an alert and the last event, in words."""
    heard = last_heard(order, alert.because)
    text = why(words, order, alert, now)
    last = words.say("reason.last", status=words.status(heard.status))
    if heard.place:
        last = words.say("reason.at", last=last, place=heard.place)
    return words.say("reason.joined", why=text[:1].upper() + text[1:], last=last)


def why(words: Words, order: OrderLike, alert: OpenAlert, now: int) -> str:
    """The reason alone."""
    because = alert.because
    since = now - parse_instant(because.anchor_at)
    span = words.span(since)
    if because.anchor == "condition":
        return condition(words, order, alert, now)
    if because.anchor == "rule removed":
        return words.say("reason.removed")
    if because.anchor.startswith(SILENT):
        return words.say("reason.silent", span=span)
    anchor = words.alerts.anchor(because.anchor)
    if because.anchor.startswith(PROMISES):
        key = "reason.past" if since >= 0 else "reason.ahead"
        return words.say(key, anchor=anchor, span=span)
    if is_at_once(because.limit):
        return words.say("reason.since", anchor=anchor, span=span)
    limit = words.alerts.duration(because.limit) or because.limit
    return words.say("reason.limit", anchor=anchor, span=span, limit=limit)


def allowed(words: Words, because: Because) -> str:
    """The limit of a silence, which its short sentence leaves out; "" of any other reason."""
    limit = words.alerts.duration(because.limit)
    if not limit or not because.anchor.startswith(SILENT):
        return ""
    return words.say("reason.allowed", limit=limit)


def condition(words: Words, order: OrderLike, alert: OpenAlert, now: int) -> str:
    """The readings of the alert's parcel; without any since when its condition is true."""
    for parcel in order.shipments:
        if parcel.shipment == alert.because.shipment:
            for name, values in (getattr(parcel, "readings", None) or {}).items():
                return reading(words, name, values)
    return words.say("reason.true", span=words.span(now - parse_instant(alert.because.due_at)))


def reading(words: Words, name: str, values: Mapping[str, float]) -> str:
    """The range of a reading."""
    key = f"reading.{name}" if words.has(f"reading.{name}") else "reading"
    return words.say(key, name=name, least=values["min"], most=values["max"])
