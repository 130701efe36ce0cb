"""The chat channel: apprise's services, over connections that are checked as a webhook's."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from schemas.errors import Busy, Rejected, SettingsError
from schemas.settings.secrets import masked_text
from sinks.actions.channels.action_channel import ActionRequest, ReceiverSettings
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.chat import open_channel
from sinks.actions.channels.chat_service import ChatChannel
from sinks.actions.messages.messages import Message
from telemetry.http_client import tls_context
from tests.support.actions import action
from tests.support.hooks import Hooks, Mood, hooks
from tests.support.tiers.certificates import Authority

VARIABLE = "ORDERTIDE_ACT_SECRET_TEAM"
TOKEN = "k3nTcdbc45qd1r7b58ut63fJdr"
REQUEST = ActionRequest(action=action(), attempt=1, sent_at=0)


@pytest.fixture
def receiver() -> Iterator[Hooks]:
    with hooks(is_signed=False) as running:
        yield running


def chat(address: str, allowed: Allowed | None = None) -> ChatChannel:
    return ChatChannel(
        address, VARIABLE, allowed or Allowed(), tls_context(None, "ca"), deadline_s=0.5
    )


def local(receiver: Hooks, shape: str = "json://{}/hook") -> ChatChannel:
    return chat(shape.format(f"127.0.0.1:{receiver.port}"))


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        ("json://{}/hook", "message"),
        ("mmost://{}/" + TOKEN, "text"),  # Mattermost, as Slack
        ("ntfy://{}/deliveries", "message"),  # to phones
    ],
)
def test_a_message_arrives_in_the_form_of_its_service(
    receiver: Hooks, shape: str, field: str
) -> None:
    receiver.moods.append((200, {}, b"{}"))
    message = Message("zh", "已发货", "包裹 <b>1</b> 在路上\n", "https://shop.example.com/t/x")
    assert (
        local(receiver, shape).send(msgspec.structs.replace(REQUEST, message=message)) == "200 {}"
    )
    ((_, body),) = receiver.calls
    told = json.loads(body)
    assert "包裹" in told[field]
    assert "已发货" in told[field] + told.get("title", "")


@pytest.mark.parametrize(
    ("mood", "error", "text", "after_s"),
    [
        ((400, {}, b"no such room"), Rejected, "127.0.0.1: answers 400 no such room", None),
        ((410, {}, b""), Rejected, "it wants no more", None),
        ((404, {}, b""), Busy, "check its url and secret", 60),
        ((429, {"Retry-After": "77"}, b""), Busy, "answers 429", 77),
        ((503, {}, b"\x1b[31m"), Busy, r"answers 503 \\x1b", 1),
        ((200, {}, b'{"errcode": 93000, "errmsg": "invalid"}'), Busy, "refuses .*93000", 60),
        ("lie", Busy, "no answer", 1),
        ("close", Busy, "no answer", 1),
    ],
)
def test_failures_are_sorted_into_retry_and_dead(
    receiver: Hooks, mood: Mood, error: type[Busy | Rejected], text: str, after_s: float | None
) -> None:
    receiver.moods.append(mood)
    channel = local(receiver)
    with pytest.raises(error, match=text) as raised:
        channel.send(REQUEST)
    if isinstance(raised.value, Busy):
        assert raised.value.retry_after_s == after_s
    assert channel.send(REQUEST) == "202"


def test_a_redirect_is_not_followed(receiver: Hooks) -> None:
    with hooks(is_signed=False) as elsewhere:
        receiver.moods.append((302, {"Location": elsewhere.url}, b""))
        with pytest.raises(Busy, match="redirects aren't followed"):
            local(receiver, "json://{}/?redirect=yes").send(REQUEST)
        assert not elsewhere.calls


def test_a_service_that_drips_is_cut_off(receiver: Hooks) -> None:
    receiver.moods.append("drip")
    channel = chat(f"json://127.0.0.1:{receiver.port}/")
    with pytest.raises(Busy, match="no answer"):
        channel.send(REQUEST)


def test_certificates_are_checked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Hooks(authority.sign("chat"), is_signed=False) as receiver:
        secret = f"jsons://127.0.0.1:{receiver.port}/"
        with pytest.raises(Busy, match="certificate verify failed"):
            open_channel(ReceiverSettings(name="team", secret=secret)).send(REQUEST)
        trusting = ReceiverSettings(name="team", secret=secret, options={"ca": str(authority.ca)})
        assert open_channel(trusting).send(REQUEST) == "202"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/#ops", "hooks.slack.com"),
        (f"dingtalk://{TOKEN}", "oapi.dingtalk.com"),
        (f"wecombot://{TOKEN}", "qyapi.weixin.qq.com"),
        (f"feishu://{TOKEN}", "open.feishu.cn"),
        (f"jsons://chat.example.com/{TOKEN}", "chat.example.com"),
    ],
)
def test_a_service_that_resolves_to_a_private_network_gets_nothing(address: str, host: str) -> None:
    asked = []

    def resolve(name: str, _port: int) -> list[str]:
        asked.append(name)
        return ["10.0.0.7"]

    channel = chat(address, Allowed(resolve=resolve))
    with pytest.raises(Busy, match=f"{host}: resolves to 10.0.0.7, which is not public") as busy:
        channel.send(REQUEST)
    assert set(asked) == {host}
    assert TOKEN not in busy.value.reason
    assert (channel.fault() is not None) == (host == "chat.example.com")  # known without sending


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("nonsense://" + TOKEN, "is no address of an installed service"),
        (f"slack://{TOKEN}", "lacks a part"),
        (f"jsons://user:{TOKEN}@example.com/?verify=no", "has verify=no"),
        (f"json://user:{TOKEN}@example.com/", "is not TLS"),
        (f"irc://user:{TOKEN}@example.com/#a", "isn't reached over HTTP"),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/#a/#b", "names 2 targets"),
        (None, "secret is missing; set ORDERTIDE_ACT_SECRET_TEAM to the chat's address"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_clear_error_without_its_secret(
    address: str | None, text: str
) -> None:
    with pytest.raises(SettingsError, match=text) as error:
        open_channel(ReceiverSettings(name="team", secret=address))
    assert TOKEN not in str(error.value)


def test_tokens_of_an_address_are_masked_wherever_they_appear() -> None:
    chat("slack://T1JJ3T3L9/A1BRTD4JZ/TIiajkdnlazkcOXrIdevi7FQ/#operations")
    told = "POST /services/T1JJ3T3L9/A1BRTD4JZ/TIiajkdnlazkcOXrIdevi7FQ to operations"
    assert masked_text(told) == "POST /services/***/***/*** to operations"


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sinks.actions.channels.chat_service")
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SettingsError, match=r"pip install 'ordertide\[chat\]'"):
        open_channel(ReceiverSettings(name="team", secret="json://127.0.0.1"))
