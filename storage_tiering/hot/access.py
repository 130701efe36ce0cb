"""Access to Redis: the address, the credentials, and the trusted authorities."""

from pathlib import Path
from typing import Any

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from schemas.errors import SettingsError
from storage_tiering.hot.servers import Cluster

SCHEMES = ("redis", "rediss", "unix")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Access beyond the URL, whose own user and password take precedence.

    `ca` is a PEM file with the authority that signed the server's certificate (without it, those
    of the system); `certificate` and `key` are the client's, where the server requires one. All
    three need a `rediss://` URL. An answer may take `timeout_s`.
    """

    user: str | None = None
    password: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    timeout_s: float = 5.0

    def __repr__(self) -> str:
        """Without the password: representations end up in logs."""
        return f"{type(self).__name__}(user={self.user!r}, ca={self.ca!r})"


def connect(url: str, access: Access | None = None) -> "Redis":
    """Create a client that fails fast: the writer has its own back-off. Nothing is sent yet.

    Raises:
        SettingsError: no URL of Redis, or a missing file.
    """
    options = _options(url, access or Access())
    try:
        return Redis.from_url(url, **options)
    except ValueError:
        # Its own message may quote a part of the password.
        raise SettingsError(NOT_USABLE) from None


def connect_cluster(
    url: str, access: Access | None = None, *, other_nodes: str | None = None
) -> Cluster:
    """The same for a Redis Cluster, with one of its nodes in `url`.

    `other_nodes` are `host:port` of more, with commas, should that one be down at the start; the
    remaining ones are discovered.

    Raises:
        SettingsError: as for `connect`.
    """
    connect(url, access)  # finds out now what is wrong with the URL
    options = _options(url, access or Access())

    def opened() -> RedisCluster:
        nodes = [_node(address) for address in (other_nodes or "").split(",") if address]
        return RedisCluster.from_url(url, startup_nodes=nodes, **options)

    return Cluster(opened)


NOT_USABLE = (
    "[hot] url is no URL of Redis's: write redis://host:6379/0, or rediss:// for TLS; "
    "write special characters of a password as %2F and the like, or set ORDERTIDE_HOT_PASSWORD"
)


def _node(address: str) -> ClusterNode:
    host, _, port = address.strip().rpartition(":")
    return ClusterNode(host.strip("[]"), int(port))  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


def _options(url: str, access: Access) -> dict[str, Any]:
    """The keyword arguments of redis-py's clients.

    Raises:
        SettingsError: certificates without TLS, or a file that isn't there.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise SettingsError(NOT_USABLE)
    options: dict[str, Any] = {
        "username": access.user,
        "password": access.password,
        "socket_timeout": access.timeout_s,
        "socket_connect_timeout": access.timeout_s,
        "retry": Retry(NoBackoff(), 1),  # once: a connection may have been closed while idle
    }
    files = {"ca": access.ca, "certificate": access.certificate, "key": access.key}
    for name, path in files.items():
        if path is not None:
            _check_file(name, path, scheme)
    if scheme == "rediss":
        options["ssl_check_hostname"] = True  # redis-py before 6 didn't by itself
        options["ssl_ca_certs"] = access.ca
        options["ssl_certfile"], options["ssl_keyfile"] = access.certificate, access.key
    return options


def _check_file(name: str, path: str, scheme: str) -> None:
    if scheme != "rediss":
        raise SettingsError(f"[hot] {name} is for TLS only: begin [hot] url with rediss://")
    if not Path(path).is_file():
        raise SettingsError(f"[hot] {name}: {path} is no file; name a PEM file")
