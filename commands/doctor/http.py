"""One GET at a time, for the servers that speak plain HTTP."""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from commands.doctor.clock import http_clock
from commands.doctor.findings import Finding, problem
from commands.wiring.process import now_ms
from schemas.errors import OrdertideError
from schemas.settings.secrets import masked_url
from sinks.channels.http_client import authorisation, tls_of

SHOWN_CHARACTERS = 200


class Unanswered(OrdertideError):
    """No usable answer; `finding` is what is to be reported. `status` is 0 without any answer."""

    def __init__(self, finding: Finding, status: int = 0) -> None:
        super().__init__(finding.found)
        self.finding = finding
        self.status = status


class Answer(NamedTuple):
    """A successful answer: its JSON (None where it is none), and the clock that it showed."""

    data: Any
    clock: Finding


class Site:
    """A server at `url`, asked as the engine asks it; `setting` is the key to correct."""

    def __init__(
        self,
        url: str,
        setting: str,
        timeout_s: float,
        token: str | None = None,
        ca_file: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is connected yet. `headers` go with each question."""
        self.parts = urlsplit(url)
        self.shown = masked_url(url)
        self.setting = setting
        self.timeout_s = timeout_s
        self.headers = {**authorisation(self.parts, token), **(headers or {})}
        self.ca_file = Path(ca_file) if ca_file else None

    def get(self, path: str) -> Answer:
        """Ask for `path` under the URL.

        Raises:
            Unanswered: no answer, or none that says yes.
        """
        connection = self._connection()
        asked_at = now_ms()
        try:
            connection.request("GET", self.parts.path.rstrip("/") + path, headers=self.headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            advice = f"check {self.setting}, that the server runs, and its certificate"
            raise Unanswered(problem("reachable", f"{self.shown}: {reason}", advice)) from error
        finally:
            connection.close()
        self._judge(answer.status, body)
        # The first of them: HDFS sends two, which getheader would join.
        return Answer(json_of(body), http_clock(answer.headers.get("Date"), asked_at))

    def _connection(self) -> HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        if self.parts.scheme == "https":
            tls = tls_of(self.ca_file)
            return HTTPSConnection(host, port, timeout=self.timeout_s, context=tls)
        return HTTPConnection(host, port, timeout=self.timeout_s)

    def _judge(self, status: int, body: bytes) -> None:
        if 200 <= status < 300:  # noqa: PLR2004 - the class of answers that HTTP calls successful
            return
        said = body.decode(errors="replace").strip()[:SHOWN_CHARACTERS]
        found = f"{self.shown}: answers {status}: {said or 'nothing more'}"
        if status in {401, 403}:
            advice = f"check the user, password or token that belong to {self.setting}"
            raise Unanswered(problem("authorised", found, advice), status)
        advice = f"check {self.setting}: another server?"
        raise Unanswered(problem("reachable", found, advice), status)


def json_of(body: bytes) -> Any:  # noqa: ANN401 - whatever the server says
    """The body's JSON; None where it is none."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
