"""Chat service: one message through apprise, over connections that are checked as a webhook's.

apprise's services send by the module `requests`, and return True or False. `CheckedRequests` takes
the place of that module in them: connections go to checked addresses alone, with TLS, without
redirects and proxies, and the answer is kept, which decides between a retry and the end. A service
that doesn't send by `requests`, such as MQTT or IRC, is refused.
"""

import logging
import re
import socket
import sys
from contextvars import ContextVar
from functools import partial
from ssl import SSLContext
from threading import Lock
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import apprise
import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from schemas.display import printable
from schemas.errors import Busy, Rejected, SettingsError
from schemas.settings.secrets import remember
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest
from sinks.actions.channels.addresses import Allowed, connected, cut, is_loopback, reason_of
from sinks.actions.channels.deadlines import DEADLINES
from sinks.actions.channels.http_receiver import LATER_S, SHOWN_CHARACTERS, judged

DEADLINE_S = 30.0  # of a whole message, against a service that answers byte by byte
TIMEOUT_S = 10.0  # of connecting
MOST_BYTES = 1 << 20  # of an answer
DOCS = "write it as https://appriseit.com/services has it"
PART = re.compile(r"[^\s/?&=#:@]+")  # of an address
VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
# Its lines may hold parts of an address in other letters; what failed stands in our own errors.
logging.getLogger("apprise").disabled = True
ASSET = apprise.AppriseAsset(
    app_id="ordertide",
    app_desc="ordertide",
    app_url="",
    http_redirects=False,
    secure_logging=True,
    storage_mode=apprise.PersistentStoreMode.MEMORY,
)


class Answer(NamedTuple):
    """An answer of a service."""

    host: str
    status: int
    body: bytes
    retry_after: str | None

    @property
    def text(self) -> str:
        """Its beginning, as it may be shown."""
        return printable(self.body.decode("utf-8", "replace").strip()[:SHOWN_CHARACTERS])

    @property
    def is_refused_in_body(self) -> bool:
        """Return True for a refusal with the status of a success (`errcode`: DingTalk, WeCom)."""
        try:
            told = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return False
        return isinstance(told, dict) and told.get("errcode", 0) not in {0, "0"}


class Exchange:
    """Requests of one message: what they may connect to, and the last answer or failure."""

    def __init__(self, allowed: Allowed, tls: SSLContext) -> None:
        """Create an exchange without requests."""
        self.allowed = allowed
        self.tls = tls
        self.answer: Answer | None = None
        self.failure: Busy | None = None
        self._sockets: list[socket.socket] = []

    def connected(self, host: str, port: int) -> socket.socket:
        """A connection to an allowed address.

        Raises:
            Busy: none is allowed. OSError: none answers.
        """
        self._sockets.append(connected(self.allowed, host, port, TIMEOUT_S))
        return self._sockets[-1]

    def cut(self) -> None:
        """End its connections under the thread that waits for them."""
        for each in self._sockets:
            cut(each)


EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")


class Connected(HTTPConnection):
    """A connection of the present exchange."""

    def _new_conn(self) -> socket.socket:
        return EXCHANGE.get().connected(self.host, self.port)


class ConnectedTls(Connected, HTTPSConnection):
    """The same with TLS."""


class Pool(HTTPConnectionPool):
    """Connections of an exchange."""

    ConnectionCls = Connected


class TlsPool(HTTPSConnectionPool):
    """Connections of an exchange with TLS."""

    ConnectionCls = ConnectedTls


class CheckedAdapter(HTTPAdapter):
    """Connections for a session; certificates are checked by the exchange's context."""

    def init_poolmanager(self, *given: Any, **options: Any) -> None:  # noqa: ANN401 - the base class's
        super().init_poolmanager(*given, **options, ssl_context=EXCHANGE.get().tls)
        self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}

    def cert_verify(self, *_given: Any) -> None:  # noqa: ANN401 - the base class's
        """Leave the authorities to the context: the base class would add its own."""


class CheckedSession(requests.Session):
    """A session of an exchange, which keeps the answer. Nothing of the environment is used."""

    def __init__(self) -> None:
        """Create a session that isn't connected."""
        super().__init__()
        self.trust_env = False
        self.adapter = CheckedAdapter()

    def get_adapter(self, url: str | bytes) -> HTTPAdapter:
        """Return the checked adapter, whatever a service has mounted."""
        return self.adapter

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ANN401 - the base class's
        exchange = EXCHANGE.get()
        parts = urlsplit(request.url or "")
        host = parts.hostname or ""
        if parts.scheme != "https" and not is_loopback(host):
            raise Busy(f"{host}: is addressed without TLS; use the address with https", LATER_S)
        fixed: dict[str, Any] = {"verify": True, "cert": None, "proxies": {}, "stream": True}
        try:
            response = super().send(request, **{**options, **fixed, "allow_redirects": False})
            body = response.raw.read(MOST_BYTES, decode_content=True)
        except (OSError, HTTPError) as error:
            exchange.failure = Busy(f"{host}: no answer ({reason_of(first_cause(error))})")
            raise requests.ConnectionError from error  # which every service takes
        response._content = body  # noqa: SLF001 - the bound that requests doesn't have
        retry_after = response.headers.get("Retry-After")
        exchange.answer = Answer(host, response.status_code, body, retry_after)
        return response


