"""The webhook channel: signed, never redirected, never led into a private network, never late."""

import datetime as dt
import json
import socket
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import Webhook

from schemas.errors import Busy, Rejected, SettingsError
from sinks.actions.amounts import Amount
from sinks.actions.channels.action_channel import ActionRequest, ReceiverSettings
from sinks.actions.channels.addresses import Allowed, connected, is_public
from sinks.actions.channels.webhook import WebhookChannel, open_channel
from sinks.actions.messages.messages import Message
from sinks.actions.recipient import Recipient
from tests.support.actions import action
from tests.support.hooks import SECRET, Hooks, hooks
from tests.support.tiers.certificates import Authority


@pytest.fixture
def receiver() -> Iterator[Hooks]:
    with hooks() as running:
        yield running


@pytest.fixture
def channel(receiver: Hooks) -> Iterator[WebhookChannel]:
    built = WebhookChannel(receiver.url, Webhook(SECRET), Allowed())
    yield built
    built.close()


def request_of(attempt: int = 1) -> ActionRequest:
    return ActionRequest(action=action(), attempt=attempt, sent_at=round(time.time() * 1000))


def test_the_receiver_can_verify_what_it_gets(receiver: Hooks, channel: WebhookChannel) -> None:
    assert channel.send(request_of()) == "202"
    ((headers, body),) = receiver.calls  # verified there
    data = json.loads(body)
    assert (data["type"], data["data"]["order_id"]) == ("action.confirm_order", "SO-1")
    assert headers["webhook-id"] == data["data"]["action_id"]
    at = dt.datetime.fromtimestamp(int(headers["webhook-timestamp"]), dt.UTC)
    assert abs(dt.datetime.now(dt.UTC) - at) < dt.timedelta(minutes=1)


def test_every_attempt_has_the_same_id_and_body(receiver: Hooks, channel: WebhookChannel) -> None:
    for attempt in (1, 2):
        channel.send(request_of(attempt))
    (first, body), (second, again) = receiver.calls
    assert (first["webhook-id"], body) == (second["webhook-id"], again)


def test_a_message_goes_with_the_fields_that_the_receiver_asks_for(receiver: Hooks) -> None:
    settings = ReceiverSettings(
        name="sms", options={"url": receiver.url, "recipient": "phone, name"}, secret=SECRET
    )
    channel = open_channel(settings)
    assert channel.needs == {"phone", "name"}
    request = msgspec.structs.replace(
        request_of(),
        message=Message("en", "Shipped", "On its way\n", "https://shop.example.com/t/x"),
        recipient=Recipient({"phone": "+49 30 1", "name": "Ada"}),
        amount=Amount("12.50", "EUR", "1d"),
    )
    channel.send(request)
    channel.close()
    ((_, body),) = receiver.calls
    data = json.loads(body)["data"]
    assert data["recipient"] == {"phone": "+49 30 1", "name": "Ada"}
    assert data["message"]["subject"] == "Shipped"
    assert data["amount"] == {"value": "12.50", "currency": "EUR", "late": "1d"}


def test_a_field_of_a_recipient_that_there_is_not_is_a_fault() -> None:
    options = {"url": "https://example.com", "recipient": "phone, shoes"}
    with pytest.raises(SettingsError, match="recipient: 'shoes' is no field; choose one of email"):
        open_channel(ReceiverSettings(name="sms", options=options, secret=SECRET))


@pytest.mark.parametrize(
    ("status", "code"), [(400, "http_400"), (413, "http_413"), (422, "http_422"), (410, "http_410")]
)
def test_what_would_be_refused_again_is_rejected(
    receiver: Hooks, channel: WebhookChannel, status: int, code: str
) -> None:
    receiver.moods.append((status, {}, b"no such order"))
    with pytest.raises(Rejected) as refused:
        channel.send(request_of())
    assert refused.value.code == code
    assert "no such order" in refused.value.reason


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver: Hooks, channel: WebhookChannel, status: int) -> None:
    with hooks() as elsewhere:
        receiver.moods.append((status, {"Location": elsewhere.url}, b""))
        with pytest.raises(Busy, match="redirects aren't followed, correct the url"):
            channel.send(request_of())
        assert not elsewhere.calls


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_other_failures_are_tried_again(
    receiver: Hooks, channel: WebhookChannel, status: int
) -> None:
    receiver.moods.append((status, {"Retry-After": "77"}, b"later"))
    with pytest.raises(Busy, match=f"answers {status} later") as busy:
        channel.send(request_of())
    assert busy.value.retry_after_s == (60.0 if status in {401, 403, 404} else 77.0)
    assert channel.send(request_of()) == "202"


def test_a_receiver_that_hangs_is_cut_off(receiver: Hooks) -> None:
    receiver.moods.append("hang")
    channel = WebhookChannel(receiver.url, Webhook(SECRET), Allowed(), deadline_s=0.3)
    began = time.monotonic()
    with pytest.raises(Busy, match="no answer"):
        channel.send(request_of())
    assert time.monotonic() - began < 5
    assert channel.send(request_of()) == "202"
    channel.close()


def test_an_answer_byte_by_byte_is_cut_off_and_counts_by_its_status(receiver: Hooks) -> None:
    receiver.moods.append("drip")
    channel = WebhookChannel(receiver.url, Webhook(SECRET), Allowed(), deadline_s=0.3)
    began = time.monotonic()
    assert channel.send(request_of()).startswith("200 .")
    assert time.monotonic() - began < 5
    assert channel.send(request_of()) == "202", "over a new connection"
    channel.close()


