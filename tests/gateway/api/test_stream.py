"""The stream: what changes is told once, within the scope, and nothing is missed on coming back."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from gateway.api.stream import MOST_STREAMS
from gateway.live.hub import MOST_PENDING, Audience, Change, Hub, Reader
from tests.support.alerts import alert, order
from tests.support.asgi import scope_of
from tests.support.gateway import Door
from tests.support.tiers.orders import document

Event = tuple[str, str | None, Any]
PATIENCE_S = 30.0


class Tail:
    """A reader of the stream, as a browser is one."""

    def __init__(self, door: Door, bearer: str, query: str = "", last_id: str = "") -> None:
        self.events: list[Event] = []
        self.status = 0
        self.last_id = ""
        self._text = ""
        self._gone = asyncio.Event()
        headers = {"authorization": bearer, "accept-encoding": "gzip"}  # never to be compressed
        headers |= {"last-event-id": last_id} if last_id else {}
        scope = scope_of("GET", f"/v1/stream{query}", headers)
        self.task = asyncio.create_task(self._run(door, scope))

    async def _run(self, door: Door, scope: dict[str, Any]) -> None:
        await door.app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self._text += message.get("body", b"").decode()
        *whole, self._text = self._text.split("\n\n")
        for block in whole:
            fields = dict(line.partition(": ")[::2] for line in block.splitlines())
            self.last_id = fields.get("id", self.last_id)
            if "event" in fields:
                data = msgspec.json.decode(fields["data"])
                self.events.append((fields["event"], fields.get("id"), data))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events if kind != "lanes"]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110 - what is awaited is data of another task
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._gone.set()
        await self.task


def streaming(door: Door, attempt: Callable[[str], Awaitable[None]], **scope: str) -> None:
    """Run an attempt with an operator's key."""
    door.start()
    bearer = f"Bearer {door.key('operator', **scope)}"
    asyncio.run(attempt(bearer))  # type: ignore[arg-type]  # a coroutine


async def put(door: Door, *orders: Any) -> None:  # noqa: ANN401 - order documents
    await asyncio.to_thread(door.put, *orders)


def test_a_change_is_told_with_what_was_before_and_with_its_alerts(door: Door) -> None:
    door.put(document("SO-1"))

    async def attempt(bearer: str) -> None:
        tail = Tail(door, bearer)
        await tail.until(lambda: bool(tail.events))
        assert tail.events[0][0] == "lanes"
        late = alert(order_id="SO-1", severity="warning")
        await put(door, order("SO-1", 2, late))
        await tail.until(lambda: "alert.opened" in tail.kinds())
        _, number, data = tail.events[1]
        assert number == f"{door.gateway.hub.epoch}-{door.gateway.hub.latest()}"
        assert data["was"] == {"lane": "normal", "status": "PAID"}
        assert (data["card"]["order_id"], data["card"]["lane"]) == ("SO-1", "warning")
        await put(door, order("SO-1", 3, late | {"severity": "overdue"}))
        await put(door, document("SO-1", 4))
        await tail.until(lambda: "alert.resolved" in tail.kinds())
        assert tail.kinds() == [
            *("order.changed", "alert.opened", "order.changed", "alert.escalated"),
            *("order.changed", "alert.resolved"),
        ]
        await tail.until(lambda: tail.events[-1][0] == "lanes")
        assert tail.events[-1][2]["lanes"]["normal"]["orders"] == 1
        await tail.close()
        assert not door.gateway.hub.readers

    streaming(door, attempt)


def test_who_comes_back_misses_nothing_and_a_foreign_id_is_a_reset(door: Door) -> None:
    async def attempt(bearer: str) -> None:
        tail = Tail(door, bearer, "?types=order.changed")
        await tail.until(lambda: bool(tail.last_id))
        await put(door, document("a"))
        await tail.until(lambda: len(tail.events) == 1)
        await tail.close()
        await put(door, document("b"), document("c"))
        again = Tail(door, bearer, "?types=order.changed", tail.last_id)
        await again.until(lambda: len(again.events) == 2)
        assert {data["card"]["order_id"] for _, _, data in again.events} == {"b", "c"}
        await again.close()
        for foreign in ("ffffffff-1", "x", f"{door.gateway.hub.epoch}-x"):
            other = Tail(door, bearer, "?types=order.changed", foreign)
            await other.until(lambda other=other: bool(other.events))  # type: ignore[misc]  # bound
            assert other.kinds() == ["reset"]
            await other.close()

    streaming(door, attempt)


