"""Answers are compressed for whoever takes gzip, where that saves a packet."""

import gzip

import pytest

from gateway.application import COMPRESSED_FROM_BYTES
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door
from tests.support.tiers.orders import START, document

LARGE = ["/v1/orders?limit=200", "/v1/orders/export", "/v1/orders/export?format=csv", "/orders"]


@pytest.fixture
def client(door: Door) -> Client:
    door.put(*(document(f"many-{n:03}", updated_at=START + n) for n in range(100)))
    return door.client()


def plain(reply: Reply) -> bytes:
    """The body, decompressed where it says so."""
    is_compressed = reply.headers.get("content-encoding") == "gzip"
    return gzip.decompress(reply.body) if is_compressed else reply.body


@pytest.mark.parametrize("path", LARGE)
def test_a_large_answer_is_the_same_compressed(client: Client, path: str) -> None:
    whole, small = client.get(path), client.get(path, accept_encoding="gzip, br")
    assert len(whole.body) > COMPRESSED_FROM_BYTES
    assert "content-encoding" not in whole.headers
    assert small.headers["content-encoding"] == "gzip"
    assert len(small.body) < len(whole.body) / 3
    assert plain(small) == plain(whole)
    for reply in (whole, small):
        assert reply.headers["vary"] == "Accept-Encoding"
        assert int(reply.headers.get("content-length", len(reply.body))) == len(reply.body)


def test_a_small_answer_stays_as_it_is(client: Client) -> None:
    for path in ("/v1/me", "/v1/orders?limit=1", "/v1/orders/missing"):
        reply = client.get(path, accept_encoding="gzip")
        assert len(reply.body) < COMPRESSED_FROM_BYTES
        assert "content-encoding" not in reply.headers


def test_the_tag_of_a_version_is_weak_for_it_is_that_of_both_forms(client: Client) -> None:
    tag = client.get("/v1/orders/many-001").headers["etag"]
    assert tag.startswith('W/"')
    again = client.get("/v1/orders/many-001", if_none_match=tag, accept_encoding="gzip")
    assert (again.status, again.body) == (304, b"")