def test_the_body_of_a_request_does_not_wait_for_the_acknowledgement_of_its_head(
    receiver: Hooks,
) -> None:
    with connected(Allowed(), "127.0.0.1", receiver.port, 5.0) as raw:
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_receiver_that_lies_or_closes_is_no_success(
    receiver: Hooks, channel: WebhookChannel
) -> None:
    for mood in ("lie", "close"):
        receiver.moods.append(mood)
        with pytest.raises(Busy, match="no answer"):
            channel.send(request_of())
    assert channel.send(request_of()) == "202"


def test_an_endless_answer_is_not_read(receiver: Hooks, channel: WebhookChannel) -> None:
    receiver.moods.append((200, {}, b"x" * 2_000_000))
    assert len(channel.send(request_of())) < 300
    assert channel.send(request_of()) == "202", "over a new connection"


def test_what_steers_a_terminal_is_escaped(receiver: Hooks, channel: WebhookChannel) -> None:
    receiver.moods.append((200, {}, b"\x1b[2Jgone"))
    assert "\x1b" not in channel.send(request_of())


def test_a_receiver_restarted_between_two_requests_is_no_failure(
    receiver: Hooks, channel: WebhookChannel
) -> None:
    channel.send(request_of())
    receiver.stop()
    receiver.start()
    assert channel.send(request_of()) == "202"


def test_its_certificate_has_to_be_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Hooks(authority.sign("desk")) as receiver:
        stranger = WebhookChannel(receiver.url, Webhook(SECRET), Allowed())
        with pytest.raises(Busy, match="certificate verify failed"):
            stranger.send(request_of())
        trusting = WebhookChannel(receiver.url, Webhook(SECRET), Allowed(), ca=Path(authority.ca))
        assert trusting.send(request_of()) == "202"
        trusting.close()


# ---------------------------------------------------------------- addresses
@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "192.0.2.1"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fc00::1", "ff02::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::"),
    ],
)
def test_a_name_that_resolves_to_a_private_address_is_refused(address: str) -> None:
    allowed = Allowed(resolve=lambda *_: [address])
    with pytest.raises(Busy, match=r"is not public; allow the host or its network in act.private"):
        allowed.addresses("desk.example", 443)
    assert allowed.fault("desk.example", 443)


def test_public_addresses_are_kept_and_private_ones_beside_them_dropped() -> None:
    allowed = Allowed(resolve=lambda *_: ["10.0.0.1", "93.184.216.34", "2606:2800:220:1::"])
    assert allowed.addresses("desk.example", 443) == ["93.184.216.34", "2606:2800:220:1::"]
    assert is_public(ip_address("93.184.216.34"))


def test_a_host_or_network_can_be_allowed() -> None:
    by_name = Allowed("desk.internal, 10.1.0.0/16", resolve=lambda *_: ["192.168.0.7"])
    assert by_name.addresses("Desk.Internal", 443) == ["192.168.0.7"]
    with pytest.raises(Busy):
        by_name.addresses("other.internal", 443)
    by_network = Allowed("10.1.0.0/16", resolve=lambda *_: ["10.1.2.3", "10.2.2.3"])
    assert by_network.addresses("desk.internal", 443) == ["10.1.2.3"]
    with pytest.raises(SettingsError, match=r"act.private: 10.1.0.1/16 has host bits set; write"):
        Allowed("10.1.0.1/16")


def test_a_name_that_changes_its_address_after_the_check_changes_nothing(
    receiver: Hooks,
) -> None:
    answers = [["127.0.0.1"], ["10.255.255.1"]]  # a rebinding name server

    def rebinding(_host: str, _port: int) -> Sequence[str]:
        return answers.pop(0)

    allowed = Allowed("desk.example", resolve=rebinding)
    url = receiver.url.replace("http://127.0.0.1", "http://localhost")
    channel = WebhookChannel(url, Webhook(SECRET), allowed)
    assert channel.send(request_of()) == "202"
    assert len(answers) == 1, "it was resolved once, and connected to what was checked"
    channel.close()


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("options", "secret", "fault"),
    [
        ({}, SECRET, "url is missing; write it under options"),
        ({"url": "https://desk.example", "uri": "x"}, SECRET, "uri: unknown option; "),
        ({"url": "http://desk.example"}, SECRET, "url: is not https; http goes to this machine"),
        ({"url": "ftp://desk.example"}, SECRET, "is no http:// or https:// address"),
        ({"url": "https://ada:pw@desk.example"}, SECRET, "url: holds a user; take it out"),
        ({"url": "https://desk.example"}, None, "secret is missing; set ORDERTIDE_ACT_SECRET_MY_D"),
        ({"url": "https://desk.example"}, "whsec_c2hvcnQ=", "has fewer than 24 bytes"),
        ({"url": "https://desk.example"}, "whsec_é", "is no base64 behind whsec_"),
        ({"url": "https://desk.example", "ca": "nowhere.pem"}, SECRET, "ca: nowhere.pem: "),
    ],
)
def test_faults_of_its_settings_are_named(
    options: dict[str, str], secret: str | None, fault: str
) -> None:
    settings = ReceiverSettings(name="my-desk", options=options, secret=secret)
    with pytest.raises(SettingsError) as refused:
        open_channel(settings)
    assert fault in str(refused.value)
    assert secret is None or secret not in f"{refused.value}{settings!r}"