def test_each_reader_gets_its_own_orders_and_what_it_asked_for(door: Door) -> None:
    async def attempt(_: str) -> None:
        keys = {
            "customer": door.key("customer", "default", "c1"),
            "carrier": door.key("carrier", "default", "sf"),
            "neighbour": door.key("operator", "acme"),
            "overdue": door.key("operator"),
        }
        queries = {"overdue": "?lane=overdue"}
        tails = {
            name: Tail(door, f"Bearer {key}", queries.get(name, "")) for name, key in keys.items()
        }
        for tail in tails.values():
            await tail.until(lambda tail=tail: bool(tail.last_id))  # type: ignore[misc]  # bound
        late = alert(order_id="late")
        await put(
            *(door, document("mine", customer_id="c1"), document("other", tenant="acme")),
            order("late", 1, late, carrier="sf"),
        )
        for tail in tails.values():
            await tail.until(lambda tail=tail: "order.changed" in tail.kinds())  # type: ignore[misc]  # bound
        await asyncio.sleep(0.3)
        seen = {
            name: {d["card"]["order_id"] for kind, _, d in tail.events if kind == "order.changed"}
            for name, tail in tails.items()
        }
        assert seen == {
            "customer": {"mine"},
            "carrier": {"late"},
            "neighbour": {"other"},
            "overdue": {"late"},
        }
        assert "alert.opened" not in tails["carrier"].kinds()
        for tail in tails.values():
            await tail.close()

    streaming(door, attempt)


def test_a_key_has_a_few_streams_and_a_type_is_one_of_those_there_are(door: Door) -> None:
    async def attempt(bearer: str) -> None:
        tails = [Tail(door, bearer) for _ in range(MOST_STREAMS)]
        for tail in tails:
            await tail.until(lambda tail=tail: bool(tail.last_id))  # type: ignore[misc]  # bound
        more = Tail(door, bearer)
        await more.until(lambda: more.status == 429)
        wrong = Tail(door, bearer, "?types=order.chaned")
        await wrong.until(lambda: wrong.status == 400)
        door.gateway.hub.close()
        for tail in tails:
            await tail.until(tail.task.done)
        assert not door.gateway.hub.readers

    streaming(door, attempt)


def test_a_view_that_begins_anew_sets_its_readers_behind() -> None:
    async def run() -> None:
        hub, reader, late = Hub(), Reader("a"), Reader("b")
        number = hub.join(reader, None)
        hub.publish(Change("o", document("o"), None, {}, 1))
        hub.forget()
        assert hub.taken(reader) == ([], True)
        hub.join(late, f"{hub.epoch}-{number}")
        assert hub.taken(late) == ([], True)

    asyncio.run(run())


@pytest.mark.parametrize(("orders", "is_behind"), [(MOST_PENDING, False), (MOST_PENDING + 1, True)])
def test_a_slow_reader_gets_the_latest_of_each_order_or_a_reset(
    orders: int, *, is_behind: bool
) -> None:
    async def run() -> None:
        hub, reader = Hub(), Reader("slow")
        hub.join(reader, None)
        for number in range(3 * orders):
            key = f"o{number % orders}"
            hub.publish(Change(key, document(key, number), None, {}, number))
        changes, was_behind = hub.taken(reader)
        assert was_behind == is_behind
        if not is_behind:
            assert len(changes) == orders
            assert [each for each, _ in changes] == list(range(2 * orders + 1, 3 * orders + 1))
        assert hub.taken(reader)[1] is False

    asyncio.run(run())


def test_the_events_of_a_change_are_made_once_for_all_readers_of_a_scope(door: Door) -> None:
    door.put(document("SO-1"))

    async def attempt(bearer: str) -> None:
        staff = [Tail(door, bearer) for _ in range(3)]
        other = Tail(door, f"Bearer {door.key('carrier', party='yunda')}")
        hub = door.gateway.hub
        await staff[0].until(lambda: len(hub.readers) == 4)
        assert len(hub.audiences) == 2
        await put(door, document("SO-1", version=2))
        for tail in staff:
            await tail.until(lambda tail=tail: "order.changed" in tail.kinds())  # type: ignore[misc]  # bound now
        assert len({str(tail.events) for tail in staff}) == 1
        assert other.kinds() == []
        for tail in (*staff, other):
            await tail.close()
        gc.collect()  # what ended a stream may hold its frames
        assert not hub.audiences

    streaming(door, attempt)


def test_what_one_reader_combined_is_not_sent_to_another() -> None:
    first = Change("SO-1", None, None, {}, 1)
    combined = first._replace(alerts_before={"a": ("late", "overdue")})
    audience = Audience()
    assert audience.encoded(7, first, lambda: b"first") == b"first"
    assert audience.encoded(7, combined, lambda: b"combined") == b"combined"
    assert audience.encoded(8, first, lambda: b"later") == b"later"
    assert audience.encoded(8, first, lambda: b"never") == b"later"
