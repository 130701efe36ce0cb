"""Channels that POST to an HTTP receiver, and what its answer means for the alerts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from schemas.errors import Busy, Rejected
from schemas.settings.model import DeliverySettings
from telemetry.http_client import HttpClient, HttpFailed

RETRY_AFTER_S = 0.5
LATER_S = 5.0  # for what only an operator can mend
LONGEST_WAIT_S = 60.0


class HttpChannel:
    """The receiver at `url`; a 2xx answer means that it has what was posted."""

    def __init__(self, url: str, *, token: str | None = None, ca_file: Path | None = None) -> None:
        """Create a channel that isn't connected yet.

        Raises:
            SettingsError: the URL is not http(s), or the CA file can't be read.
        """
        self.client = HttpClient(
            url,
            setting="delivery.url",
            ca_setting="delivery.ca_file",
            token=token,
            ca_file=ca_file,
            headers={"Content-Type": "application/json"},
        )

    @classmethod
    def from_settings(cls, settings: DeliverySettings) -> Self:
        """Create the channel that the settings describe."""
        ca_file = Path(settings.ca_file) if settings.ca_file else None
        return cls(settings.url, token=settings.token, ca_file=ca_file)

    def send(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """POST to `path` under the URL.

        Raises:
            Busy: no answer, 3xx, 401, 403, 404, 429, 5xx: nothing is wrong with the body.
            Rejected: `http_400`, `http_413`, `http_422`.
        """
        with outcomes():
            self.client.request("POST", path, body, headers)

    def close(self) -> None:
        self.client.close()


@contextmanager
def outcomes() -> Iterator[None]:
    """Turn a failed request into the error for what it carried.

    Raises:
        Busy, Rejected: as `HttpChannel.send`.
    """
    try:
        yield
    except HttpFailed as failed:
        raise outcome_of(failed) from failed


def outcome_of(failed: HttpFailed) -> Busy | Rejected:
    """The error for what a failed request carried."""
    if failed.is_about_the_body:
        return Rejected(f"http_{failed.status}", str(failed))
    if not failed.status:
        return Busy(str(failed))
    if failed.is_about_the_server:
        wanted_s = RETRY_AFTER_S if failed.retry_after_s is None else failed.retry_after_s
        return Busy(str(failed), min(wanted_s, LONGEST_WAIT_S))
    return Busy(f"{failed}; check delivery.url and delivery.token", LATER_S)
