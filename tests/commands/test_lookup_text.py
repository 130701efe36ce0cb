"""Timeline and alerts of an order that was looked up."""

from typing import Any

import msgspec

from commands.lookup_text import alert_lines, timeline_lines
from schemas.alert_text import AlertText
from schemas.order import AcceptedEvent
from tests.support.alerts import alert, order
from tests.support.tiers.orders import accepted


def event(**sent: Any) -> AcceptedEvent:  # noqa: ANN401 - any field of an event
    return msgspec.structs.replace(accepted(), event=msgspec.Raw(msgspec.json.encode(sent)))


def test_what_was_left_out_of_an_event_is_named_under_it() -> None:
    kept = event(status_code="PAID", dropped_fields=["promised_at", "location.lat"])
    assert list(timeline_lines([kept]))[1:] == [
        "      left out, unusable: promised_at, location.lat"
    ]
    assert len(list(timeline_lines([event(status_code="PAID")]))) == 1


def test_a_carriers_unknown_code_stands_beside_the_status_that_it_counts_as() -> None:
    (line,) = timeline_lines([event(status_code="ALERT\u202e")])
    assert line.endswith(r"PAID (sent as 'ALERT\u202e')")
    (line,) = timeline_lines([event(status_code="PAID")])
    assert line.endswith("PAID")


def test_an_alert_has_the_sentences_of_every_other_view_and_its_starts() -> None:
    escalated = alert("late_delivery") | {"escalated_at": "2017-10-06T10:56:33.000Z"}
    document = order("SO-1", 1, escalated)
    (opened,) = document.open_alerts
    text = AlertText("en", {"late_delivery": {"en": "Late delivery"}})
    head, reason, since = alert_lines(document, text)
    assert head == f"  open alert   overdue: {text.summary(document, opened)}"
    assert reason.strip() == text.description(document, opened)
    assert since.strip() == (
        "open since 2017-10-05 10:56, overdue since 2017-10-06 10:56, "
        "evidence: event 0000000000000007"
    )
