"""Search: orders by any number, and by their fields a page at a time.

A page's `next` is a cursor: the place of its last order and the query, signed, so that it can't be
bent to another query. Pages don't shift under writes. An order that changes meanwhile comes again
when sorted by `silent`, and may be left out when sorted by `updated` or `due`.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.access.caller import Caller
from gateway.api.lanes import CardView, document_view
from gateway.asked import duration_of, instant_in
from gateway.problems import Problem
from gateway.route import Call
from schemas.errors import Busy, UnknownOrder
from schemas.event import Scalar
from schemas.instants import format_instant
from schemas.keys import DEFAULT_TENANT
from schemas.order import Lane, OrderDocument
from schemas.search import (
    LEAST_PART,
    LONGEST_VALUE,
    MOST_INT,
    MOST_ORDERS,
    AttributeType,
    OrderQuery,
    Page,
    Sort,
)
from schemas.type_faults import maybe_meant, shown
from storage_tiering.find import find
from storage_tiering.tier import Search, Tier

MOST_FOUND = 20
MOST_ON_A_PAGE = 200
PURPOSE = "cursor"
MOST_FLOAT = 1.7976931348623157e308  # neither inf nor nan, which JSON lacks
# (type, noun) of the values of an attribute, by its declared type.
VALUES: dict[AttributeType, tuple[Any, str]] = {
    "bool": (bool, "true or false"),
    "float": (Annotated[float, Meta(ge=-MOST_FLOAT, le=MOST_FLOAT)], "number"),
    "int": (Annotated[int, Meta(ge=-MOST_INT - 1, le=MOST_INT)], "whole number of 64 bits"),
    "str": (
        Annotated[str, Meta(max_length=LONGEST_VALUE)],
        f"text of at most {LONGEST_VALUE:,} characters",
    ),
}


class LookupAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any number of an order: whole, or its first or last four characters or more."""

    number: Annotated[str, Meta(min_length=1, max_length=256)]


class LookupAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """At most 20 orders, an exact order id first; `has_more` if there are others.

    `through` is the stream's time up to which the tier that searched holds every order; null if it
    can't vouch for that, or none searched. `unreachable`: tiers that gave no answer.
    """

    orders: list[CardView]
    through: str | None
    has_more: bool
    unreachable: list[str]


class OrdersAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions, all of which hold, and the sequence.

    `rule` is one of an open alert. Ranges are instants, from inclusive, to exclusive. `silent_for`
    is a duration like `36h`, without a change until the stream's time. `attribute.NAME` is the
    value of an attribute that the rules file declares.
    """

    number: str | None = None
    tenant: str | None = None
    status: str | None = None
    lane: Lane | None = None
    carrier: str | None = None
    supplier: str | None = None
    customer: str | None = None
    rule: str | None = None
    flag: str | None = None
    created_from: str | None = None
    created_to: str | None = None
    promised_from: str | None = None
    promised_to: str | None = None
    updated_from: str | None = None
    updated_to: str | None = None
    silent_for: str | None = None
    attribute: dict[str, str] = {}
    sort: Sort = "updated"


class SearchAsked(OrdersAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions, all of which hold, the sequence, and a page of it."""

    limit: Annotated[int, Meta(ge=1, le=MOST_ON_A_PAGE)] = 100
    after: str | None = None


class SearchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of orders; `next` is the `after` of the next page.

    `through` is the stream's time up to which the tier that searched holds every order; null if it
    can't vouch for that.
    """

    orders: list[CardView]
    through: str | None
    next: str | None


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Payload of a cursor: digest of its query, the place behind the last order, orders so far.

    `now` is the stream's time at the first page, from which `silent_for` counts.
    """

    query: str
    after: list[Any]
    orders: int
    now: int


CURSOR = msgspec.json.Decoder(Cursor)


async def lookup(call: Call) -> LookupAnswer:
    """Orders by any number: order id, waybill or reference, whole or its beginning or end."""
    number = call.asked.number
    query = call.caller.narrowed(OrderQuery(number=number))
    if query is None or not query.form:
        reason = f"{number!r} has no letter or digit; send a number like SF0099 8877"
        raise Problem("bad_field", f"number: {reason}", field="number")
    tenant = call.caller.tenant or DEFAULT_TENANT

    def look(tiers: list[Tier]) -> tuple[Page, list[str]]:
        found, unreachable = exact(tiers, tenant, number)
        searched = Page([])
        for tier in tiers:
            if not isinstance(tier, Search):
                continue
            try:
                searched = tier.search(query, limit=MOST_FOUND + 1)
            except Busy:
                unreachable.append(tier.name)
                continue
            break
        return Page([*found, *searched.orders], watermark=searched.watermark), unreachable

    page, unreachable = await call.gateway.tiers.run(look)
    orders = {(each.tenant, each.order_id): each for each in reversed(page.orders)}
    seen = [each for each in reversed(orders.values()) if call.caller.sees(each)]
    if not seen and unreachable:
        raise Busy(f"lookup: no answer from {', '.join(unreachable)}; retry")
    return LookupAnswer(
        orders=[document_view(call, each) for each in seen[:MOST_FOUND]],
        through=through_of(page),
        has_more=len(seen) > MOST_FOUND,
        unreachable=list(dict.fromkeys(unreachable)),
    )


def exact(tiers: list[Tier], tenant: str, number: str) -> tuple[list[OrderDocument], list[str]]:
    """The order of this very id, which a tier without search may have alone; silent tiers."""
    try:
        answer = find(tiers, tenant, number)
    except UnknownOrder:
        return [], []
    except Busy:
        return [], [tier.name for tier in tiers]
    return [answer.found.document], []


