"""Amounts of compensations: by how late the order is, and by its declared value and currency.

    amounts = [
        {late = "0s", percent = 5, most = {EUR = 10, CNY = 50}},
        {late = "3d", fixed = {EUR = 15, CNY = 100}},
    ]

The step with the greatest `late` that has been reached counts. `order_value` and `currency` are
attributes of the order, declared in the rules file. Amounts are decimal, in whole minor units.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import msgspec

from schemas.alert import Action
from schemas.errors import SettingsError
from schemas.instants import format_duration, parse_duration, parse_instant
from schemas.order import OrderDocument
from schemas.type_faults import Fault, Place

VALUE, CURRENCY = "order_value", "currency"  # attributes
CODE = re.compile(r"[A-Z]{3}")
WHOLE_PERCENT = 100
# Digits behind the point, ISO 4217; two for all others.
MINOR_DIGITS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
# Promises that an order can be late by, each with the milestone that ends its lateness.
PROMISES = {"promised_at": "DELIVERED", "ship_by": "SHIPPED"}


class AmountRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of lateness: a percentage of the order's value, or a fixed amount by currency."""

    late: str
    percent: float | None = None
    fixed: dict[str, float] = {}
    most: dict[str, float] = {}


class Amount(msgspec.Struct, frozen=True):
    """An amount of money: `12.50` `EUR`, and how late the order was (`26h`)."""

    value: str
    currency: str
    late: str

    def __str__(self) -> str:
        return f"{self.value} {self.currency}"


class NoAmount(Exception):
    """The order has no amount of the table; the text is the reason."""


def amount_of(rows: Sequence[AmountRow], action: Action, order: OrderDocument) -> Amount:
    """The amount of an action for its order.

    Raises:
        NoAmount: it is not late enough, or lacks value or currency.
    """
    late_ms = lateness(action, order)
    reached = [row for row in rows if parse_duration(row.late) <= late_ms]
    if not reached:
        raise NoAmount(
            f"no amount: {format_duration(late_ms)} late, the first is for {rows[0].late}"
        )
    row = max(reached, key=lambda each: parse_duration(each.late))
    currency = order.attributes.get(CURRENCY)
    if not isinstance(currency, str) or not CODE.fullmatch(currency):
        raise NoAmount("no amount: the order has no currency")
    if row.percent is None:
        if currency not in row.fixed:
            raise NoAmount(f"no amount: the table has none in {currency}")
        value = Decimal(str(row.fixed[currency]))
    else:
        value = order_value(order) * Decimal(str(row.percent)) / WHOLE_PERCENT
    if currency in row.most:
        value = min(value, Decimal(str(row.most[currency])))
    unit = Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2))
    rounded = value.quantize(unit, ROUND_HALF_UP)
    return Amount(f"{rounded}", currency, format_duration(late_ms))


def order_value(order: OrderDocument) -> Decimal:
    """The declared value of an order.

    Raises:
        NoAmount: it has none, or none above 0.
    """
    given = order.attributes.get(VALUE)
    try:
        value = Decimal(str(given)) if given is not None and not isinstance(given, bool) else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or value <= 0:
        raise NoAmount("no amount: the order has no order_value")
    return value


def lateness(action: Action, order: OrderDocument) -> int:
    """Lateness (ms) of an order when the action was requested, or when it came before that.

    By the promise that the action counts from, else by what was promised, else by its deadline.
    """
    at = parse_instant(action.at)
    because = action.because
    promises = {"promised_at": order.promised_at, "ship_by": order.ship_by}
    anchored = because.anchor if because.anchor in promises else None
    name = anchored or next((name for name, promised in promises.items() if promised), None)
    if name is None:
        return max(at - parse_instant(because.due_at), 0)
    promised = because.anchor_at if anchored else promises[name]
    reached = order.milestones.get(PROMISES[name])
    ended_at = min(at, parse_instant(reached)) if reached else at
    return max(ended_at - parse_instant(promised or because.due_at), 0)


def amount_faults(rows: Sequence[AmountRow], place: Place) -> Iterator[Fault]:
    """Faults of the steps at a place of the table."""
    lates: list[int] = []
    for number, row in enumerate(rows):
        here = (*place, number)
        try:
            lates.append(parse_duration(row.late, of="late"))
        except SettingsError as error:
            yield Fault((*here, "late"), str(error).removeprefix("late: "))
        if (row.percent is None) == (not row.fixed):
            yield Fault(here, "write either percent or fixed, like {late = '1d', percent = 10}")
        if row.percent is not None and not 0 < row.percent <= WHOLE_PERCENT:
            yield Fault((*here, "percent"), f"{row.percent:g} is out of range; write one up to 100")
        for name, by_currency in (("fixed", row.fixed), ("most", row.most)):
            yield from currency_faults(by_currency, (*here, name))
    if lates != sorted(set(lates)):
        yield Fault(place, "late doesn't rise from step to step; sort the steps, each late once")


def currency_faults(amounts: Mapping[str, float], place: Place) -> Iterator[Fault]:
    """Faults of amounts by currency."""
    for code, value in amounts.items():
        if not CODE.fullmatch(code):
            yield Fault((*place, code), f"{code!r} is no currency; write its code, like EUR")
        if not value > 0:
            yield Fault((*place, code), f"{value:g} is out of range; write an amount above 0")
