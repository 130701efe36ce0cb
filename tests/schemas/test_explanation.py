"""Sentences of explanations: each state has one in each language, and text is escaped."""

from typing import Any, get_args

import pytest

from schemas.alert_text import AlertText, Language
from schemas.explanation import PHRASES, RuleState, State, sentence

LABELS = {"silent": {"en": "No update", "zh": "物流停滞"}}
STATUSES = {"SHIPPED": {"en": "Shipped", "zh": "已发货"}}


def told(language: Language = "en", **fields: Any) -> str:  # noqa: ANN401 - any field of a state
    found: dict[str, Any] = {
        "rule": "silent",
        "state": "armed",
        "shipment": None,
        "severity": "warning",
        "detail": "last_update",
        "anchor_at": "2026-03-02T09:00:00.000Z",
        "due_at": "2026-03-04T09:00:00.000Z",
        "escalates_at": None,
        "opened_at": None,
        "paused_until": None,
    }
    return sentence(RuleState(**(found | fields)), AlertText(language, LABELS, STATUSES))


def test_an_armed_rule_names_when_it_is_due_and_what_moves_that() -> None:
    assert told() == "No update: due 2026-03-04 09:00 UTC, counted from the last update"
    at = "2026-03-05T09:00:00.000Z"
    assert told(shipment="W1", escalates_at=at, paused_until=at) == (
        "No update, parcel W1: due 2026-03-04 09:00 UTC, counted from the last update; overdue "
        "from 2026-03-05 09:00 UTC; its clock stands still until 2026-03-05 09:00 UTC at most"
    )
    assert told("zh") == "物流停滞：2026-03-04 09:00 UTC 到期，自最后一次更新起计"


def test_statuses_and_milestones_have_their_labels() -> None:
    assert told(state="status", detail="SHIPPED") == "No update: not watched in status Shipped"
    missing = told(state="anchor_missing", detail="milestone SHIPPED | promised_at")
    assert missing == "No update: not watched: missing is Shipped or the promised delivery"
    assert told("zh", state="once_missing", detail="milestone SHIPPED") == (
        "物流停滞：在已发货之前不监控"
    )
    assert (
        told(state="direction", detail="return") == "No update: not watched: the parcel goes back"
    )


def test_a_parcel_without_a_status_is_said_to_have_none() -> None:
    found = told(state="shipment_status", detail="")
    assert found == "No update: not watched while the parcel has no status"


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("state", get_args(State))
def test_every_state_has_a_sentence_of_one_escaped_line(language: Language, state: str) -> None:
    detail = "return" if state == "direction" else "a\x1b[31m\nb {x}"
    found = told(language, state=state, detail=detail, shipment="\x1b[2J")
    assert "\x1b" not in found
    assert "\n" not in found
    assert LABELS["silent"][language] in found


def test_both_languages_have_the_same_phrases() -> None:
    assert PHRASES["en"].keys() == PHRASES["zh"].keys()
