"""Accounts to poll, by the settings: each with its plug-in, its plan and its connections."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Thread, local
from typing import Literal, NamedTuple

from dataflows.carriers.carrier import PushContents
from dataflows.carriers.installed import open_poller, options_of
from dataflows.carriers.pollable import Answer, Asked, Fetcher, Pollable, PollConfig, Poller
from dataflows.carriers.polling import INTERVALS_MS, MINUTE_MS, Plan
from schemas.display import printable
from schemas.errors import Busy, Rejected, SettingsError
from schemas.instants import parse_duration
from schemas.settings.model import PollSettings
from telemetry.http_client import HttpClient, HttpFailed

LOGGER = logging.getLogger("ordertide.poll")
NOT_FOUND, TOO_MANY = 404, 429
SETTING = "poll.carriers"
MOST_RATE = 1_000.0
NOTHING = PushContents([])

Outcome = Literal["answered", "unknown", "limited", "failed", "refused", "unreadable"]


class Result(NamedTuple):
    """Result of a request: its outcome, the answer if there is one, else the reason."""

    asked: Sequence[Asked]
    outcome: Outcome
    answer: Answer | None = None
    reason: str = ""
    retry_after_s: float = 0.0


class Account:
    """An account of a carrier; `codes` are the carriers whose parcels it asks for."""

    def __init__(
        self, name: str, poller: Pollable, config: PollConfig, intervals_ms: Mapping[str, int]
    ) -> None:
        """Create an account that has asked for nothing yet.

        Raises:
            SettingsError: its rate, time-out, URL or carriers can't be used.
        """
        self.name = name
        self.poller = poller
        self.codes = codes_of(name, poller, config)
        self.plan = Plan(
            rate_of(name, config),
            batch=poller.batch,
            least_ms=round(1000 * poller.least_interval_s),
            intervals_ms=intervals_ms,
        )
        self.url = config.url
        self._timeout_s = timeout_of(name, config)
        self._clients = local()
        self._opened: list[HttpClient] = []  # by every thread
        if isinstance(poller, Poller):
            self._client()  # its address is checked now

    def close(self) -> None:
        """Close its connections, once its threads have ended."""
        for client in self._opened:
            client.close()

    def ask(self, asked: Sequence[Asked], now_ms: int) -> Result:
        """Make a request and read its response; in any thread."""
        try:
            return self._ask(asked, now_ms)
        except Exception as error:
            LOGGER.exception("poll: %s: the plug-in failed", self.name)
            return Result(asked, "unreadable", None, f"the plug-in failed: {error!r}")

    def _ask(self, asked: Sequence[Asked], now_ms: int) -> Result:
        try:
            answer = self._answer(asked, now_ms)
        except HttpFailed as failed:
            return self._failed(asked, failed)
        except Busy as busy:
            return Result(asked, "failed", None, busy.reason, busy.retry_after_s)
        except Rejected as rejected:
            outcome: Outcome = "refused" if rejected.code == "refused" else "unreadable"
            return Result(asked, outcome, None, rejected.reason)
        is_unknown = len(answer.unknown) == len(asked)
        return Result(asked, "unknown" if is_unknown else "answered", answer)

    def _answer(self, asked: Sequence[Asked], now_ms: int) -> Answer:
        poller = self.poller
        if isinstance(poller, Fetcher):
            return answer_within(self._timeout_s, partial(poller.fetch, asked))
        assert isinstance(poller, Poller)
        request = poller.request(asked, now_ms)
        response = self._client().request(
            request.method, request.path, request.body, request.headers
        )
        return poller.read(asked, response.body)

    def _failed(self, asked: Sequence[Asked], failed: HttpFailed) -> Result:
        reason, after_s = printable(str(failed)), failed.retry_after_s or 0.0
        if failed.status == NOT_FOUND and len(asked) == 1:
            unknown = frozenset(each.number for each in asked)
            return Result(asked, "unknown", Answer(NOTHING, unknown), reason)
        if failed.status == TOO_MANY:
            return Result(asked, "limited", None, reason, after_s)
        return Result(
            asked, "refused" if failed.is_about_the_client else "failed", None, reason, after_s
        )

    def _client(self) -> HttpClient:
        """The connection of this thread."""
        client: HttpClient | None = getattr(self._clients, "client", None)
        if client is None:
            client = HttpClient(
                self.url, setting=setting_of(self.name, "url"), timeout_s=self._timeout_s
            )
            self._clients.client = client
            self._opened.append(client)
        return client


def answer_within(timeout_s: float, fetch: Callable[[], Answer]) -> Answer:
    """Call `fetch` in a thread of its own, which is left behind once its time is over.

    Raises:
        HttpFailed: there is no answer in time. Whatever `fetch` raises.
    """
    future = Future[Answer]()

    def run() -> None:
        try:
            future.set_result(fetch())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            future.set_exception(error)

    Thread(target=run, name="fetch", daemon=True).start()
    try:
        return future.result(timeout_s)
    except TimeoutError as error:
        raise HttpFailed(f"no answer within {timeout_s:g} s") from error


def open_accounts(settings: PollSettings) -> list[Account]:
    """The accounts of the settings, sorted by name.

    Raises:
        SettingsError: an account, a plug-in or an interval can't be used, or two accounts ask for
            the parcels of one carrier.
    """
    intervals_ms = intervals_of(settings)
    accounts = [
        Account(f"{carrier}/{account}", *open_poller(carrier, options), intervals_ms)
        for (carrier, account), options in sorted(options_of(settings.carriers, SETTING).items())
    ]
    owners: dict[str, str] = {}
    for account in accounts:
        for code in sorted(account.codes):
            other = owners.setdefault(code, account.name)
            if other != account.name:
                raise SettingsError(
                    f"{SETTING}: both {other} and {account.name} ask for parcels of {code}; set "
                    "their option carriers"
                )
    return accounts


def intervals_of(settings: PollSettings) -> dict[str, int]:
    """Intervals by status, in ms: those shipped, and those of the settings over them.

    Raises:
        SettingsError: one is no duration, or under a minute.
    """
    found = dict(INTERVALS_MS)
    for status, text in settings.intervals.items():
        setting = f"poll.intervals.{status}"
        found[status] = parse_duration(text, of=setting)
        if found[status] < MINUTE_MS:
            raise SettingsError(f"{setting}: {text} is too short; write at least 1m")
    return found


def rate_of(name: str, config: PollConfig) -> float:
    """Requests a second.

    Raises:
        SettingsError: it is no number above 0.
    """
    try:
        rate = float(config.rate)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= MOST_RATE:
        raise SettingsError(
            f"{setting_of(name, 'rate')}: {config.rate!r} is no number of requests a second; "
            "write one like 2 or 0.5"
        )
    return rate


def timeout_of(name: str, config: PollConfig) -> float:
    """Seconds that a request may take.

    Raises:
        SettingsError: it is no duration, or none.
    """
    setting = setting_of(name, "timeout")
    timeout_ms = parse_duration(config.timeout, of=setting)
    if not timeout_ms:
        raise SettingsError(f"{setting}: {config.timeout} is too short; write one like 10s")
    return timeout_ms / 1000


def setting_of(name: str, option: str) -> str:
    """The name of an account's option, as errors name it."""
    return f"{SETTING}.{name.replace('/', '.')}.{option}"


def codes_of(name: str, poller: Pollable, config: PollConfig) -> frozenset[str]:
    """Codes of the carriers of an account.

    Raises:
        SettingsError: the plug-in can't ask for one of them.
    """
    wanted = frozenset(part.strip() for part in config.carriers.split(",") if part.strip())
    if unknown := wanted - poller.codes:
        raise SettingsError(
            f"{setting_of(name, 'carriers')}: it can't ask for {', '.join(sorted(unknown))}; "
            f"name some of {', '.join(sorted(poller.codes))}"
        )
    return wanted or poller.codes
