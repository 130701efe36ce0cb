"""The page of the alerts, and its forms: without a script, by who may, and back to the page."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec
import pytest

from gateway.access.caller import OPERATORS, STAFF, Role
from schemas.instants import DAY_MS, HOUR_MS, format_instant
from tests.support.alerts import alert, order
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.tiers.orders import START

FORM = "application/x-www-form-urlencoded"
WARNING = alert(order_id="SO-1", severity="warning")
OVERDUE = alert(order_id="SO-2", rule="silent", opened_at=START + 4 * DAY_MS)
OLDER = alert(order_id="SO-3", opened_at=START)
SHOWN = re.compile(r'class="mono open" href="/orders/([^"]+)"')


@pytest.fixture
def filled(door: EmbeddedDoor) -> EmbeddedDoor:
    door.put(
        order("SO-1", 1, WARNING, carrier="sf"),
        order("SO-2", 1, OVERDUE),
        order("SO-3", 1, OLDER),
    )
    door.start()
    return door


def browser_of(door: Door, role: Role = "operator") -> Client:
    """A browser that has signed in."""
    access = door.gateway.access
    key_id = door.key(role, "default").split("_")[1]
    cookie = access.sessions.session(key_id, access.now_s())
    return Client(door.app, cookie=f"ordertide_session={cookie}", origin="http://board.test")


Send = Callable[..., Reply]


@pytest.fixture
def send(filled: EmbeddedDoor) -> Send:
    """Sends the form of an order's alert as a browser without a script does."""
    client = browser_of(filled)

    def post(name: str, order_id: str, **fields: str) -> Reply:
        html = client.get("/alerts?tab=all").body.decode()
        (row,) = [each for each in html.split("<li ") if f'href="/orders/{order_id}"' in each]
        form = next(each for each in row.split("<form ") if f'class="act {name}"' in each)
        action = re.search(r'action="([^"]+)"', form)
        assert action
        hidden = dict(re.findall(r'name="(csrf|back)" value="([^"]*)"', form))
        sent = urlencode({**hidden, **fields}).encode()
        return client.post(action[1], sent, content_type=FORM)

    return post


def rows(client: Client, query: str = "") -> list[str]:
    return SHOWN.findall(client.get(f"/alerts{query}").body.decode())


def test_overdue_ones_are_first_and_of_each_severity_the_oldest(filled: Door) -> None:
    client = browser_of(filled)
    assert rows(client) == ["SO-3", "SO-2", "SO-1"]
    assert rows(client, "?sort=newest")[0] == "SO-2"
    assert rows(client, "?severity=warning") == ["SO-1"]
    assert rows(client, "?rule=silent") == ["SO-2"]
    assert rows(client, "?carrier=sf") == ["SO-1"]
    assert rows(client, "?tab=mine") == []


def test_a_form_leads_back_and_moves_the_alert_to_its_tab(filled: Door, send: Send) -> None:
    client = browser_of(filled)
    answer = send("ack", "SO-1")
    assert (answer.status, answer.headers["location"]) == (303, "/alerts?tab=all")
    assert rows(client, "?tab=acked") == ["SO-1"]
    assert rows(client) == ["SO-3", "SO-2"]
    assert send("snooze", "SO-2", hours="168").status == 303
    assert rows(client, "?tab=snoozed") == ["SO-2"]
    until = format_instant(START + 168 * HOUR_MS)
    assert filled.gateway.notes.records[OVERDUE["alert_id"]].snoozed_until == until
    html = client.get("/alerts?tab=snoozed").body.decode()
    assert "End snooze" in html
    assert "Snoozed until" in html


def test_an_alert_is_taken_given_and_released(filled: Door, send: Send) -> None:
    client = browser_of(filled)
    assert send("assign", "SO-1", to=" Li ").status == 303
    assert filled.gateway.notes.records[WARNING["alert_id"]].owner == "Li"
    assert "Owner: Li" in client.get("/alerts?tab=all").body.decode()
    assert rows(client) == ["SO-3", "SO-2"]
    assert send("assign", "SO-1", to="").status == 303
    assert rows(client) == ["SO-3", "SO-2", "SO-1"]


def test_a_comment_becomes_an_event_of_the_order(filled: Door, send: Send) -> None:
    assert send("comment", "SO-1", text="called").status == 303
    (event,) = filled.events()
    assert b'"status_code":"NOTE"' in (event.value or b"")


def test_the_board_shows_the_handling_on_the_card(filled: Door, send: Send) -> None:
    client = browser_of(filled)
    version = re.compile(r'data-key="[^"]*SO-1" data-version="([^"]+)"')
    before = version.findall(client.get("/").body.decode())
    send("ack", "SO-1")
    html = client.get("/").body.decode()
    assert "Acknowledged by" in html
    assert before != version.findall(html), "the script would keep the card as it was"
    assert html.count('class="ack"') == 2
    page = client.get("/orders/SO-2").body.decode()
    assert f'action="/alerts/{OVERDUE["alert_id"]}/ack"' in page


@pytest.mark.parametrize("role", sorted(STAFF))
def test_who_may_not_write_sees_no_button(filled: Door, role: Role) -> None:
    client = browser_of(filled, role)
    for path in ("/", "/alerts", "/orders/SO-1"):
        assert ('/ack"' in client.get(path).body.decode()) == (role in OPERATORS)
    assert 'href="/alerts"' in client.get("/").body.decode()


