"""Posting over HTTP: what an answer means, and what the receiver gets to see."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from schemas.errors import Busy, Rejected, SettingsError
from sinks.channels.alert_message import Posting
from sinks.channels.http_channel import HttpChannel
from sinks.channels.webhook import WebhookChannel
from tests.support.alerts import notice, opened, over
from tests.support.receiver import Receiver

NOW = 1_900_000_000_000


def post(receiver: Receiver, *postings: Posting, token: str | None = None, path: str = "") -> None:
    channel = WebhookChannel(f"{receiver.url}{path}", token=token)
    try:
        channel.post(postings or [opened(notice(), NOW)])
    finally:
        channel.close()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_answer_about_the_alerts_rejects_them(receiver: Receiver, status: int) -> None:
    receiver.answers.append((status, {}))
    with pytest.raises(Rejected, match=f"http_{status}"):
        post(receiver)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 502, 503])
def test_any_other_no_is_about_the_receiver_and_passes(receiver: Receiver, status: int) -> None:
    receiver.answers.append((status, {"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(Busy, match=f"answers {status}"):
        post(receiver)


@pytest.mark.parametrize(("asked", "wait_s"), [("7", 7.0), ("999999", 60.0), ("Fri, 13", 0.5)])
def test_a_receiver_may_say_how_long_to_wait(receiver: Receiver, asked: str, wait_s: float) -> None:
    receiver.answers.append((429, {"Retry-After": asked}))
    with pytest.raises(Busy) as busy:
        post(receiver)
    assert busy.value.retry_after_s == wait_s


def test_a_wrong_address_or_password_is_said_with_the_way_out(receiver: Receiver) -> None:
    receiver.answers.append((401, {}))
    with pytest.raises(Busy, match=r"check delivery\.url and delivery\.token"):
        post(receiver)


def test_no_password_is_shown_in_an_error() -> None:
    channel = HttpChannel("http://alert:geheim@127.0.0.1:1/x")
    with pytest.raises(Busy) as busy:
        channel.send("", b"{}")
    assert "http://127.0.0.1:1/x" in str(busy.value)
    assert "geheim" not in str(busy.value)


def test_a_token_or_the_user_of_the_address_says_who_we_are(receiver: Receiver) -> None:
    post(receiver, token="t0ken")
    channel = HttpChannel(receiver.url.replace("//", "//us%65r:p%40ss@"))
    channel.send("", json.dumps({"alerts": []}).encode())
    channel.close()
    said = [headers["Authorization"] for _, headers, _ in receiver.calls]
    assert said[0] == "Bearer t0ken"
    assert b64decode(said[1].removeprefix("Basic ")) == b"user:p@ss"


def test_a_path_and_a_query_of_the_address_are_kept(receiver: Receiver) -> None:
    post(receiver, path="/hooks/orders?room=7")
    assert receiver.calls[0][0] == "/hooks/orders?room=7"


def test_the_same_postings_have_the_same_idempotency_key(receiver: Receiver) -> None:
    told = notice()
    for posting in (opened(told, NOW), opened(told, NOW), over(told, NOW)):
        post(receiver, posting)
    one, two, three = [headers["Idempotency-Key"] for _, headers, _ in receiver.calls]
    assert one == two != three


def test_a_webhook_is_told_when_an_order_s_alert_opened_and_until_when_it_stands(
    receiver: Receiver,
) -> None:
    post(receiver, opened(notice(), NOW), over(notice("SO-2"), NOW))
    first, second = receiver.heard
    assert (first["status"], second["status"]) == ("firing", "resolved")
    assert first["startsAt"] == "2017-10-05T10:56:33.000Z"
    assert first["endsAt"] == "2030-03-17T17:51:40.000Z"
    assert second["endsAt"] == "2030-03-17T17:46:40.000Z"
    assert "generatorURL" not in first


def test_a_firing_alert_that_is_not_renewed_is_the_same_call_whenever_it_is_posted(
    receiver: Receiver,
) -> None:
    for now_at in (NOW, NOW + 60_000):
        post(receiver, Posting(notice(), now_at, None))
    first, second = receiver.heard
    assert first == second
    assert (first["status"], first["endsAt"]) == ("firing", "0001-01-01T00:00:00Z")
    one, two = [headers["Idempotency-Key"] for _, headers, _ in receiver.calls]
    assert one == two


@pytest.mark.parametrize(
    "url",
    ["alertmanager:9093", "ftp://host/", "https:///x", "", "http://[::1", "http://host:http/"],
)
def test_an_address_that_is_none_is_refused_at_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"delivery\.url"):
        HttpChannel(url)


def test_certificates_that_cannot_be_read_are_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"delivery\.ca_file.*missing\.pem"):
        HttpChannel("https://127.0.0.1:1", ca_file=tmp_path / "missing.pem")
