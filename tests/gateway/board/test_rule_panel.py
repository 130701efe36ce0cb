"""The panel "Why not yet?" of an order's page: every rule's state, for operators and up."""

import re

import pytest

from dataflows.definition_files import read_lifecycle, read_rules
from gateway.access.caller import EVERY_ROLE, OPERATORS, Role
from tests.support.asgi import Client
from tests.support.gateway import Door
from tests.support.sample_orders import NOW, sample

LATE, ON_TWO_WAYS = "demo-00186", "demo-00138"
RULES = read_rules(None, read_lifecycle())


@pytest.fixture(autouse=True)
def _written(site: Door) -> None:
    """The tier holds everything up to now."""
    site.tier.watermark = NOW


def panel(client: Client, order_id: str) -> str:
    """The opened panel of an order."""
    answer = client.get(f"/orders/{order_id}?rules=1")
    assert answer.status == 200
    return answer.body.decode().partition('id="rules"')[2].partition("</section>")[0]


def test_the_panel_opens_by_its_link_and_shows_the_state_of_every_rule(site: Door) -> None:
    client = site.client("operator", "default")
    closed = client.get(f"/orders/{LATE}").body.decode()
    assert f'href="/orders/{LATE}?rules=1#rules"' in closed
    assert "Not watching:" not in closed
    opened = panel(client, LATE)
    assert f'href="/orders/{LATE}#rules"' in opened
    assert set(re.findall(r'<b title="(\w+)">', opened)) == {rule.id for rule in RULES.rules}


def test_open_alerts_stand_first_then_deadlines_by_when_they_are_due(site: Door) -> None:
    for order_id in (LATE, ON_TWO_WAYS):
        order = sample().orders[order_id]
        watching = panel(site.client("admin"), order_id).partition("<h3>Not watching")[0]
        kinds = re.findall(r'<li class="(\w+)">', watching)
        alerts = len(order.open_alerts)
        assert sorted(kinds[:alerts]) == sorted(alert.severity for alert in order.open_alerts)
        opened = {(each.rule, each.because.shipment) for each in order.open_alerts}
        due = sorted(order.deadlines, key=lambda each: each.due_at)
        # A rule that escalates has two deadlines and one state.
        running = dict.fromkeys((each.rule, each.shipment) for each in due)
        expected = [rule for rule, parcel in running if (rule, parcel) not in opened]
        assert kinds[alerts:] == ["clock"] * len(expected)
        assert re.findall(r'<b title="(\w+)">', watching)[alerts:] == expected


def test_the_panel_speaks_chinese(site: Door) -> None:
    client = site.client("manager", "default")
    client.headers["cookie"] = "ordertide_language=zh"
    opened = panel(client, LATE)
    assert "为何尚未告警？" in opened
    assert "未监控" in opened
    assert "watch" not in opened.replace("watching", "")


@pytest.mark.parametrize("role", sorted(EVERY_ROLE))
def test_the_panel_is_for_operators_and_up(site: Door, role: Role) -> None:
    order = sample().orders[LATE]
    fields = {"customer": "customer_id", "supplier": "supplier_id", "carrier": "carrier"}
    party = getattr(order, fields[role]) if role in fields else ""
    answer = site.client(role, "default", party).get(f"/orders/{LATE}?rules=1")
    assert ('id="rules"' in answer.body.decode()) == (role in OPERATORS)
