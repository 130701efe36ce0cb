"""The carrier channel: a parcel's carrier is asked about it, and its ticket stands on the order."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.act.carrier_channel import CarrierChannel, open_channel
from dataflows.carriers.contactable import CarrierContact, ContactConfig, Inquiry
from dataflows.carriers.pollable import HttpRequest
from schemas.errors import Busy, Rejected, SettingsError
from schemas.event import Location
from schemas.order import OrderDocument, ShipmentView
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest, ReceiverSettings
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.http_receiver import HttpReceiver
from sinks.actions.messages.samples import sample_order
from tests.support.actions import Acting, action
from tests.support.hooks import Hooks, hooks

TOKEN = "the desk's own token"
KIND = "contact_carrier"
PARCEL = ShipmentView(
    shipment="YT7", status="IN_TRANSIT", carrier="yto", location=Location(name="Wuhan")
)


@pytest.fixture
def desk() -> Iterator[Hooks]:
    with hooks(is_signed=False) as running:
        yield running


def channel_to(url: str, secret: str | None = TOKEN, **options: str) -> ActionChannel:
    return open_channel(
        ReceiverSettings(name="desk", options={"url": url, **options}, secret=secret)
    )


def order_with(*parcels: ShipmentView, carrier: str | None = None) -> OrderDocument:
    document = sample_order()
    return OrderDocument(
        **{name: getattr(document, name) for name in document.__struct_fields__}
        | {"shipments": list(parcels), "carrier": carrier}
    )


def test_the_carrier_is_asked_about_the_parcel_and_its_ticket_stands_on_the_order(
    desk: Hooks, tmp_path: Path
) -> None:
    desk.moods.append((201, {}, b'{"ticket": "T-77"}'))
    acting = Acting(tmp_path, {KIND: channel_to(desk.url)})
    acting.orders.documents["SO-1"] = order_with(PARCEL)
    acting.orders.documents["SO-2"] = order_with(
        ShipmentView(shipment="YD8", status="IN_TRANSIT"), carrier="yunda"
    )
    acting.orders.documents["SO-3"] = order_with(PARCEL, ShipmentView(shipment="YT9"))
    acting.orders.documents["SO-4"] = order_with()
    acting.request(*(action(f"SO-{n}", KIND) for n in (1, 2, 3, 4)))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 4)
    texts = {note["order_id"]: note["text"] for note in acting.notes()}
    asked = {json.loads(body)["order_id"]: json.loads(body) for _, body in desk.calls}
    assert asked.keys() == {"SO-1", "SO-2"}
    assert sorted(each["waybill"] for each in asked.values()) == ["YD8", "YT7"]
    assert (asked["SO-1"]["carrier"], asked["SO-1"]["place"]) == ("yto", "Wuhan")
    assert asked["SO-2"]["carrier"] == "yunda"  # the order's, where the parcel names none
    assert asked["SO-1"]["reference"] == action("SO-1", KIND).action_id
    for headers, body in desk.calls:
        assert headers["Authorization"] == f"Bearer {TOKEN}"
        assert headers["Idempotency-Key"] == json.loads(body)["reference"]
    assert [text for text in texts.values() if "ticket T-77" in text] == [
        f"{KIND}: done by {KIND} (201 ticket T-77)"
    ]
    for order_id in ("SO-3", "SO-4"):
        assert texts[order_id] == f"{KIND}: skipped (the action is about no parcel of the order)"


REQUEST = ActionRequest(action=action(kind=KIND), attempt=1, sent_at=0, parcel=PARCEL)


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (422, Rejected, "no such waybill"),
        (401, Busy, "check its url and secret"),
        (503, Busy, "answers 503"),
    ],
)
def test_a_desk_that_refuses_or_is_busy(
    desk: Hooks, status: int, error: type[Exception], text: str
) -> None:
    desk.moods.append((status, {}, b"no such waybill"))
    channel = channel_to(desk.url)
    with pytest.raises(error, match=text):
        channel.send(REQUEST)
    desk.moods.append((200, {}, b"<html>thanks</html>"))  # no ticket, and no JSON
    assert channel.send(REQUEST) == "200 <html>thanks</html>"
    channel.close()


class Particular(CarrierContact):
    """A carrier that takes questions about its own parcels, and answers no with a 200."""

    name = "particular"
    Config = ContactConfig

    def __init__(self, config: ContactConfig) -> None:
        pass

    def contact(self, inquiry: Inquiry, now_ms: int) -> HttpRequest:
        if inquiry.carrier != "yto":
            raise Rejected("other_carrier", f"{inquiry.carrier}: this account is for yto")
        return HttpRequest("PUT", f"/work-orders/{inquiry.number}", {}, b"{}")

    def contacted(self, body: bytes) -> str:
        raise Busy("too many questions", 77.0)


def test_a_plug_in_decides_what_an_answer_means(desk: Hooks) -> None:
    url = desk.url.partition("?")[0]
    contact = Particular(ContactConfig(url=url))
    channel = CarrierChannel(contact, HttpReceiver(url, Allowed()))
    with pytest.raises(Busy, match="501"):  # the receiver of the tests takes POST alone
        channel.send(REQUEST)
    other = ShipmentView(shipment="1", carrier="sf")
    with pytest.raises(Rejected, match="this account is for yto"):
        channel.send(ActionRequest(action=action(), attempt=1, sent_at=0, parcel=other))
    with pytest.raises(Rejected, match="about no parcel"):
        channel.send(ActionRequest(action=action(), attempt=1, sent_at=0))


@pytest.mark.parametrize(
    ("url", "secret", "options", "text"),
    [
        ("http://desk.example.com", TOKEN, {}, "url: is not https"),
        ("https://desk.example.com", None, {}, "secret is missing"),
        ("https://desk.example.com", TOKEN, {"colour": "red"}, "colour"),
        ("https://desk.example.com", TOKEN, {"contact": "acme"}, "contact acme: no such plug-in"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(
    url: str, secret: str | None, options: dict[str, str], text: str
) -> None:
    with pytest.raises(SettingsError, match=text):
        channel_to(url, secret, **options)


def test_a_desk_in_a_private_network_is_named_without_a_request() -> None:
    channel = channel_to("https://10.1.2.3/tickets")
    assert "which is not public" in (channel.fault() or "")
