"""Mail: an action as an e-mail, over SMTP with TLS: to a desk, or its message to the customer.

`Message-ID` is made of the action_id: the same on every attempt, so that a mail program shows a
mail that was sent twice once. The server's "250" means that it has the mail, not that it was read.
"""

import datetime as dt
import smtplib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from pathlib import Path
from socket import socket
from ssl import SSLContext
from typing import NamedTuple
from urllib.parse import quote

from schemas.display import printable
from schemas.errors import Busy, Rejected, SettingsError
from schemas.type_faults import choice
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest, ReceiverSettings
from sinks.actions.channels.addresses import Allowed, connected, reason_of
from sinks.actions.messages.messages import Message, html_of
from telemetry.http_client import tls_context

TIMEOUT_S = 20.0
PORTS = {"starttls": 587, "tls": 465}
OPTIONS = {"host", "port", "tls", "ca", "user", "from", "to", "unsubscribe"}
CUSTOMER, EMAIL = "customer", "email"  # as `to`, and the field that it needs
UNSUBSCRIBE = ("mailto:", "https://")
UNSUBSCRIBE_HEADER = "List-Unsubscribe"
LONGEST_ADDRESS = 900  # characters: SMTP takes lines of 998
LAST_PORT = 65_535
PERMANENT = 500  # SMTP's replies from here on: the same would be refused again
LATER_S = 60.0


def open_channel(settings: ReceiverSettings) -> ActionChannel:
    """The mail channel of a receiver.

    Raises:
        SettingsError: an option is missing or can't be used, or a user has no secret.
    """
    settings.check_options(OPTIONS, {"host", "from", "to"})
    options = settings.options
    tls = options.get("tls", "starttls")
    if tls not in PORTS:
        raise SettingsError(f"tls: {tls!r} is none; {choice(tls, [*PORTS])}")
    if "user" in options and not settings.secret:
        raise SettingsError(f"secret is missing; set {settings.variable} to the user's password")
    ca = options.get("ca")
    server = MailServer(
        options["host"],
        port_of(options.get("port"), PORTS[tls]),
        login=(options["user"], settings.secret or "") if "user" in options else None,
        is_tls_at_once=tls == "tls",
        ca=Path(ca) if ca else None,
    )
    sender = address_of("from", options["from"])
    to = options["to"] if options["to"] == CUSTOMER else address_of("to", options["to"])
    unsubscribe = options.get("unsubscribe", "")
    if unsubscribe and not unsubscribe.startswith(UNSUBSCRIBE):
        raise SettingsError(
            "unsubscribe: it is no address; write it like https://example.com/stop or "
            "mailto:stop@example.com?subject={order_id}, or leave it out for our own page"
        )
    allowed = Allowed(settings.private)
    return MailChannel(server, allowed, sender=sender, to=to, unsubscribe=unsubscribe)


