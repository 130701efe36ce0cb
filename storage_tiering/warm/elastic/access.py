"""Access to Elasticsearch: the address, the credentials, and the trusted authorities."""

from pathlib import Path
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from schemas.errors import SettingsError

SCHEMES = ("http://", "https://")
NOT_USABLE = "[warm] url is no URL of Elasticsearch's: write http://host:9200, or https:// for TLS"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Access beyond the URL: an API key, or a user and password.

    `ca` is a PEM file with the authority that signed the server's certificate; without it those
    of the system. An answer may take `timeout_s`.
    """

    api_key: str | None = None
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    timeout_s: float = 30.0

    def __repr__(self) -> str:
        """Without the secrets: representations end up in logs."""
        return f"{type(self).__name__}(user={self.user!r}, ca={self.ca!r})"


def connect(url: str, access: Access | None = None) -> Elasticsearch:
    """Create a client that fails fast: the writer has its own back-off. Nothing is sent yet.

    Raises:
        SettingsError: no URL of Elasticsearch, two kinds of credentials, or a missing file.
    """
    if not url.startswith(SCHEMES):
        raise SettingsError(NOT_USABLE)
    options = _options(url, access or Access())
    try:
        return Elasticsearch(url, **options)
    except ValueError:
        # Its own message may quote a part of the password.
        raise SettingsError(NOT_USABLE) from None


def _options(url: str, access: Access) -> dict[str, Any]:
    options: dict[str, Any] = {
        "request_timeout": access.timeout_s,
        "max_retries": 1,  # once: a connection may have been closed while idle
        "retry_on_timeout": False,
        "retry_on_status": (),
        **_identity(access),
    }
    if access.ca is not None:
        if not url.startswith("https://"):
            raise SettingsError("[warm] ca is for TLS only: begin [warm] url with https://")
        if not Path(access.ca).is_file():
            raise SettingsError(f"[warm] ca: {access.ca} is no file; name a PEM file")
        options["ca_certs"] = access.ca
    return options


def _identity(access: Access) -> dict[str, Any]:
    if access.api_key is not None:
        if access.user is not None:
            raise SettingsError("[warm] api_key and user are both set; unset one")
        return {"api_key": access.api_key}
    if access.user is not None:
        return {"basic_auth": (access.user, access.password or "")}
    return {}
