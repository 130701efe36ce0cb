"""The pages on rules and events hold: every recipe can be pasted, and opens as promised."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from dataflows.core.lifecycle_check import parse_lifecycle
from dataflows.core.rules_check import parse_rules
from schemas.instants import format_instant, parse_instant
from tests.support.stage import TABLE, Json, Stage, day, fact_of, scanned, sent

DOCS = Path("docs")
BLOCK = "```{}\n(.*?)```"
RECIPES = re.findall(BLOCK.format("toml"), (DOCS / "recipes.md").read_text("utf-8"), re.DOTALL)
SAMPLES = re.findall(BLOCK.format("toml"), (DOCS / "rules.md").read_text("utf-8"), re.DOTALL)
DEFAULT = Path("dataflows/core/rules.toml").read_text("utf-8")
LIFECYCLE = Path("dataflows/core/lifecycle.toml").read_text("utf-8")
COUNT = 14


def recipe(rule: str) -> str:
    """The block that has a rule."""
    (block,) = [block for block in RECIPES if f'id = "{rule}"' in block]
    return str(block)


def stage_of(rule: str) -> Stage:
    """A shard with the rules of one recipe."""
    return Stage(parse_rules(f"version = 1\n{recipe(rule)}", "recipes.md", TABLE))


def events_of(page: str) -> list[Json]:
    """The events that a page shows, in its blocks of JSON."""
    found: list[Json] = []
    for block in re.findall(BLOCK.format("json"), (DOCS / page).read_text("utf-8"), re.DOTALL):
        text = block.strip()
        while text:
            event, end = json.JSONDecoder().raw_decode(text)
            found.append(event)
            text = text[end:].strip()
    return found


def test_the_page_has_fourteen_recipes() -> None:
    assert len(RECIPES) == COUNT


@pytest.mark.parametrize("block", RECIPES)
def test_a_recipe_alone_is_a_rules_file_but_for_its_version(block: str) -> None:
    rules = parse_rules(f"version = 1\n{block}", "recipes.md", TABLE)
    assert len(rules.rules) == block.count("[[rule]]")


@pytest.mark.parametrize("block", RECIPES)
def test_a_recipe_can_be_pasted_behind_the_default_rules(block: str) -> None:
    parse_rules(DEFAULT + block, "recipes.md", TABLE)


def test_all_recipes_can_be_pasted_together() -> None:
    rules = parse_rules("\n".join([DEFAULT, *RECIPES]), "recipes.md", TABLE)
    assert len(rules.rules) == ("\n".join([DEFAULT, *RECIPES])).count("\n[[rule]]")


@pytest.mark.parametrize("block", [block for block in SAMPLES if "[[rule]]" in block])
def test_a_rule_of_the_rules_page_is_one(block: str) -> None:
    head = "" if block.startswith("version") else "version = 1\n"
    assert parse_rules(head + block, "rules.md", TABLE).rules


@pytest.mark.parametrize("block", [block for block in SAMPLES if "[[status]]" in block])
def test_a_status_of_the_rules_page_can_be_added_to_the_lifecycle(block: str) -> None:
    code = tomllib.loads(block)["status"][0]["code"]
    assert code in parse_lifecycle(LIFECYCLE + block, "rules.md").index


@pytest.mark.parametrize("event", events_of("events.md"), ids=lambda event: event["event_id"])
def test_an_event_of_the_events_page_is_taken(event: Json) -> None:
    assert fact_of(event).event_id == event["event_id"]


def test_paid_but_not_shipped_opens_after_two_hours() -> None:
    stage = stage_of("paid_not_shipped")
    stage.hear(sent("PAID", day(0)))
    stage.advance(day(0, 2) - 1)
    assert stage.told() == []
    stage.advance(day(0, 2))
    stage.hear(sent("SHIPPED", day(0, 3)))
    assert stage.told() == [
        ("paid_not_shipped", "opened", format_instant(day(0, 2))),
        ("paid_not_shipped", "resolved", format_instant(day(0, 3))),
    ]


def test_a_vip_order_is_late_after_36_hours_and_no_other_is() -> None:
    stage = stage_of("vip_late_shipping")
    stage.hear(sent("PAID", day(0), attributes={"vip": True}))
    stage.hear(sent("PAID", day(0, 1), order_id="o2", event_id="o2-paid"))
    stage.hear(
        sent("PAID", day(0, 2), order_id="o3", event_id="o3-paid", attributes={"vip": False})
    )
    stage.advance(day(3))
    assert stage.told() == [("vip_late_shipping", "opened", format_instant(day(1, 12)))]
    assert stage.alerts[0].order_id == "o1"


def test_the_supplier_is_warned_and_no_alert_opens() -> None:
    stage = stage_of("supplier_reminder")
    stage.hear(sent("PAID", day(0), supplier_id="s1"))
    stage.hear(sent("PAID", day(0, 1), order_id="o2", event_id="o2-paid"))
    stage.advance(day(5))
    assert stage.told() == []
    assert stage.acted() == [("warn_supplier", format_instant(day(2)))]


def test_a_customer_is_written_once_for_each_event_of_an_order() -> None:
    stage = stage_of("notify_shipped")
    stage.hear(sent("PAID", day(0), promised_at=format_instant(day(2, 6))))
    stage.hear(sent("SHIPPED", day(1), shipment="p1", waybill="SF1"))
    stage.hear(scanned("OUT_FOR_DELIVERY", day(2, 8), "SF1"))
    stage.hear(scanned("DELIVERY_FAILED", day(2, 12), "SF1"))
    stage.hear(scanned("OUT_FOR_DELIVERY", day(3, 8), "SF1"))
    stage.hear(scanned("READY_FOR_PICKUP", day(3, 12), "SF1"))
    stage.hear(scanned("DELIVERED", day(4), "SF1"))
    stage.advance(day(30))
    assert stage.told() == [], "no alert opens"
    assert stage.acted() == [
        ("notify_shipped", format_instant(day(1))),
        ("notify_delayed", format_instant(day(2, 6))),
        ("notify_out_for_delivery", format_instant(day(2, 8))),
        ("notify_failed", format_instant(day(2, 12))),
        ("notify_out_for_delivery", format_instant(day(3, 8))),
        ("notify_ready_for_pickup", format_instant(day(3, 12))),
        ("notify_delivered", format_instant(day(4))),
        ("notify_survey", format_instant(day(7))),
    ]


def test_a_return_that_came_is_written_once() -> None:
    stage = stage_of("notify_return_received")
    for days, status in enumerate(("PAID", "SHIPPED", "DELIVERED", "RETURN_REQUESTED")):
        stage.hear(sent(status, day(days)))
    stage.hear(sent("RETURNED", day(5)))
    stage.hear(sent("REFUNDED", day(6)))
    stage.advance(day(30))
    assert ("notify_return_received", format_instant(day(5))) in stage.acted()
    assert len([each for each, _ in stage.acted() if each == "notify_return_received"]) == 1


def test_two_working_days_pass_over_easter() -> None:
    stage = stage_of("two_working_days")
    stage.hear(sent("PAID", parse_instant("2026-04-02T08:00:00Z")))
    stage.advance(parse_instant("2026-04-20T00:00:00Z"))
    assert stage.told() == [("two_working_days", "opened", "2026-04-08T08:00:00.000Z")]


@pytest.mark.parametrize(
    ("paid", "due"),
    [
        ("2026-03-02T07:59:59.999Z", "2026-03-03T07:59:59.999Z"),  # a Monday before 16:00
        ("2026-03-02T08:00:00Z", "2026-03-03T16:00:00.000Z"),
        ("2026-03-06T08:00:00Z", "2026-03-09T16:00:00.000Z"),  # a Friday
    ],
)
def test_what_is_paid_after_the_cut_off_has_the_whole_next_working_day(paid: str, due: str) -> None:
    stage = stage_of("after_cut_off")
    stage.hear(sent("PAID", parse_instant(paid)))
    stage.advance(parse_instant("2026-03-20T00:00:00Z"))
    assert stage.told() == [("after_cut_off", "opened", due)]


def test_a_lost_parcel_opens_at_once_and_resolves_when_it_is_replaced() -> None:
    stage = stage_of("parcel_lost")
    stage.hear(sent("PAID", day(0)), sent("IN_TRANSIT", day(1), shipment="a"))
    stage.hear(sent("LOST", day(2), shipment="a"))
    stage.hear(sent("LABEL_CREATED", day(3), shipment="b", replaces="a"))
    assert stage.told() == [
        ("parcel_lost", "opened", format_instant(day(2))),
        ("parcel_lost", "resolved", format_instant(day(3))),
    ]


@pytest.mark.parametrize(("expected", "opens"), [(None, False), (2, True)])
def test_an_order_is_not_complete_before_its_parcels_are(
    expected: int | None, *, opens: bool
) -> None:
    stage = stage_of("not_complete")
    stage.hear(sent("PAID", day(0), **({"parcels_expected": expected} if expected else {})))
    stage.hear(sent("SHIPPED", day(1)))
    stage.hear(sent("DELIVERED", day(3), shipment="a"))
    stage.advance(day(20))
    at = format_instant(day(11))
    assert stage.told() == ([("not_complete", "opened", at)] if opens else [])


@pytest.mark.parametrize("is_paid", [False, True])
def test_cash_on_delivery_is_claimed_three_days_after_the_delivery(*, is_paid: bool) -> None:
    stage = stage_of("cod_unpaid")
    stage.hear(sent("PENDING_PAYMENT", day(0), attributes={"cash_on_delivery": True}))
    stage.hear(sent("DELIVERED", day(4), shipment="a"))
    if is_paid:
        stage.hear(sent("PAID", day(5)))
    stage.advance(day(10))
    at = format_instant(day(7))
    assert stage.told() == ([] if is_paid else [("cod_unpaid", "opened", at)])
