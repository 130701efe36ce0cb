"""The body of a request is bounded in time and size, however its sender dawdles."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway.body import body_of
from gateway.problems import Problem
from tests.support.asgi import scope_of


def read(*parts: bytes, leaves: bool = False, most_bytes: int = 100) -> bytes:
    """The body that comes in parts and then stops without an end, or whose sender leaves."""
    coming: Iterator[bytes] = iter(parts)

    async def receive() -> Message:
        for part in coming:
            return {"type": "http.request", "body": part, "more_body": part != b"end"}
        if leaves:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    request = Request(scope_of("POST", "/v1/events", {}), receive)
    return asyncio.run(body_of(request, most_bytes, within_s=0.1))


def test_a_body_in_parts_is_one() -> None:
    assert read(b"a", b"b", b"end") == b"abend"


@pytest.mark.parametrize("leaves", [False, True])
def test_a_body_that_never_ends_is_given_up(*, leaves: bool) -> None:
    with pytest.raises(Problem) as slow:
        read(b"a", leaves=leaves)
    assert slow.value.code == "too_slow"


def test_a_body_that_grows_too_large_is_given_up_where_it_does() -> None:
    with pytest.raises(Problem) as large:
        read(b"x" * 60, b"x" * 60)
    assert large.value.code == "too_large"
