"""karrio's tracking connectors: their carriers, asked by a library that makes its own requests.

An account names a connector, such as `ups` of the package karrio-ups, and has its credentials. The
connector words the request, gets its token and reads the answer. karrio 2026.1 itself turns off the
verification of certificates for the whole process, has no time-out and no setting for an address,
and returns errors as data; so its requests go through an opener of ours, which has these.

Times are the limit: karrio drops their offset and writes the local time of the scan as UTC, so all
scans of an account are read in its `zone`.
"""

import ssl
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from http.client import HTTPException
from importlib import import_module
from threading import local
from typing import Any, ClassVar, NamedTuple
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, build_opener

import msgspec

from dataflows.carriers.pollable import Answer, Asked, Fetcher, PollConfig, batch_of
from dataflows.carriers.reading import checked, parse_zone, rfc3339, scan_id
from dataflows.carriers.scans import ScanReader
from dataflows.carriers.wording import text_of
from schemas.errors import Rejected, SettingsError
from schemas.instants import parse_duration
from schemas.numbers import as_waybill
from schemas.os_faults import connection_fault
from telemetry.http_client import HttpFailed, requested_delay_s, split_address

BAD_REQUEST = 400
SHOWN_BYTES = 300

# Statuses of karrio; its others (on_hold, delivery_delayed, cancelled, unknown) are SCAN.
STATUSES = {
    "pending": "LABEL_CREATED",
    "picked_up": "COLLECTED",
    "in_transit": "IN_TRANSIT",
    "out_for_delivery": "OUT_FOR_DELIVERY",
    "ready_for_pickup": "READY_FOR_PICKUP",
    "delivered": "DELIVERED",
    "delivery_failed": "DELIVERY_FAILED",
    "return_to_sender": "RETURN_TO_SENDER",
}
REASONS = {"carrier_parcel_lost": "LOST", "carrier_damaged_parcel": "DAMAGED"}


