"""Fields of a message: all that its template may use, of the order and of the shop.

Every field is a text, "" where the order has none, but `parcels`, a list. Nothing of them is
personal data. What came from outside is escaped for one line.
"""

from datetime import datetime
from typing import NamedTuple, get_args
from zoneinfo import ZoneInfo

from schemas.alert import Action
from schemas.alert_text import EN_MONTHS, Language, moment_of, promised_day
from schemas.display import printable
from schemas.instants import parse_instant
from schemas.order import OrderDocument, ShipmentView
from sinks.actions.amounts import Amount

LANGUAGES: tuple[Language, ...] = get_args(Language)
EN_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ZH_DAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
MOST_PARCELS = 50  # in one message


class Parcel(NamedTuple):
    """A parcel in a message."""

    number: str
    carrier: str


class Fields(NamedTuple):
    """Fields by their names in templates; `parcel` and `place` are of what the message is about."""

    order: str
    shop: str
    contact: str
    link: str
    promised: str
    new_promise: str
    parcel: str
    carrier: str
    place: str
    town: str
    amount: str
    parcels: tuple[Parcel, ...]


MEANINGS = {
    "order": "id of the order",
    "shop": "name of the shop (serve.title)",
    "contact": "where questions go (serve.contact)",
    "link": "the customer's page of the order",
    "promised": "when it was promised",
    "new_promise": "the later promise or planned delivery, if the order has one",
    "parcel": "number of the parcel that the message is about",
    "carrier": "carrier of that parcel, else of the order",
    "place": "last place of that parcel",
    "town": "town of the destination",
    "amount": "amount of a compensation, with its currency",
    "parcels": "all parcels, each with number and carrier",
}
PARTS = {"parcels": Parcel._fields}


class Shop(NamedTuple):
    """The shop as customers see it."""

    title: str
    contact: str


def fields_of(
    order: OrderDocument,
    action: Action,
    shop: Shop,
    link: str,
    *,
    language: Language,
    zone: ZoneInfo,
    amount: Amount | None = None,
) -> Fields:
    """The fields of a message about an order, with instants in a zone."""
    about = parcel_of(order, action)
    requested_at = parse_instant(action.at)
    anchored = action.because.anchor_at if action.because.anchor == "promised_at" else None
    promised = anchored or order.promised_at
    later = (order.promised_at, order.planned.get("DELIVERED"))
    new = next((at for at in later if at and parse_instant(at) > requested_at), None)
    is_new = new is not None and new != promised
    texts = {
        "order": order.order_id,
        "shop": shop.title,
        "contact": shop.contact,
        "link": link,
        "promised": day_text(promised, zone, language),
        "new_promise": day_text(new, zone, language) if is_new else "",
        "parcel": about.shipment if about else "",
        "carrier": (about.carrier if about else None) or order.carrier or "",
        "place": (about.location.name or "") if about and about.location else "",
        "town": (order.destination.town or "") if order.destination else "",
        "amount": str(amount) if amount else "",
    }
    parcels = [each for each in order.shipments if each.shipment and not each.ended_at]
    return Fields(
        **{name: printable(text) for name, text in texts.items()},
        parcels=tuple(
            Parcel(printable(each.shipment), printable(each.carrier or ""))
            for each in parcels[:MOST_PARCELS]
        ),
    )


def parcel_of(order: OrderDocument, action: Action) -> ShipmentView | None:
    """The parcel that an action is about; the only one of an order that has one."""
    named = [each for each in order.shipments if each.shipment]
    about = [each for each in named if each.shipment == action.because.shipment]
    return about[0] if about else (named[0] if len(named) == 1 else None)


def day_text(instant: str | None, zone: ZoneInfo, language: Language) -> str:
    """`Mon 2 Mar`, `Mon 2 Mar 18:00` unless a whole day was promised; "" for none."""
    moment = moment_of(instant or "")
    if instant is None or moment is None:
        return ""
    day = promised_day(instant)
    if day != instant:
        return date_text(datetime.fromisoformat(day), language)
    local = moment.astimezone(zone)
    return f"{date_text(local, language)} {local:%H:%M}"


def date_text(moment: datetime, language: Language) -> str:
    """`Mon 2 Mar`, `3月2日 周一`."""
    if language == "zh":
        return f"{moment.month}月{moment.day}日 {ZH_DAYS[moment.weekday()]}"
    return f"{EN_DAYS[moment.weekday()]} {moment.day} {EN_MONTHS[moment.month - 1]}"
