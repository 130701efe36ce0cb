"""Limits: a rate for each caller, and slots of which queries always keep half."""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable

import pytest

from gateway.application import application
from gateway.limits import RATES, SHARES, SLOTS, Class, Limits
from gateway.problems import Problem
from schemas.errors import SettingsError
from tests.support.asgi import Client, Reply, scope_of
from tests.support.gateway import REST_TOKEN, Door, EmbeddedDoor

URL = f"/v1/carriers/rest/depot/callback/{REST_TOKEN}"
GOOD = b'{"order_id": "o", "status_code": "PAID", "timestamp": "2017-10-01T08:00:00Z"}'


def limited(door: Door, **rates: str) -> Door:
    """The gateway with other rates."""
    door.gateway = door.gateway._replace(limits=Limits(rates))
    door.app = application(door.gateway)
    return door


def limited_in_a_period(door: Door, **rates: str) -> Door:
    """The same within one period: at the turn of a minute, a caller may send another request."""
    door.gateway.access.now_s = lambda: 30.0
    return limited(door, **rates)


def test_over_its_rate_a_caller_is_refused_and_another_is_not(door: Door) -> None:
    limited_in_a_period(door, query="3 per 1 minute")
    first, second = door.client(), door.client()
    answers = [first.get("/v1/me") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers[:3]] == ["2", "1", "0"]
    assert answers[3].json["code"] == "limited"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    assert second.get("/v1/me").status == 200
    labels = {"class": "query", "reason": "limited"}
    counted = door.gateway.metrics.registry.get_sample_value("ordertide_http_refused_total", labels)
    assert counted == 2


def test_what_is_refused_leaves_nothing_to_the_garbage_collector(door: Door) -> None:
    limited(door, callback="1 per 1 hour")
    stranger, reader = Client(door.app), door.client()
    stranger.post(URL, GOOD)
    refused: list[Callable[[], Reply]] = [
        lambda: stranger.post(URL, GOOD),
        lambda: stranger.get("/v1/me"),
        lambda: reader.get("/v1/orders/unknown"),
        lambda: reader.get("/v1/orders?unknown=1"),
        lambda: reader.get("/orders/unknown"),
    ]
    assert [refuse().status for refuse in refused] == [429, 401, 404, 400, 404]
    gc.collect()
    gc.disable()
    try:
        for refuse in refused:
            for _ in range(50):
                refuse()
            assert gc.collect() < 50  # of other threads
    finally:
        gc.enable()


def test_callbacks_over_what_may_come_at_once_are_refused_for_a_second(door: Door) -> None:
    limited(door, callback="1000 per 5 second, 3 at once")
    door.gateway.access.now_s = lambda: 1_800_000_000.0
    client = Client(door.app)
    answers = [client.post(URL, GOOD) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"3"}
    assert answers[3].headers["retry-after"] == "1"
    assert "over 1000 requests in 5 s, or 3 at once" in answers[3].json["detail"]
    door.gateway.access.now_s = lambda: 1_800_000_001.0
    assert client.post(URL, GOOD).status == 200


def test_a_refused_body_is_never_read(door: Door) -> None:
    limited_in_a_period(door, callback="1 per 1 minute")
    client = Client(door.app)
    assert client.post(URL, GOOD).status == 200

    async def post_without_a_body() -> int:
        sent: list[int] = []

        async def receive() -> dict[str, object]:
            raise AssertionError("the body was asked for")

        async def send(message: dict[str, object]) -> None:
            sent.extend([int(str(message["status"]))] if "status" in message else [])

        await door.app(scope_of("POST", URL, {}), receive, send)  # type: ignore[arg-type]  # plain
        return sent[0]

    assert asyncio.run(post_without_a_body()) == 429


def test_accounts_of_carriers_are_counted_apart_and_guesses_of_a_code_too(door: Door) -> None:
    limited_in_a_period(door, callback="1 per 1 minute", sign_in="2 per 1 minute")
    client = Client(door.app)
    assert client.post(URL, GOOD).status == 200
    assert client.post(URL, GOOD).status == 429
    assert client.post("/v1/carriers/sf/main/callback", b"").status == 400
    guesses = Counter(client.get("/sign-in?code=x").status for _ in range(4))
    assert guesses == {401: 2, 429: 2}


def test_queries_keep_half_of_the_slots_while_events_take_all_they_get() -> None:
    async def run() -> None:
        limits = Limits()
        entered: Counter[Class] = Counter()
        refused: list[Problem] = []
        all_know, done = asyncio.Event(), asyncio.Event()

        def answered() -> None:
            if entered.total() + len(refused) == 3 * SLOTS:
                all_know.set()

        async def hold(cls: Class) -> None:
            try:
                async with limits.slot(cls):
                    entered[cls] += 1
                    answered()
                    await done.wait()
            except Problem as problem:
                refused.append(problem)
                answered()

        classes: list[Class] = ["ingest", "callback"]
        asking = [asyncio.create_task(hold(cls)) for cls in classes * SLOTS]
        await asyncio.sleep(0)
        asking += [asyncio.create_task(hold("query")) for _ in range(SLOTS)]
        await all_know.wait()
        assert entered["ingest"] + entered["callback"] == SHARES["feed"]
        assert entered["query"] == SLOTS - SHARES["feed"]
        assert {each.code for each in refused} == {"busy"}
        done.set()
        await asyncio.gather(*asking)
        async with limits.slot("ingest"):  # all were given back
            pass

    asyncio.run(run())


def test_of_callbacks_at_once_each_turn_of_the_loop_handles_one() -> None:
    async def run() -> None:
        limits, loop = Limits(), asyncio.get_running_loop()
        turn, begun, done = 0, list[int](), asyncio.Event()

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            if not done.is_set():
                loop.call_soon(next_turn)

        async def push(cls: Class) -> None:
            async with limits.slot(cls):
                begun.append(turn)

        next_turn()
        classes: list[Class] = ["callback", "ingest"]
        pushes = [asyncio.create_task(push(cls)) for cls in classes * (SHARES["feed"] // 2)]
        await asyncio.sleep(0)
        for given_up in pushes[3:6]:  # their senders left; their turns pass on
            given_up.cancel()
        await asyncio.gather(*pushes, return_exceptions=True)
        done.set()
        assert len(begun) == len(set(begun)) == SHARES["feed"] - 3
        assert begun[-1] - begun[0] <= len(begun)  # no turn was left out

    asyncio.run(run())


def test_a_sender_that_retries_loses_nothing_at_ten_times_its_limit(door: EmbeddedDoor) -> None:
    limited(door, callback="2 per 1 second")
    client = Client(door.app)
    refused = taken = 0
    give_up_at_s = time.monotonic() + 60
    for number in range(6):
        push = GOOD.replace(b'"o"', b'"o%d"' % number)
        while (answer := client.post(URL, push)).status != 200:
            assert answer.status == 429
            assert time.monotonic() < give_up_at_s
            refused += 1
            time.sleep(0.05)
        taken += 1
    assert refused
    assert len({message.key for message in door.events()}) == taken == 6


@pytest.mark.parametrize(
    ("rates", "part"),
    [({"queries": "1 per 1 second"}, "write one of query"), ({"query": "many"}, "is no rate")],
)
def test_a_rate_that_is_none_is_named(rates: dict[str, str], part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        Limits(rates)
    assert set(RATES) > {"query"}
