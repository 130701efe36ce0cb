"""The survey on the customer's page: one answer a delivered order, on its timeline and audited."""

from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from broker.consume import read_all
from gateway.access.shares import Share
from privacy.keys import FileKeyStore, KeyErased
from privacy.seal import open_event, seal_event
from schemas.alert import AuditEntry
from schemas.event import Event, decode_event
from schemas.instants import format_instant
from schemas.keys import content_id
from schemas.topics import EVENTS, ORDERS_AUDIT
from storage_tiering.records import outcome_record
from storage_tiering.tier import TopicPosition
from tests.support.actions import action
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door
from tests.support.sample_orders import accepted, sample

FAR = 1 << 40
FORM = "application/x-www-form-urlencoded"
HOSTILE = "</p><script>alert(1)</script>\x1b[31m\u202e & more " + "x" * 600
DELIVERED = [each for each in sample().orders.values() if each.status == "DELIVERED"]
UNDER_WAY = next(each for each in sample().orders.values() if each.status == "SHIPPED")


def path_of(site: Door, order_id: str) -> str:
    share = Share("default", order_id, "town", FAR)
    return f"/t/{site.gateway.shares.sealed(share)}"


def page(site: Door, order_id: str, language: str = "en") -> str:
    return Client(site.app).get(f"{path_of(site, order_id)}?lang={language}").body.decode()


def answer(site: Door, path: str, headers: dict[str, str] | None = None, **form: object) -> Reply:
    body = urlencode(form).encode()
    return Client(site.app).post(f"{path}/survey", body, content_type=FORM, **(headers or {}))


def written(site: Door, topic: str, order_id: str) -> list[dict[str, Any]]:
    values = [message.value or b"{}" for message in read_all(site.connection, topic)]
    found = [msgspec.json.decode(value) for value in values]
    return [each for each in found if each.get("order_id") == order_id]


def test_a_delivered_order_has_one_question_in_either_language(site: Door) -> None:
    order_id = DELIVERED[0].order_id
    for language, question in (("en", "How was the delivery?"), ("zh", "您对本次配送满意吗？")):
        html = page(site, order_id, language)
        assert question in html
        assert html.count('type="radio"') == 5
        assert "<script" not in html
    assert 'class="panel survey"' not in page(site, UNDER_WAY.order_id)


def test_the_first_answer_counts_and_stands_on_the_timeline_escaped(site: Door) -> None:
    order_id, path = DELIVERED[0].order_id, path_of(site, DELIVERED[0].order_id)
    first = answer(site, path, rating=4, text=HOSTILE, lang="zh")
    assert (first.status, first.headers["location"]) == (303, f"{path}?lang=zh&survey=thanks")
    assert "感谢您的反馈" in Client(site.app).get(first.headers["location"]).body.decode()
    other = path_of(site, order_id)  # another link to the same order leads back to itself
    assert answer(site, other, rating=1).headers["location"].startswith(other)
    (note,) = written(site, EVENTS, order_id)
    assert note["text"] == "survey: 4 of 5"
    assert note["personal"]["text"].startswith("</p><script>")
    assert len(note["personal"]["text"]) == 500
    event = decode_event(msgspec.json.encode(note))
    assert isinstance(event, Event)
    assert event.personal == note["personal"], "nothing of it is left out at the door"
    assert (event.status_code, event.source) == ("NOTE", "note:survey")
    (entry,) = written(site, ORDERS_AUDIT, order_id)
    assert (entry["what"], entry["detail"]["rating"]) == ("survey.answered", "4")
    assert "script" not in msgspec.json.encode(entry).decode(), "the words are not audited"
    assert "ip" not in entry, "the customer's own"
    site.put_events(accepted(note, 9_000))
    staff = site.client("operator").get(f"/orders/{order_id}?tenant=default").body.decode()
    assert "survey: 4 of 5" in staff
    assert "alert(1)" not in staff
    assert "\x1b" not in staff
    assert "Thank you" in page(site, order_id)
    assert "survey: 4" not in page(site, order_id), "who has the link doesn't read the answer"
    answer(site, path_of(site, order_id), rating=2)
    assert len(written(site, EVENTS, order_id)) == 1


def test_the_words_of_an_answer_can_be_read_until_the_customer_is_erased(
    site: Door, tmp_path: Path
) -> None:
    order = DELIVERED[3]
    assert order.customer_id
    answer(site, path_of(site, order.order_id), rating=2, text="Ada's box was wet")
    (note,) = written(site, EVENTS, order.order_id)
    created = {**note, "status_code": "CREATED", "customer_id": order.customer_id, "event_id": "e"}
    with closing(FileKeyStore(tmp_path / "keys.json")) as keys:
        _, sealed = (sealed_by(keys, each) for each in (created, note))
        assert b"wet" not in sealed
        assert open_event(sealed, keys) == {"text": "Ada's box was wet"}
        keys.erase("default", order.customer_id)
        with pytest.raises(KeyErased):
            open_event(sealed, keys)


def sealed_by(keys: FileKeyStore, fields: dict[str, Any]) -> bytes:
    data = msgspec.json.encode(fields)
    event = decode_event(data)
    assert isinstance(event, Event)
    return seal_event(data, event, keys)


def test_an_answer_is_the_outcome_of_the_action_that_sent_the_survey(site: Door) -> None:
    order_id = DELIVERED[1].order_id
    sent = [action(order_id, "send_survey", at=site.now_ms - days) for days in (2, 1)]
    for offset, each in enumerate(sent):
        entry = AuditEntry(
            audit_id=content_id("audit", order_id, f"{offset}"),
            at=each.at,
            what="action.requested",
            tenant="default",
            order_id=order_id,
            detail={},
            action=each,
        )
        record = outcome_record(entry, TopicPosition(ORDERS_AUDIT, 0, 100 + offset))
        site.tier.write_outcomes([record])
    assert answer(site, path_of(site, order_id), rating=5).status == 303
    (entry_,) = written(site, ORDERS_AUDIT, order_id)
    assert entry_["what"] == "action.answered"
    assert entry_["at"] == format_instant(site.now_ms)
    assert entry_["detail"] == {
        "action_id": sent[1].action_id,
        "kind": "send_survey",
        "state": "answered",
        "rating": "5",
        "reason": "5 of 5",
    }


def test_what_is_no_answer_writes_nothing(site: Door) -> None:
    order_id = DELIVERED[2].order_id
    path = path_of(site, order_id)
    foreign = {"origin": "https://elsewhere.example.com"}
    assert answer(site, path, foreign, rating=5).status == 403
    assert answer(site, path[:-4] + "AAAA", rating=5).status == 404
    expired = site.gateway.shares.sealed(Share("default", order_id, "town", 1))
    assert answer(site, f"/t/{expired}", rating=5).status == 404
    unrated = answer(site, path, text="fine", lang="en")
    assert unrated.headers["location"].endswith("?lang=en&survey=choose")
    assert "Please choose" in Client(site.app).get(unrated.headers["location"]).body.decode()
    for rating in ("0", "6", "4.5", "good", ""):
        assert answer(site, path, rating=rating).status == 400
    assert answer(site, path, rating=5, text="x" * 2_001).status == 400
    under_way = path_of(site, UNDER_WAY.order_id)
    assert answer(site, under_way, rating=5).status == 409
    for each in (order_id, UNDER_WAY.order_id):
        assert written(site, EVENTS, each) == written(site, ORDERS_AUDIT, each) == []
    assert answer(site, path, {"origin": "http://board.test"}, rating=5).status == 303
