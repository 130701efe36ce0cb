"""One GET at a time, for the servers that speak plain HTTP."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from commands.doctor.clock import http_clock
from commands.doctor.findings import Finding, problem
from commands.wiring.process import now_ms
from schemas.errors import OrdertideError, SettingsError
from schemas.settings.secrets import masked_text
from telemetry.http_client import HttpClient, HttpFailed


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


class HttpTarget:
    """A server at `url`, queried as the engine does it; `setting` is the key to correct."""

    def __init__(
        self,
        url: str,
        setting: str,
        timeout_s: float,
        token: str | None = None,
        ca_file: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Create a site that isn't connected yet. `headers` go with each request."""
        self.url = url
        self.shown = masked_text(url)
        self.setting = setting
        self.timeout_s = timeout_s
        self.token = token
        self.ca_file = Path(ca_file) if ca_file else None
        self.headers = headers

    def get(self, path: str) -> Answer:
        """Request `path` under the URL.

        Raises:
            Unanswered: no answer, or none with a status of success; or the settings can't be used.
        """
        try:
            with closing(self._client()) as client:
                asked_at = now_ms()
                answer = client.request("GET", path)
        except HttpFailed as failed:
            raise Unanswered(self._finding(failed), failed.status) from failed
        except SettingsError as error:
            finding = problem("settings", str(error), f"correct {self.setting}, or what it needs")
            raise Unanswered(finding) from error
        # The first of them: HDFS sends two, which getheader would join.
        return Answer(json_of(answer.body), http_clock(answer.headers.get("Date"), asked_at))

    def _client(self) -> HttpClient:
        section = self.setting.partition(" ")[0]
        return HttpClient(
            self.url,
            setting=self.setting,
            ca_setting=f"{section} CA file",
            token=self.token,
            ca_file=self.ca_file,
            headers=self.headers,
            timeout_s=self.timeout_s,
        )

    def _finding(self, failed: HttpFailed) -> Finding:
        if not failed.status:
            remedy = f"check {self.setting}, that the server runs, and its certificate"
        elif failed.is_about_the_client:
            remedy = f"check the user, password or token that belong to {self.setting}"
            return problem("authorised", str(failed), remedy)
        else:
            remedy = f"check {self.setting}: another server?"
        return problem("reachable", str(failed), remedy)


def json_of(body: bytes) -> Any:  # noqa: ANN401 - whatever the server says
    """The body's JSON; None where it is none."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
