"""The mail channel, against a real SMTP server."""

from collections.abc import Iterator
from email.header import decode_header, make_header
from pathlib import Path

import msgspec
import pytest

from schemas.errors import Busy, Rejected, SettingsError
from sinks.actions.channels.action_channel import ActionRequest, ReceiverSettings
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.mail import MailChannel, customer_mail, open_channel
from sinks.actions.channels.mail import MailServer as Server
from sinks.actions.messages.messages import Message
from sinks.actions.recipient import Recipient
from tests.support.actions import BEGIN_AT, action
from tests.support.mail_server import MailServer
from tests.support.tiers.certificates import Authority

LOGIN = ("ordertide", "a long password")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[MailServer]:
    with MailServer(authority.sign("mail"), login=LOGIN) as running:
        yield running


def channel_of(
    server: MailServer, ca: str | None, login: tuple[str, str] | None = LOGIN
) -> MailChannel:
    place = Server("127.0.0.1", server.port, login, ca=Path(ca) if ca else None)
    return MailChannel(place, Allowed(), sender="shop@example.com", to="desk@example.com")


def request_of(order_id: str = "SO-1") -> ActionRequest:
    return ActionRequest(action=action(order_id), attempt=1, sent_at=BEGIN_AT)


def test_a_mail_names_order_kind_and_reason(server: MailServer, authority: Authority) -> None:
    channel = channel_of(server, authority.ca)
    assert channel.send(request_of("订单7")) == "mailed to desk@example.com"
    (mail,) = server.kept.mails
    assert mail["To"] == "desk@example.com"
    assert mail["Message-ID"] == f"<{request_of('订单7').action.action_id}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_payload(decode=True).decode()  # type: ignore[union-attr]  # one part
    assert "order: 订单7\n" in text.replace("\r\n", "\n")


def test_a_second_attempt_is_the_same_mail(server: MailServer, authority: Authority) -> None:
    channel = channel_of(server, authority.ca)
    channel.send(request_of())
    channel.send(request_of())
    first, second = server.kept.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


def test_no_header_can_be_smuggled_in(server: MailServer, authority: Authority) -> None:
    channel_of(server, authority.ca).send(request_of("SO-1\r\nBcc: eve@example.com"))
    (mail,) = server.kept.mails
    assert mail["Bcc"] is None


def test_a_certificate_that_is_not_trusted_gets_nothing(server: MailServer) -> None:
    with pytest.raises(Busy, match="certificate verify failed"):
        channel_of(server, None).send(request_of())
    assert not server.kept.mails


def test_a_server_without_starttls_gets_nothing(authority: Authority) -> None:
    with MailServer(authority.sign("mail"), is_plain=True) as plain:
        with pytest.raises(Busy, match="STARTTLS extension not supported"):
            channel_of(plain, authority.ca, None).send(request_of())
        assert not plain.kept.mails


def test_a_wrong_password_is_for_the_operator(server: MailServer, authority: Authority) -> None:
    with pytest.raises(Busy, match="refuses the user") as busy:
        channel_of(server, authority.ca, ("ordertide", "wrong")).send(request_of())
    assert busy.value.retry_after_s == 60.0
    assert "wrong" not in busy.value.reason


def test_a_recipient_who_is_refused_for_good_is_rejected_and_later_is_later(
    server: MailServer, authority: Authority
) -> None:
    channel = channel_of(server, authority.ca)
    server.kept.replies += ["550 no such mailbox", "451 greylisted"]
    with pytest.raises(Rejected, match=r"smtp_550: .*no such mailbox"):
        channel.send(request_of())
    with pytest.raises(Busy, match="451 greylisted"):
        channel.send(request_of())
    channel.send(request_of())
    assert len(server.kept.mails) == 1


def to_customer(server: MailServer, authority: Authority) -> MailChannel:
    place = Server("127.0.0.1", server.port, LOGIN, ca=Path(authority.ca or ""))
    unsubscribe = "https://shop.example.com/stop?order={order_id}"
    return MailChannel(
        place, Allowed(), sender="shop@example.com", to="customer", unsubscribe=unsubscribe
    )


