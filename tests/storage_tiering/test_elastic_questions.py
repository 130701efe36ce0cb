"""The questions to Elasticsearch in docs/operations.md, asked of real indices."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from elasticsearch import Elasticsearch

from schemas.instants import HOUR_MS, format_instant
from storage_tiering.dead_letters import dead_letter_of
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from tests.contracts.test_outcomes import action, entry, records
from tests.support.alerts import alert
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.orders import START, Log, accepted, dead_letter, document

OPERATIONS = Path(__file__).resolve().parents[2] / "docs/operations.md"
QUESTION = re.compile(r"^search (\w+) '(.+)'$", re.MULTILINE)
QUESTIONS = QUESTION.findall(OPERATIONS.read_text())


def hours(count: int) -> str:
    return format_instant(START + count * HOUR_MS)


LATE = alert("late_delivery", "overdue", "e481f51c")
ORDERS = (
    document(
        "e481f51c", lane="overdue", open_alerts=[alert("late_delivery", "overdue", "e481f51c")]
    ),
    document("b", promised_at=hours(40)),
    document(
        "c",
        customer_id="C-1017",
        attributes={"colour": "red", "cold_chain": True},
        promised_at=hours(40),
        milestones={"PAID": hours(0), "SHIPPED": hours(30), "DELIVERED": hours(60)},
    ),
)
AUDIT = [
    entry("1", order_id="e481f51c", what="alert.opened"),
    entry("2", operator="u-5", ip="192.0.2.7"),
]
SCAN = {
    "event_id": "7",
    "source": "carrier:sf",
    "location": {"name": "Wuhan", "lat": 30.6, "lon": 114.3},
}


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Elasticsearch, str]]:
    """(client, prefix), with what the questions are about."""
    log = Log()
    scan = msgspec.structs.replace(
        accepted("e481f51c"), event=msgspec.Raw(msgspec.json.encode(SCAN))
    )
    letter = dead_letter("no_order", b'{"source": "shop"}')
    with shared_place() as (url, prefix), connect(url) as client:
        tier = ElasticTier(client, prefix)
        tier.write_orders(log.changes(*ORDERS))
        tier.write_events(log.events(scan))
        tier.write_outcomes(records(*AUDIT, action("a")))
        tier.write_dead_letters([dead_letter_of(letter)])
        assert tier.flush(force=True)
        yield client, prefix


def test_the_page_has_questions_to_each_index() -> None:
    assert {kind for kind, _ in QUESTIONS} == {"orders", "events", "audit", "actions", "rejected"}


@pytest.mark.stack
@pytest.mark.parametrize(("kind", "question"), QUESTIONS)
def test_a_question_of_the_page_has_an_answer(
    place: tuple[Elasticsearch, str], kind: str, question: str
) -> None:
    client, prefix = place
    index = f"{prefix}-{kind}-*"
    answer = client.search(index=index, q=question, sort="@timestamp:desc", lenient=False)
    found = answer["hits"]["total"]["value"]
    everything = client.count(index=index)["count"]
    assert found > 0
    assert found < everything or everything == 1, "it leaves out what isn't asked for"
