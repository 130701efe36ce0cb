"""Links between the pages: addresses, and the choices of filters that become part of one."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from gateway.board.wording import Words
from schemas.keys import DEFAULT_TENANT


class Choice(NamedTuple):
    """A value of a filter, and its label with the number of what has it."""

    value: str
    text: str


def choices_of(
    words: Words, counts: Counter[str], chosen: str, label: Callable[[str], str]
) -> list[Choice]:
    """The values that occur, the most frequent first; the chosen one even where none has it."""
    values = [value for value, _ in counts.most_common() if value]
    if chosen and chosen not in values:
        values.append(chosen)
    return [Choice(v, f"{label(v)} · {words.number(counts[v])}") for v in values]


def address(path: str, **query: object) -> str:
    """A path with the parts of its query that hold something."""
    named = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(named)}" if named else path


def changed(path: str, query: Mapping[str, object], **values: object) -> str:
    """A path with some of its query changed; the page is the first one unless it is among them."""
    named = {**query, "page": 1, **values}
    return address(path, **{name: value for name, value in named.items() if value != 1})


def order_href(tenant: str, order_id: str) -> str:
    """Address of an order's page."""
    named = "" if tenant == DEFAULT_TENANT else tenant
    return address(f"/orders/{quote(order_id, safe='')}", tenant=named)
