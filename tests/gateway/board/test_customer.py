"""The customer's page: what it answers, and what it never shows."""

import re
from datetime import timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.shares import Share, Shares
from gateway.board.customer_page import day_of
from gateway.board.wording import Words
from schemas.alert_text import AlertText
from schemas.order import OrderDocument
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door
from tests.support.sample_orders import NOW, accepted, sample

ORDER = "demo-00138"
FAR = 1 << 40
SECRETS = ("c-secret", "sup-secret", "Ana Maria", "10.9.8.7", "op-secret", "flag-secret")


def link(site: Door, order_id: str = ORDER, level: str = "town", until_s: int = FAR) -> Reply:
    share = msgspec.convert(["default", order_id, level, until_s], Share)
    return Client(site.app).get(f"/t/{site.gateway.shares.sealed(share)}")


def test_it_answers_in_one_sentence(site: Door) -> None:
    html = link(site).body.decode()
    assert "<h1>Later than promised.</h1>" in html
    assert "1 of 2 parcels delivered" in html
    assert "noindex" in html
    assert "<script" not in html


def test_delivered_cancelled_and_returned_have_their_own_sentence(site: Door) -> None:
    sentences = {
        "DELIVERED": r"<h1>Delivered \w+ \d+ \w+( \d{4})?, \d\d:\d\d\.</h1>",
        "RETURN_REQUESTED": r"<h1>Your return is registered\.</h1>",
        "REFUNDED": r"<h1>Your money is on its way back\.</h1>",
        "ALLOCATED": r"<h1>(Being packed|Later than promised)\.</h1>",
    }
    for status, sentence in sentences.items():
        order = next(o for o in sample().orders.values() if o.status == status)
        html = link(site, order.order_id).body.decode()
        assert re.search(sentence, html), (status, order.order_id)


def test_it_holds_no_personal_data_and_nothing_internal(site: Door) -> None:
    order = sample().orders[ORDER]
    fields = {name: getattr(order, name) for name in OrderDocument.__struct_fields__}
    changed = {
        "order_id": "shared",
        "customer_id": "c-secret",
        "supplier_id": "sup-secret",
        "flags": ["flag-secret"],
    }
    site.put(OrderDocument(**fields | changed))
    event = {
        "event_id": "e",
        "source": "op-secret",
        "order_id": "shared",
        "status_code": "PAID",
        "timestamp": "2018-12-24T10:00:00.000Z",
        "personal": {"name": "Ana Maria"},
        "operator": "op-secret",
        "ip": "10.9.8.7",
    }
    site.put_events(accepted(event, 0))
    try:
        html = link(site, "shared").body.decode()
        assert "Paid" in html
        for secret in (*SECRETS, "late_delivery", "Late delivery", "carrier:"):
            assert secret not in html
    finally:
        with site.gateway.follower.view() as view:
            view.remove("shared")


def test_the_level_decides_over_places(site: Door) -> None:
    assert "Curitiba" in link(site).body.decode()
    without = link(site, level="none").body.decode()
    assert "Curitiba" not in without
    assert 'class="map"' not in without


def test_every_link_that_leads_nowhere_looks_the_same(site: Door) -> None:
    good = site.gateway.shares.sealed(Share("default", ORDER, "town", FAR))
    tokens = [
        "x",
        ("B" if good[0] == "A" else "A") + good[1:],
        good[:40] + ("B" if good[40] == "A" else "A") + good[41:],
        site.gateway.shares.sealed(Share("default", ORDER, "town", 1)),
        site.gateway.shares.sealed(Share("default", "no-such-order", "town", FAR)),
        site.gateway.shares.sealed(Share("other", ORDER, "town", FAR)),
        Shares(b"another secret").sealed(Share("default", ORDER, "town", FAR)),
        "9" * 5000,
    ]
    answers = [Client(site.app).get(f"/t/{token}") for token in tokens]
    assert {answer.status for answer in answers} == {404}
    bodies = {re.sub(rb"%2F[^\"]*|/t/[^?\"]*", b"", answer.body) for answer in answers}
    assert len(bodies) == 1
    assert b"This link has ended." in bodies.pop()


@given(at=st.integers(0, 10_000), bit=st.integers(0, 5))
def test_a_token_with_one_bit_changed_opens_nothing(at: int, bit: int) -> None:
    shares = Shares(b"secret")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = shares.sealed(Share("default", ORDER, "town", FAR))
    at %= len(token) - 1  # the last character holds bits that mean nothing
    changed = alphabet[alphabet.index(token[at]) ^ (1 << bit)]
    assert shares.opened(token[:at] + changed + token[at + 1 :], 0) is None
    assert shares.opened(token, 0) == Share("default", ORDER, "town", FAR)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_link_or_the_browser_chooses_the_language(site: Door, language: str) -> None:
    token = site.gateway.shares.sealed(Share("default", ORDER, "town", FAR))
    named = Client(site.app).get(f"/t/{token}?lang={language}").body.decode()
    accepting = Client(site.app, accept_language=f"{language},de;q=0.5")
    heading = {"en": "Later than promised.", "zh": "晚于承诺时间。"}[language]
    assert heading in named
    assert heading in accepting.get(f"/t/{token}").body.decode()


@pytest.mark.parametrize("hours", [-12, 0, 14])
def test_a_promised_day_is_that_day_in_any_zone(hours: int) -> None:
    words = Words("en", timezone(timedelta(hours=hours)), AlertText())
    ends_at = "2018-12-31T02:59:59.999Z"  # the end of 30 December, three hours west
    assert day_of(words, ends_at, NOW) == "Sun 30 Dec"


def test_the_sample_is_at_its_end() -> None:
    assert max(order.updated_at or "" for order in sample().orders.values()) < "2019"
    assert NOW > 0