@pytest.mark.parametrize(
    ("page", "option", "named", "is_one_click"),
    [
        ("https://s.example/u/t", "", "<https://s.example/u/t>", True),
        ("https://s.example/u/t", "mailto:a@b.c", "<https://s.example/u/t>, <mailto:a@b.c>", True),
        ("https://s.example/u/t", "https://o.example/x", "<https://o.example/x>", False),
        ("http://127.0.0.1/u/t", "", "<http://127.0.0.1/u/t>", False),
        ("", "", None, False),
    ],
)
def test_one_click_is_offered_for_our_own_page_over_https(
    page: str, option: str, named: str | None, *, is_one_click: bool
) -> None:
    message = Message("en", "Shipped", "On its way\n", "https://s.example/t/x", page)
    mail = customer_mail(message_to("a@b.c"), message, "shop@example.com", "a@b.c", option)
    assert mail["List-Unsubscribe"] == named
    one_click = "List-Unsubscribe=One-Click" if is_one_click else None
    assert mail["List-Unsubscribe-Post"] == one_click


def test_a_long_address_stays_whole_in_its_header(server: MailServer, authority: Authority) -> None:
    page = f"https://shop.example.com/u/{'a1B2' * 70}?lang=zh"
    request = message_to("ada@example.org")
    assert request.message
    message = msgspec.structs.replace(request.message, unsubscribe=page)
    place = Server("127.0.0.1", server.port, LOGIN, ca=Path(authority.ca or ""))
    stop = "mailto:stop@example.com"
    channel = MailChannel(
        place, Allowed(), sender="shop@example.com", to="customer", unsubscribe=stop
    )
    channel.send(msgspec.structs.replace(request, message=message))
    (mail,) = server.kept.mails
    assert mail["List-Unsubscribe"].split() == [f"<{page}>,", f"<{stop}>"]
    assert str(make_header(decode_header(mail["Subject"]))) == "已发货"


def message_to(email: str) -> ActionRequest:
    return ActionRequest(
        action=action("SO 1"),
        attempt=1,
        sent_at=BEGIN_AT,
        message=Message("zh", "已发货", "您的订单 <1>\n\nhttps://shop.example.com/t/x\n", ""),
        recipient=Recipient({"email": email}),
    )


def test_a_customer_gets_text_and_html_with_link_and_unsubscription(
    server: MailServer, authority: Authority
) -> None:
    channel = to_customer(server, authority)
    assert channel.send(message_to("ada@example.org")) == "mailed to the customer"
    (mail,) = server.kept.mails
    assert mail["To"] == "ada@example.org"
    assert str(make_header(decode_header(mail["Subject"]))) == "已发货"
    assert mail["Content-Language"] == "zh"
    assert mail["List-Unsubscribe"] == "<https://shop.example.com/stop?order=SO%201>"
    plain, html = (part.get_payload(decode=True).decode() for part in mail.get_payload())  # type: ignore[union-attr]  # two parts
    assert "您的订单 <1>" in plain
    assert "您的订单 &lt;1&gt;" in html
    assert '<a href="https://shop.example.com/t/x">' in html
    channel.send(message_to("ada@example.org"))
    first, second = (bytes(each).partition(b"\n\n")[2] for each in server.kept.mails)
    assert first == second, "a second attempt is the same mail"


@pytest.mark.parametrize("email", ["nobody", "a@b.c\nBcc: eve@example.com", "a@b.c, d@e.f", ""])
def test_what_is_no_address_gets_nothing_and_is_not_shown(
    server: MailServer, authority: Authority, email: str
) -> None:
    with pytest.raises(Rejected, match="the customer's email is no address") as refused:
        to_customer(server, authority).send(message_to(email))
    assert not email or email not in str(refused.value)
    assert not server.kept.mails


def test_a_customer_is_sent_no_mail_without_a_template(
    server: MailServer, authority: Authority
) -> None:
    with pytest.raises(Rejected, match="its kind has no template"):
        to_customer(server, authority).send(request_of())


@pytest.mark.parametrize(
    ("options", "secret", "fault"),
    [
        ({"host": "m", "from": "a@b.c"}, None, "to is missing"),
        ({"tls": "none"}, None, "tls: 'none' is none; choose one of starttls, tls"),
        ({"user": "ada"}, None, "secret is missing; set ORDERTIDE_ACT_SECRET_DESK to the user's"),
        ({"to": "nobody"}, None, "to: 'nobody' is no address"),
        ({"to": "a@b.c\nBcc: e@f.g"}, None, "is no address"),
        ({"port": "99999"}, None, "port: '99999' is no port"),
        ({"to": "customer", "unsubscribe": "http://x"}, None, "unsubscribe: it is no address"),
    ],
)
def test_faults_of_its_settings_are_named(
    options: dict[str, str], secret: str | None, fault: str
) -> None:
    whole = {"host": "mail.example.com", "from": "a@b.c", "to": "d@e.f"}
    if "host" not in options:
        options = {**whole, **options}
    with pytest.raises(SettingsError) as refused:
        open_channel(ReceiverSettings(name="desk", options=options, secret=secret))
    assert fault in str(refused.value)