class MailPolicy(EmailPolicy):
    """Policy of mails that leaves addresses in headers whole.

    Python's own folds one that is longer than a line as encoded words, which no mail program reads.
    """

    def fold(self, name: str, value: str) -> str:
        """Return a header, in lines."""
        if name.lower() != UNSUBSCRIBE_HEADER.lower():
            folded: str = super().fold(name, value)
            return folded
        addresses = f",{self.linesep} ".join(part.strip() for part in str(value).split(","))
        return f"{name}: {addresses}{self.linesep}"

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return the same in bytes."""
        if name.lower() != UNSUBSCRIBE_HEADER.lower():
            folded: bytes = super().fold_binary(name, value)
            return folded
        return self.fold(name, value).encode("ascii")


POLICY = MailPolicy(linesep="\r\n", raise_on_defect=True)


class MailServer(NamedTuple):
    """An SMTP server; `login` is a user and its password, `ca` the authority of its certificate."""

    host: str
    port: int
    login: tuple[str, str] | None = None
    is_tls_at_once: bool = False
    ca: Path | None = None


def port_of(text: str | None, usual: int) -> int:
    """The port of an option.

    Raises:
        SettingsError: it is none.
    """
    if text is None:
        return usual
    if not text.isdecimal() or not 0 < int(text) <= LAST_PORT:
        raise SettingsError(f"port: {text!r} is no port; write one from 1 to {LAST_PORT}")
    return int(text)


def address_of(name: str, text: str) -> str:
    """The address of an option.

    Raises:
        SettingsError: it is no address.
    """
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError) as error:
        raise SettingsError(f"{name}: {text!r} is no address: {error}") from error
    if not address.domain:
        raise SettingsError(f"{name}: {text!r} has no domain; write it like desk@example.com")
    return text


class MailChannel(ActionChannel):
    """One address, or that of the customer, behind one server; a connection a mail, with TLS."""

    name = "mail"

    def __init__(
        self,
        server: MailServer,
        allowed: Allowed,
        *,
        sender: str,
        to: str,
        unsubscribe: str = "",
    ) -> None:
        """Create a channel that isn't connected.

        Raises:
            SettingsError: the CA file can't be read.
        """
        self.server = server
        self.host = server.host
        self.allowed = allowed
        self.sender = sender
        self.to = to
        self.needs = frozenset({EMAIL} if to == CUSTOMER else ())
        self.unsubscribe = unsubscribe
        self.tls = tls_context(server.ca, "ca")

    def send(self, request: ActionRequest) -> str:
        mail = self._mail(request)
        to = mail["To"]
        try:
            with self._connected() as server:
                if not self.server.is_tls_at_once:
                    server.starttls(context=self.tls)
                if self.server.login:
                    server.login(*self.server.login)
                server.send_message(mail)
        except smtplib.SMTPAuthenticationError as error:
            raise Busy(f"{self.host}: refuses the user: {words(error.smtp_error)}", LATER_S) from (
                error
            )
        except smtplib.SMTPNotSupportedError as error:
            raise Busy(f"{self.host}: {error}; nothing was sent", LATER_S) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise judged(self.host, *error.recipients[to]) from error
        except smtplib.SMTPResponseException as error:
            raise judged(self.host, error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Busy(f"{self.host}: no answer ({reason_of(error)})") from error
        return f"mailed to {'the customer' if self.needs else self.to}"

    def _mail(self, request: ActionRequest) -> EmailMessage:
        if not self.needs:
            return mail_of(request, self.sender, self.to)
        if request.message is None:
            raise Rejected("no_template", f"{request.action.kind}: its kind has no template")
        try:
            to = address_of("email", request.recipient.fields[EMAIL])
        except (KeyError, SettingsError) as error:
            raise Rejected("no_address", "the customer's email is no address") from error
        return customer_mail(request, request.message, self.sender, to, self.unsubscribe)

    def fault(self) -> str | None:
        return self.allowed.fault(self.host, self.server.port)

    def close(self) -> None:
        pass

    def _connected(self) -> smtplib.SMTP:
        made = ImplicitTls if self.server.is_tls_at_once else Plain
        client = made(self.allowed, self.tls)
        client.connect(self.host, self.server.port)
        return client


class Plain(smtplib.SMTP):
    """An SMTP client that connects to an address which was checked."""

    def __init__(self, allowed: Allowed, tls: SSLContext) -> None:
        """Create a client that isn't connected."""
        self.allowed = allowed
        self.wanted_tls = tls
        super().__init__(timeout=TIMEOUT_S)

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: object = None
    ) -> tuple[int, bytes]:
        """Connect, and read the greeting; the host's name is the one that TLS checks."""
        self._host = host
        code, greeting = super().connect(host, port)
        if code != 220:  # noqa: PLR2004 - SMTP's "ready"
            self.close()
            raise smtplib.SMTPConnectError(code, greeting)
        return code, greeting

    def _get_socket(self, host: str, port: int, timeout: float) -> socket:
        return connected(self.allowed, host, port, timeout)


class ImplicitTls(Plain):
    """The same with TLS from the first byte."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket:
        raw = super()._get_socket(host, port, timeout)
        return self.wanted_tls.wrap_socket(raw, server_hostname=host)


def mail_of(request: ActionRequest, sender: str, to: str) -> EmailMessage:
    """The mail of an action; the instants in it are the action's, the same on every attempt."""
    mail = headed(request, sender, to)
    mail["Subject"] = request.subject
    mail.set_content(request.text)
    return mail


def customer_mail(
    request: ActionRequest, message: Message, sender: str, to: str, unsubscribe: str
) -> EmailMessage:
    """The mail of a message to a customer, as text and as HTML, with where such mails end."""
    action = request.action
    mail = headed(request, sender, to)
    mail["Subject"] = printable(message.subject)
    for name in ("order_id", "tenant", "action_id"):
        value = quote(getattr(action, name), safe="")
        unsubscribe = unsubscribe.replace(f"{{{name}}}", value)
    # A shop's own page takes the place of ours, its mailbox stands beside it.
    ours = "" if unsubscribe.startswith("https:") else message.unsubscribe
    ours = ours if len(ours) <= LONGEST_ADDRESS else ""  # of an order id of hundreds of characters
    if ours or unsubscribe:
        mail[UNSUBSCRIBE_HEADER] = ", ".join(f"<{each}>" for each in (ours, unsubscribe) if each)
    if ours.startswith("https:"):  # RFC 8058 has it for https alone
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(message.text)
    mail.add_alternative(html_of(message), subtype="html")
    mail["Content-Language"] = message.language  # set before, it would go into the first part
    mail.set_boundary(f"=_{action.action_id}")  # a second attempt is the same mail
    return mail


def headed(request: ActionRequest, sender: str, to: str) -> EmailMessage:
    """A mail with the headers that an action gives it."""
    action = request.action
    mail = EmailMessage(policy=POLICY)
    mail["From"], mail["To"] = sender, to
    mail["Message-ID"] = f"<{action.action_id}@{sender.rpartition('@')[2]}>"
    mail["Date"] = format_datetime(dt.datetime.fromisoformat(action.at))
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def judged(host: str, code: int, reply: bytes | str) -> Busy | Rejected:
    """The error for a server's reply."""
    text = f"{host}: answers {code} {words(reply)}"
    return Rejected(f"smtp_{code}", text) if code >= PERMANENT else Busy(text, LATER_S)


def words(reply: bytes | str) -> str:
    """A reply as it may be shown."""
    return printable(reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply)
