"""Contract of Claims: one attempt at a time, and the first answer for every later one."""

from collections.abc import Iterator

import pytest

from gateway.claims import ATTEMPT_MS, KEEP_MS, MOST_CLAIMS, Claims, MemoryClaims, RedisClaims
from schemas.errors import Busy
from storage_tiering.hot.access import connect
from storage_tiering.hot.embedded import EmbeddedRedis
from tests.support.tiers.orders import START


@pytest.fixture(scope="module")
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def claims(request: pytest.FixtureRequest) -> Iterator[Claims]:
    if request.param == "memory":
        yield MemoryClaims()
        return
    server: EmbeddedRedis = request.getfixturevalue("redis")
    made = RedisClaims(connect(server.url), f"{request.node.name}:")
    yield made
    made.close()


def test_the_first_attempt_alone_may_write(claims: Claims) -> None:
    first = claims.claim("a", "digest", START)
    assert (first.is_ours, first.at_ms, first.answer) == (True, START, None)
    second = claims.claim("a", "digest", START + 1)
    assert not second.is_ours
    assert claims.claim("b", "digest", START).is_ours


def test_a_later_attempt_has_the_instant_and_the_digest_of_the_first(claims: Claims) -> None:
    claims.claim("a", "digest", START)
    claims.release("a")
    again = claims.claim("a", "other", START + 5_000)
    assert (again.is_ours, again.at_ms, again.digest) == (True, START, "digest")


def test_an_answer_ends_it(claims: Claims) -> None:
    claims.claim("a", "digest", START)
    claims.answered("a", b"\xff\x00answer")
    later = claims.claim("a", "digest", START + ATTEMPT_MS + 1)
    assert (later.is_ours, later.answer) == (False, b"\xff\x00answer")


def test_an_attempt_that_ended_without_a_word_is_over_after_a_minute(claims: Claims) -> None:
    claims.claim("a", "digest", START)
    assert not claims.claim("a", "digest", START + ATTEMPT_MS - 1).is_ours
    assert claims.claim("a", "digest", START + ATTEMPT_MS).is_ours
    assert not claims.claim("a", "digest", START + ATTEMPT_MS + 1).is_ours


def test_memory_forgets_after_a_day_and_beyond_its_bound() -> None:
    claims = MemoryClaims()
    claims.claim("a", "digest", START)
    claims.answered("a", b"answer")
    assert claims.claim("a", "digest", START + KEEP_MS).answer is None
    for number in range(MOST_CLAIMS):
        claims.claim(str(number), "digest", START)
    assert claims.claim("a", "digest", START + KEEP_MS).at_ms == START + KEEP_MS
    assert not claims.claim(str(MOST_CLAIMS - 1), "digest", START).is_ours


def test_redis_forgets_after_a_day(redis: EmbeddedRedis) -> None:
    client = connect(redis.url)
    claims = RedisClaims(client, "kept:")
    claims.claim("a", "digest", START)
    (key,) = client.keys("kept:*")
    assert KEEP_MS - 60_000 < client.pttl(key) <= KEEP_MS
    claims.close()


def test_a_redis_that_is_away_is_busy() -> None:
    server = EmbeddedRedis()
    claims = RedisClaims(connect(server.url), "x:")
    server.close()
    with pytest.raises(Busy, match="Redis"):
        claims.claim("a", "digest", START)
    claims.close()