async def search(call: Call) -> SearchAnswer:
    """Orders by their fields, in the sequence asked for, a page at a time."""
    asked = call.asked
    check_may_ask(call.caller, asked)
    now = call.gateway.follower.watermark or call.gateway.now_ms()
    plain = call.caller.narrowed(query_of(call))
    if plain is None:
        return SearchAnswer(orders=[], through=None, next=None)
    named = digest(plain, asked.silent_for)
    after, count, now = opened(call, asked.after, named, now)
    query = silent(plain, asked.silent_for, now)
    if count + asked.limit > MOST_ORDERS:
        raise Problem(
            "bad_field", f"after: paging ends at {MOST_ORDERS:,} orders; narrow it", field="after"
        )
    page: Page = await call.gateway.tiers.search(
        lambda tier: tier.search(query, limit=asked.limit, after=after)
    )
    cursor = None
    if page.after is not None:
        payload = Cursor(named, page.after, count + len(page.orders), now)
        cursor = call.gateway.access.signer.signed(PURPOSE, msgspec.json.encode(payload))
    seen = [each for each in page.orders if call.caller.sees(each)]
    orders = [document_view(call, each) for each in seen]
    return SearchAnswer(orders=orders, through=through_of(page), next=cursor)


def through_of(page: Page) -> str | None:
    """Freshness of a page, as an instant."""
    return None if page.watermark is None else format_instant(page.watermark)


def check_may_ask(caller: Caller, asked: OrdersAsked) -> None:
    """Refuse conditions by which a caller would learn what it doesn't see.

    Raises:
        Problem: `forbidden`.
    """
    hidden = {
        "rule": asked.rule is not None and not caller.sees_rules,
        "sort": asked.sort == "due" and not caller.sees_rules,
        "flag": asked.flag is not None and not caller.is_staff,
        "attribute": bool(asked.attribute) and not caller.is_staff,
    }
    for name, is_hidden in hidden.items():
        if is_hidden:
            raise Problem("forbidden", f"{name}: role {caller.role} doesn't see it", field=name)


def silent(query: OrderQuery, silent_for: str | None, now: int) -> OrderQuery:
    """The query with the end of changes that `silent_for` means at `now` (ms)."""
    if silent_for is None:
        return query
    until = now - duration_of("silent_for", silent_for) + 1
    if query.changed_until is not None:
        until = min(until, query.changed_until)
    return msgspec.structs.replace(query, changed_until=until)


def query_of(call: Call) -> OrderQuery:
    """The query that is asked for, without `silent_for`.

    Raises:
        Problem: `bad_field`: an instant, a number or a value that can't be used;
            `unknown_attribute`.
    """
    asked: OrdersAsked = call.asked
    query = OrderQuery(
        tenant=asked.tenant,
        number=asked.number,
        status=asked.status,
        lane=asked.lane,
        carrier=asked.carrier,
        supplier_id=asked.supplier,
        customer_id=asked.customer,
        rule=asked.rule,
        flag=asked.flag,
        created_since=instant_in(asked, "created_from"),
        created_until=instant_in(asked, "created_to"),
        promised_since=instant_in(asked, "promised_from"),
        promised_until=instant_in(asked, "promised_to"),
        changed_since=instant_in(asked, "updated_from"),
        changed_until=instant_in(asked, "updated_to"),
        attributes=attributes_of(asked.attribute, call.gateway.rules.attributes),
        sort=asked.sort,
    )
    if asked.silent_for is not None:
        duration_of("silent_for", asked.silent_for)
    if asked.number is not None and not query.form:
        reason = f"no letter or digit; a part of a number needs {LEAST_PART}"
        raise Problem("bad_field", f"number: {asked.number!r} has {reason}", field="number")
    return query


def attributes_of(
    asked: Mapping[str, str], declared: Mapping[str, AttributeType]
) -> dict[str, Scalar]:
    """The attributes that are asked for, with values of their types.

    Raises:
        Problem: `unknown_attribute`; `bad_field`, a value of another type.
    """
    found: dict[str, Scalar] = {}
    for name, text in asked.items():
        field = f"attribute.{name}"
        if name not in declared:
            names = sorted(declared)
            listed = f"; declared: {', '.join(names)}" if names else "; it declares none"
            raise Problem(
                "unknown_attribute",
                f"{field}: the rules file declares no such attribute"
                f"{maybe_meant(name, names)}{listed}",
                field=field,
                possible=names,
            )
        kind, noun = VALUES[declared[name]]
        try:
            found[name] = msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Problem(
                "bad_field", f"{field}: {shown(text)} is no {noun}", field=field
            ) from error
    return found


def opened(
    call: Call, after: str | None, query: str, now: int
) -> tuple[list[Any] | None, int, int]:
    """(place behind the last order, orders so far, stream's time) of the page asked for.

    `query` is the digest of the query, `now` the stream's time of a first page.

    Raises:
        Problem: `bad_field`, the cursor isn't ours or is that of another query.
    """
    if after is None:
        return None, 0, now
    payload = call.gateway.access.signer.verified(PURPOSE, after)
    cursor = CURSOR.decode(payload) if payload else None
    if cursor is None or cursor.query != query:
        reason = "it is no `next` of this query; begin without it"
        raise Problem("bad_field", f"after: {reason}", field="after")
    return cursor.after, cursor.orders, cursor.now


def digest(query: OrderQuery, silent_for: str | None) -> str:
    """Digest of a query in its caller's scope."""
    return sha256(msgspec.json.encode([query, silent_for])).hexdigest()[:16]