class CheckedRequests(ModuleType):
    """The module `requests`, whose requests go through checked sessions."""

    def __init__(self) -> None:
        """Create the module."""
        super().__init__("requests")
        vars(self).update(vars(requests))
        self.Session = self.session = CheckedSession
        self.request = requested
        for verb in VERBS:
            setattr(self, verb, partial(requested, verb))


def requested(method: str, url: str, **options: Any) -> requests.Response:  # noqa: ANN401 - those of requests
    """The answer to one request."""
    with CheckedSession() as session:
        return session.request(method, url, **options)


CHECKED = CheckedRequests()


class ChatChannel(ActionChannel):
    """One address of apprise; one message after the other, as fast as the service takes them."""

    name = "chat"
    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        address: str,
        variable: str,
        allowed: Allowed,
        tls: SSLContext,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Create a channel that isn't connected; `variable` holds the address.

        Raises:
            SettingsError: the address can't be used.
        """
        remember_parts(address)
        self.service = service_of(address, variable)
        self.allowed = allowed
        self.tls = tls
        self.deadline_s = deadline_s
        self._lock = Lock()

    def send(self, request: ActionRequest) -> str:
        exchange = Exchange(self.allowed, self.tls)
        token = EXCHANGE.set(exchange)
        try:
            with self._lock, DEADLINES.within(self.deadline_s, exchange.cut):
                is_taken = self.service.notify(
                    body=request.text,
                    title=request.subject,
                    notify_type=apprise.NotifyType.INFO,
                    body_format=apprise.NotifyFormat.TEXT,
                )
        finally:
            EXCHANGE.reset(token)
        return self._judged(exchange, is_taken=is_taken)

    def fault(self) -> str | None:
        """Return the fault of a host of one's own; those of services are known by apprise alone."""
        if not has_own_host(self.service):
            return None
        port = self.service.port or (443 if self.service.secure else 80)
        return self.allowed.fault(self.service.host, port)

    def close(self) -> None:
        pass

    def _judged(self, exchange: Exchange, *, is_taken: bool) -> str:
        name = self.service.service_name
        if exchange.failure:
            raise exchange.failure
        answer = exchange.answer
        if answer is None:
            raise Rejected("not_sent", f"{name}: apprise sends nothing to this address")
        shown = judged(answer.host, answer.status, answer.text, answer.retry_after)
        if answer.is_refused_in_body or not is_taken:
            raise Busy(f"{answer.host}: {name} refuses ({shown}); check its address", LATER_S)
        return shown


def service_of(address: str, variable: str) -> apprise.NotifyBase:
    """The service of an address.

    Raises:
        SettingsError: it can't be used; the address is never quoted.
    """
    try:
        service = apprise.Apprise.instantiate(address, ASSET, suppress_exceptions=False)
    except (TypeError, ValueError) as error:  # what apprise raises for an address
        raise SettingsError(f"{variable}: the address lacks a part; {DOCS}") from error
    if service is None:
        raise SettingsError(f"{variable}: is no address of an installed service; {DOCS}")
    check_module(type(service), variable)
    if not service.verify_certificate:
        problem = "has verify=no; take it out, and name the authority in the option ca"
        raise SettingsError(f"{variable}: {problem}")
    if has_own_host(service) and not service.secure and not is_loopback(service.host):
        problem = "is not TLS; use the service's address with an s, such as jsons"
        raise SettingsError(f"{variable}: {problem}")
    if len(service) > 1:
        raise SettingsError(
            f"{variable}: names {len(service)} targets; make a receiver for each, as a failure of "
            "one would send to all again"
        )
    return service


def has_own_host(service: apprise.NotifyBase) -> bool:
    """Return True where the address names the host, instead of apprise."""
    templates: tuple[str, ...] = service.templates
    return any("{host}" in each for each in templates)


def check_module(service: type[apprise.NotifyBase], variable: str) -> None:
    """Put checked requests into apprise, as far as it is imported.

    Raises:
        SettingsError: the service sends by something else.
    """
    for name, module in [*sys.modules.items()]:
        if name.startswith("apprise.") and vars(module).get("requests") is requests:
            vars(module)["requests"] = CHECKED
    if vars(sys.modules[service.__module__]).get("requests") is not CHECKED:
        raise SettingsError(
            f"{variable}: {service.service_name} isn't reached over HTTP, so where it connects "
            "can't be checked; use another service, or the channel mail"
        )


def remember_parts(address: str) -> None:
    """Mask the tokens of an address from now on: all its parts but plain words and a host name."""
    host, *parts = PART.findall(unquote(address.partition("://")[2])) or [""]
    for text in [*parts, *([] if "." in host else [host])]:
        if not (text.isalpha() and text.islower()):
            remember(text)


def first_cause(error: BaseException) -> BaseException:
    """The error that the others were made of."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error