class KarrioPollConfig(PollConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`connector` is karrio's name of the carrier; `carriers` defaults to the same.

    `credentials` and `options` are the fields of the connector's settings: secrets, and others.
    """

    connector: str
    credentials: dict[str, str] = msgspec.field(default_factory=dict)
    options: dict[str, str] = msgspec.field(default_factory=dict)
    url: str = ""
    zone: str = "+00:00"
    batch: str = "1"


class KarrioFetcher(Fetcher):
    """The tracking of one connector."""

    name = "karrio"
    Config: ClassVar[type[PollConfig]] = KarrioPollConfig

    def __init__(self, config: KarrioPollConfig) -> None:
        self.connector = config.connector
        names = frozenset(part.strip() for part in config.carriers.split(",") if part.strip())
        self.codes = names or frozenset({config.connector})
        self.batch = batch_of(config.batch, "poller karrio: batch")
        self.zone = parse_zone(config.zone, of="poller karrio: zone")
        self.timeout_s = parse_duration(config.timeout, of="poller karrio: timeout") / 1000
        self.statuses = config.statuses
        if config.url:
            split_address(config.url, "poller karrio: url")
        # A variable of the environment writes `client_secret` with dots.
        given = {k.replace(".", "_"): v for k, v in (config.options | config.credentials).items()}
        self.given, self.cache = checked_fields(config.connector, given), library().cache()
        self.url = config.url.rstrip("/")
        units = import_module(f"karrio.providers.{config.connector}.units")
        self.status_of_code: Callable[[str], Any] = units.TrackingStatus.find

    def fetch(self, asked: Sequence[Asked]) -> Answer:
        numbers = {as_waybill(each.number): each for each in asked}
        reader = ScanReader()
        known = set()
        for detail in self.details([each.number for each in asked]):
            # Some connectors name a parcel by another of its numbers.
            found = numbers.get(as_waybill(str(detail.tracking_number)))
            each = asked[0] if len(asked) == 1 else found
            if each is not None:
                known.add(each.number)
                for number, scan in enumerate(detail.events or []):
                    place = f"{each.number}.events[{number}]"
                    reader.read(place, partial(self.read_scan, reader, each, scan))
        return Answer(reader.contents(), frozenset(each.number for each in asked) - known)

    def details(self, numbers: list[str]) -> Sequence[Any]:
        """Details of the numbers that the carrier knows, by the connector.

        Raises:
            HttpFailed: no response, or none of success. Rejected: the account is refused, or the
                connector can't read the answer.
        """
        karrio, exchange = library(), Exchange(self.timeout_s)
        gateway = karrio.gateways[self.connector].create(dict(self.given), exchange, self.cache)
        if self.url:
            kind = type(gateway.settings)
            gateway.settings.__class__ = type(kind.__name__, (kind,), {"server_url": self.url})
        payload = karrio.models.TrackingRequest(tracking_numbers=numbers)
        details, failure = None, None
        try:
            request = gateway.mapper.create_tracking_request(payload)
            response = gateway.proxy.get_tracking(request)
            details, _ = gateway.mapper.parse_tracking_response(response)
        except karrio.refusal as error:  # of the request for a token
            failure = Rejected("refused", texts_of(error.messages))
        except Exception as error:  # noqa: BLE001 - of a connector, by what it happened to meet
            reason = f"the connector failed: {type(error).__name__}: {error}"
            failure = Rejected("malformed_json", reason)
        if not details and (cause := exchange.failure or failure):
            raise cause
        return details or []

    def read_scan(self, reader: ScanReader, asked: Asked, scan: Any) -> None:  # noqa: ANN401 - an event of karrio's
        """Add the event of a scan.

        Raises:
            Rejected: it can't be read.
        """
        code, text = text_of(scan.code), text_of(scan.description)
        time = text_of(scan.timestamp)[:19]  # local time, though it ends in Z
        status = self.status_of(code, text_of(scan.status), text_of(scan.reason))
        location = text_of(scan.location)
        event = {
            "event_id": scan_id(asked.number, time, code, text),
            "status_code": status or "SCAN",
            "raw_status": code or None,
            "timestamp": rfc3339(time, self.zone),
            "source": f"carrier:{self.connector}",
            "carrier": asked.carrier,
            "waybill": asked.number,
            "location": {"name": location} if location else None,
            "personal": {"text": text} if text else None,
        }
        reader.add(checked(event), is_mapped=status is not None)

    def status_of(self, code: str, status: str, reason: str) -> str | None:
        """Status of a scan: by its own code where the connector has it, as UPS's type is coarse."""
        by_code = text_of(self.status_of_code(code).name) if code else ""
        return (
            self.statuses.get(code)
            or REASONS.get(reason)
            or STATUSES.get(by_code)
            or STATUSES.get(status)
        )


# ---------------------------------------------------------------- the library
class Library(NamedTuple):
    """Parts of karrio: its gateways by connector, its nouns, its error of a refused token."""

    gateways: Any
    models: Any
    cache: Any
    refusal: Any


class Exchange:
    """Requests of one query; karrio takes it for the tracer that notes them.

    A connector may make them in threads of its own, and may drop what they raise. The tracer is
    called in the thread of each request, which thereby finds the query that it belongs to.
    """

    context: ClassVar[dict[str, str]] = {}
    of_thread = local()

    def __init__(self, timeout_s: float) -> None:
        """Create an exchange without requests."""
        self.timeout_s = timeout_s
        self.failure: HttpFailed | None = None

    def with_metadata(self, _: object) -> Callable[..., None]:
        """The function to which karrio hands requests and answers; it keeps none of them."""
        return self.begin

    def begin(self, *_: object, **__: object) -> None:
        self.of_thread.current = self


class NoRedirects(HTTPRedirectHandler):
    """Follows none: a request carries credentials."""

    def redirect_request(self, *_: object) -> None:
        return None


@cache
def opener() -> OpenerDirector:
    """An opener that verifies certificates."""
    return build_opener(HTTPSHandler(context=ssl.create_default_context()), NoRedirects)


def open_bounded(request: Any, timeout: float | None = None) -> Any:  # noqa: ANN401 - as urlopen
    """Stand-in for `urlopen` in karrio: with a time-out, and with failures that are noted.

    Raises:
        HttpFailed: no response, or a status that is no success, but for 400, which says what is
            wrong and is the connector's to read.
    """
    exchange: Exchange = Exchange.of_thread.current
    try:
        return opener().open(request, timeout=timeout or exchange.timeout_s)
    except HTTPError as error:
        if error.code == BAD_REQUEST:
            raise
        exchange.failure = failure_of(request.host, error)
        raise exchange.failure from error
    except (OSError, HTTPException) as error:
        reason = connection_fault(error) or str(error) or type(error).__name__
        exchange.failure = HttpFailed(f"{request.host}: no answer ({reason})")
        raise exchange.failure from error


def failure_of(host: str, error: HTTPError) -> HttpFailed:
    """A status that is no success, with the beginning of the body."""
    with error:
        text = error.read(SHOWN_BYTES).decode(errors="replace").strip() or "nothing more"
    delay_s = requested_delay_s(error.headers.get("Retry-After"))
    return HttpFailed(f"{host}: answers {error.code}: {text}", error.code, delay_s)


@cache
def library() -> Library:
    """karrio, with `open_bounded` for its requests, and the process's own ways restored.

    Raises:
        SettingsError: it isn't installed.
    """
    verified = ssl._create_default_https_context  # noqa: SLF001 - karrio replaces it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import_module("loguru").logger.disable("karrio")  # it logs addresses with numbers
            sdk = import_module("karrio.sdk")
            models, errors = (import_module(f"karrio.core.{n}") for n in ("models", "errors"))
            helpers: Any = import_module("karrio.core.utils.helpers")
    except ImportError as error:
        raise SettingsError(
            f"poller karrio: {error}; install ordertide[karrio] and the package of the connector, "
            "like karrio-ups"
        ) from error
    finally:
        ssl._create_default_https_context = verified  # noqa: SLF001 - as above
    helpers.urlopen = open_bounded
    cache_type = import_module("karrio.core.utils").Cache
    return Library(sdk.gateway, models, cache_type, errors.ParsedMessagesError)


def checked_fields(connector: str, given: Mapping[str, str]) -> dict[str, str]:
    """Fields of a connector's settings that are given.

    Raises:
        SettingsError: the connector isn't installed, or a field is missing or unknown.
    """
    providers = library().gateways.providers
    if connector not in providers:
        raise SettingsError(
            f"poller karrio: connector: {connector!r} isn't installed; install the package karrio-"
            f"{connector.replace('_', '-')} (installed: {', '.join(sorted(providers)) or 'none'})"
        )
    fields = {each.name: each.default for each in providers[connector].Settings.__attrs_attrs__}
    if unknown := given.keys() - fields.keys():
        raise SettingsError(
            f"poller karrio: {connector} has no setting {', '.join(sorted(unknown))}; name some of "
            f"{', '.join(fields)}"
        )
    required = import_module("attr").NOTHING
    for name, default in fields.items():
        if default is required and not given.get(name):
            raise SettingsError(
                f"poller karrio: credentials.{name} of {connector} is missing; set "
                f"ORDERTIDE_POLL_CARRIERS_KARRIO_ACCOUNT_CREDENTIALS_{name.upper()}, with the name "
                "of your account"
            )
    return dict(given)


def texts_of(messages: Sequence[Any]) -> str:
    """Messages of a connector as one text."""
    texts = [f"{text_of(each.code)} {text_of(each.message)}".strip() for each in messages]
    return "; ".join(texts) or "no reason"