def test_a_supplier_has_no_alerts_page_and_sees_no_operator(filled: Door, send: Send) -> None:
    supplied = order("SO-4", 1, alert(order_id="SO-4"))
    filled.put(msgspec.structs.replace(supplied, supplier_id="x"))
    send("assign", "SO-4", to="Li")
    supplier = filled.client("supplier", "default", "x")
    assert supplier.get("/alerts").status == 403
    html = supplier.get("/orders/SO-4").body.decode()
    assert "Late shipping" in html
    assert "Owner" not in html


def test_a_form_from_elsewhere_changes_nothing_and_never_leads_away(filled: Door) -> None:
    client = browser_of(filled)
    path = f"/alerts/{WARNING['alert_id']}/ack"
    assert client.post(path, b"csrf=x", content_type=FORM).status == 403
    token = client.get("/v1/me").json["csrf_token"]
    away = urlencode({"csrf": token, "back": "//evil.example/"}).encode()
    refused = client.post(path, away, content_type=FORM, origin="https://evil.example")
    assert refused.status == 403
    assert filled.gateway.notes.records == {}
    assert client.post(path, away, content_type=FORM).headers["location"] == "/alerts"


def test_an_alert_that_has_ended_is_a_page_that_leads_to_the_list(filled: Door) -> None:
    client = browser_of(filled)
    token = client.get("/v1/me").json["csrf_token"]
    answer = client.post("/alerts/gone/ack", f"csrf={token}".encode(), content_type=FORM)
    assert answer.status == 404
    assert 'href="/alerts"' in answer.body.decode()


STORM = 21
PARCEL = {"shipment": "SF1", "carrier": "sf", "location": {"name": "Wuhan"}}


def storm(door: Door, numbers: range) -> dict[str, str]:
    """Write orders whose parcels fell silent at one place, a second apart; ids of their alerts."""
    opened = {
        f"silent-{n:02}": alert("silent", order_id=f"silent-{n:02}", opened_at=START + n * 1_000)
        for n in numbers
    }
    door.put(
        *(order(each, 1, late, carrier="sf", shipments=[PARCEL]) for each, late in opened.items())
    )
    return {each: late["alert_id"] for each, late in opened.items()}


def storm_form(client: Client) -> tuple[str, bytes]:
    """The address and the fields of the form on the board's storm, as a browser sends them."""
    html = client.get("/").body.decode()
    path = "/alerts/storm"
    (form,) = (each for each in html.split("<form ") if f'action="{path}"' in each)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)
    return path, urlencode(hidden).encode()


def answers(reply: Reply) -> dict[str, str]:
    """{order: answer} of the page that follows."""
    assert reply.status == 200, reply.body
    table = re.findall(r"<tbody>(.*)</tbody>", reply.body.decode(), re.DOTALL)
    return dict(re.findall(r">([^<>]+)</a></td><td>([^<]+)</td>", table[0]))


def test_a_storm_is_acknowledged_at_once_and_the_answer_of_each_is_shown(
    filled: EmbeddedDoor,
) -> None:
    ids = storm(filled, range(STORM))
    client, notes = browser_of(filled), filled.gateway.notes
    html = client.get("/").body.decode()
    assert f"Acknowledge all {STORM}<" in html
    client.post(
        f"/alerts/{ids['silent-00']}/snooze",
        urlencode({"csrf": client.get("/v1/me").json["csrf_token"], "hours": "4"}).encode(),
        content_type=FORM,
    )
    path, form = storm_form(client)
    reply = client.post(path, form, content_type=FORM)
    shown = answers(reply)
    assert shown.keys() == ids.keys()
    assert shown.pop("silent-00").startswith("Snoozed until")
    assert all(each.startswith("Acknowledged by") for each in shown.values())
    assert f"Acknowledged: {STORM - 1}" in reply.body.decode()
    assert "Left as they were: 1" in reply.body.decode()
    assert {each for each, note in notes.records.items() if note.acked} == {
        ids[order_id] for order_id in shown
    }
    after = client.get("/").body.decode()
    assert f"{STORM} acknowledged or snoozed" in after
    assert "/alerts/storm" not in after
    assert "Acknowledged: 0" in client.post(path, form, content_type=FORM).body.decode()


def test_no_alert_of_a_storm_is_acknowledged_unseen(filled: EmbeddedDoor) -> None:
    """Later ones are left alone; where there are more of those shown, nothing is done."""
    storm(filled, range(1, STORM + 1))
    client, notes = browser_of(filled), filled.gateway.notes
    path, form = storm_form(client)
    storm(filled, range(STORM + 1, STORM + 3))
    assert len(answers(client.post(path, form, content_type=FORM))) == STORM
    path, form = storm_form(client)
    assert b"open=2" in form
    before = dict(notes.records)
    refused = client.post(path, form.replace(b"open=2", b"open=1"), content_type=FORM)
    assert refused.status == 409
    assert "look again" in refused.body.decode()
    assert notes.records == before


def test_browsers_send_the_origin_of_a_form(filled: Door) -> None:
    policy = browser_of(filled).get("/alerts").headers["referrer-policy"]
    assert policy == "same-origin", "with no-referrer the Origin of a form is null"
