"""Fragments of the board: an open page that takes what it lacks becomes the page made anew."""

import random
import re
from collections.abc import Iterator
from copy import deepcopy
from html.parser import HTMLParser
from itertools import chain
from typing import NamedTuple, Self

import msgspec
import pytest

from schemas.alert_notes import AlertNotes
from schemas.instants import HOUR_MS, MINUTE_MS, format_instant, parse_instant
from schemas.keys import order_key
from schemas.order import OrderDocument
from tests.support.asgi import Client
from tests.support.gateway import Door
from tests.support.sample_orders import NOW, sample

MARK = re.compile(r'data-mark="(\w+)"')
STUB_BYTES = 40
VOID = {"meta", "link", "input", "br"}
STEPS = 8


class Node(NamedTuple):
    """An element of a page, with its elements and texts."""

    tag: str
    attributes: dict[str, str]
    inside: list["Node | str"]

    def elements(self) -> Iterator["Node"]:
        """The element itself and those inside it."""
        yield self
        for each in self.inside:
            if isinstance(each, Node):
                yield from each.elements()

    def children(self) -> list["Node"]:
        """The elements in it."""
        return [each for each in self.inside if isinstance(each, Node)]


class Parsed(HTMLParser):
    """A page as a tree, without the space between elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open = [Node("", {}, [])]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs}, [])
        self.open[-1].inside.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Node(tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        if any(node.tag == tag for node in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.open[-1].inside.append(data)


class OpenPage(NamedTuple):
    """The live parts and the lists of cards of a page that is open, as board.js patches them."""

    parts: dict[str, Node]
    cards: dict[str, list[Node]]

    @classmethod
    def of(cls, html: str) -> Self:
        """A page as it was loaded."""
        found = [each for each in Parsed(html).open[0].elements() if each.tag != "body"]
        lists = [each for each in found if each.tag == "ol" and "id" in each.attributes]
        return cls(
            {each.attributes["id"]: each for each in found if "data-live" in each.attributes},
            {each.attributes["id"]: each.children() for each in lists},
        )

    def all_cards(self) -> Iterator[Node]:
        """The cards of all lanes."""
        return chain.from_iterable(self.cards.values())

    def patched(self, html: str) -> "OpenPage":
        """The page after an answer with parts, cards and stubs."""
        answer = OpenPage.of(html)
        marked = {each.attributes.get("data-mark"): each for each in self.all_cards()}
        cards = {
            name: [
                marked[each.attributes["data-had"]] if "data-had" in each.attributes else each
                for each in each_list
            ]
            for name, each_list in answer.cards.items()
        }
        return OpenPage(deepcopy(self.parts) | answer.parts, cards)


def changed(chance: random.Random, order: OrderDocument) -> OrderDocument:
    """An order after a change: a repeat, no alert any more, another instant, or another status."""
    later = msgspec.structs.replace(order, version=order.version + 1)
    if not order.open_alerts or chance.random() < 0.4:
        return later
    if chance.random() < 0.4:
        return msgspec.structs.replace(later, open_alerts=[], lane="normal")
    worst = order.open_alerts[0]
    at = parse_instant(worst.because.due_at) + chance.randrange(-9, 9) * HOUR_MS
    because = msgspec.structs.replace(worst.because, due_at=format_instant(at))
    severity = chance.choice(("warning", "overdue"))
    moved = msgspec.structs.replace(worst, because=because, severity=severity)
    return msgspec.structs.replace(later, open_alerts=[moved], lane=severity)


def step(site: Door, chance: random.Random, orders: dict[str, OrderDocument]) -> None:
    """Some orders change, come or leave, time goes on, and an alert is acknowledged."""
    late = [order for order in orders.values() if order.open_alerts]
    fresh = msgspec.structs.replace(chance.choice(late), order_id=f"new-{chance.random()}")
    meant = [*(changed(chance, each) for each in chance.sample([*orders.values()], 12))]
    meant += [changed(chance, each) for each in chance.sample(late, min(len(late), 6))]
    unique = {order.order_id: order for order in [*meant, fresh]}
    orders |= unique
    site.put(*unique.values())
    gone = orders.pop(chance.choice([*orders]))
    with site.gateway.follower.view() as view:
        view.remove(order_key(gone.tenant, gone.order_id))
    site.gateway.follower.watermark = NOW + chance.randrange(1, 9) * MINUTE_MS
    acked = chance.choice([order for order in orders.values() if order.open_alerts])
    note(site.gateway.notes, acked)


def note(notes: AlertNotes, order: OrderDocument) -> None:
    """Acknowledge the worst alert of an order."""
    alert = order.open_alerts[0]
    by = {"by": "Li", "at": format_instant(NOW), "ip": "127.0.0.1"}
    key = order_key(order.tenant, order.order_id)
    value = {"key": key, "severity": alert.severity, "acked": by}
    notes.take(alert.alert_id, msgspec.json.encode(value))


def answer_for(client: Client, path: str, page: str) -> str:
    """The answer for an open page."""
    query = path.partition("?")[2]
    reply = client.get(
        f"/board/parts?{query}&had={'.'.join(MARK.findall(page))}".replace("?&", "?")
    )
    assert reply.status == 200, reply.body
    return reply.body.decode()


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("/", "en"),
        ("/", "zh"),
        ("/?wall=1", "en"),
        ("/?lane=warning&carrier=loggi", "en"),
        ("/?rule=carrier_silent", "zh"),
    ],
)
def test_a_patched_page_is_the_page_made_anew(
    site: Door, seed: int, path: str, language: str
) -> None:
    chance = random.Random(f"{seed}{path}{language}")
    client = site.client("admin")
    client.headers["cookie"] = f"ordertide_language={language}"
    orders = {o.order_id: o for o in sample().orders.values()}
    html = client.get(path).body.decode()
    shown = OpenPage.of(html)
    assert shown.parts.keys() >= {"kpis", "about-overdue", "moves"}
    assert len(shown.cards["cards-warning"]) > 1
    for _ in range(STEPS):
        step(site, chance, orders)
        shown = shown.patched(answer_for(client, path, html))
        html = client.get(path).body.decode()
        assert shown == OpenPage.of(html)


def test_only_what_changed_is_sent(site: Door) -> None:
    lone = msgspec.structs.replace(sample().orders["demo-00186"], order_id="lone")
    site.put(lone)
    client = site.client("operator", "default")
    page = client.get("/").body.decode()
    same = answer_for(client, "/", page)
    assert (MARK.findall(same), same.count("data-had")) == ([], page.count('<li class="card'))
    assert len(same) < 3_000 + STUB_BYTES * len(MARK.findall(page))
    site.put(msgspec.structs.replace(lone, version=lone.version + 1))
    answer = OpenPage.of(answer_for(client, "/", page))
    cards = [each.attributes.get("data-key") for each in answer.all_cards()]
    assert [key for key in cards if key] == ["lone"]
    assert answer.parts.keys() <= {"moves"}


def test_the_marks_of_another_tenant_open_nothing(site: Door) -> None:
    page = site.client("operator", "default").get("/").body.decode()
    answer = answer_for(site.client("operator", "empty"), "/", page)
    assert "data-had" not in answer
    assert "demo-" not in answer
