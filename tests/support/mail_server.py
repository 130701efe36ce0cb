"""A real SMTP server with STARTTLS in a thread."""

import ssl
from email.message import Message
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from deploy.stack.ports import free_port
from tests.support.tiers.certificates import Signed


class Kept(MessageHandler):
    """Keeps mails; `replies` are what the next recipients get instead of a yes."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Message] = []
        self.replies: list[str] = []

    async def handle_RCPT(  # noqa: N802 - the library looks for this name
        self, _server: object, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        if self.replies:
            return self.replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def handle_message(self, message: Message) -> None:
        self.mails.append(message)


class MailServer:
    """Listens on 127.0.0.1, with STARTTLS unless `is_plain`; `login` is the user that it knows."""

    def __init__(
        self, signed: Signed, *, login: tuple[str, str] | None = None, is_plain: bool = False
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.certificate, signed.key)
        self.kept = Kept()
        self.login = login
        self.port = free_port()
        self.settings: dict[str, Any] = {
            "hostname": "127.0.0.1",
            "port": self.port,
            "tls_context": None if is_plain else context,
            "require_starttls": not is_plain,
            "authenticator": self.authenticated if login else None,
            "auth_required": bool(login),
        }
        self.controller = Controller(self.kept, **self.settings)

    def __enter__(self) -> Self:
        self.controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.controller.server is not None:
            self.controller.stop()

    def start(self) -> None:
        self.controller = Controller(self.kept, **self.settings)
        self.controller.start()

    def authenticated(
        self,
        _server: object,
        _session: object,
        _envelope: object,
        _mechanism: str,
        data: LoginPassword,
    ) -> AuthResult:
        wanted = tuple(part.encode() for part in self.login or ())
        return AuthResult(success=(data.login, data.password) == wanted, handled=False)
