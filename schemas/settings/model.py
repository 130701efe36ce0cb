"""Settings: one TOML file, every key overridable by environment.

`ORDERTIDE_TRACK_CLOCK=recorded` overrides `clock` under `[track]`, and `ORDERTIDE_TRACK_CLOCK_FILE`
names a file that holds the value. Unknown keys are errors. A secret (a key such as `password`, a
URL with a password in it) comes from the environment or from such a file, never from the TOML file:
there it is an error. `docs/settings.md` lists every key; what a key means stands in
`schemas/settings/meanings.py`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from schemas.display import printable
from schemas.errors import SettingsError
from schemas.settings.checks import Finding, findings
from schemas.settings.keys import keys_of, sections_of
from schemas.settings.kinds import (
    Addresses,
    AtLeastOne,
    Duration,
    File,
    Folder,
    Link,
    Name,
    Names,
    NotNegative,
    Port,
    Tiles,
    Url,
    Workers,
    Zoom,
)
from schemas.settings.secrets import masked, masked_text, remember_secrets
from schemas.settings.sources import Values, from_environment, from_file, nested


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`bootstrap` is host:port (several with commas); `properties` are librdkafka's.

    `user` and `password` are for SASL, `certificate` and `key` (PEM files) for TLS with client
    certificates; `ca` (PEM file) is what the brokers' certificates are checked against.
    """

    bootstrap: Addresses = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: str | None = None
    password: str | None = None
    ca: File | None = None
    certificate: File | None = None
    key: File | None = None
    key_password: str | None = None
    properties: dict[str, str] = {}
    embedded: bool = False

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"BrokerSettings({self.bootstrap!r}, {self.security_protocol}, user={self.user!r})"


class TrackSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The dataflow. `clock` is `broker` or, for recorded history, `recorded`.

    Each of the `workers` is a process. With `hosts` (host:port, several with commas) there are so
    many on each of them, and this one is number `host` of them.
    """

    clock: Literal["broker", "recorded"] = "broker"
    folder: Folder = ".ordertide/track"
    workers: Workers = 1
    hosts: Addresses | None = None
    host: NotNegative = 0
    group: str = "ordertide-track"
    epoch_ms: AtLeastOne = 200
    margin_ms: NotNegative = 500
    recorded_ahead: Duration = "1d"
    rules: File | None = None
    lifecycle: File | None = None


class StateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Durable storage of the dataflow's state.

    `folder` uses `track.folder` alone; `s3` adds an S3-compatible object store, from which any host
    can resume. Without `access_key` the credentials are those of AWS_ACCESS_KEY_ID, of a web
    identity or of the host's role.
    """

    store: Literal["folder", "s3"] = "folder"
    bucket: str | None = None
    prefix: str = "ordertide"
    endpoint: Url | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"StateSettings({self.store}, bucket={self.bucket!r}, prefix={self.prefix!r})"


class HotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Redis, or with `cluster` a Redis Cluster. `keep` counts on the stream clock.

    User and password in `url` take precedence over `user` and `password`.
    """

    url: Url = "redis://127.0.0.1:6379/0"
    user: str | None = None
    password: str | None = None
    ca: File | None = None
    certificate: File | None = None
    key: File | None = None
    cluster: bool = False
    nodes: Addresses | None = None
    replicas: NotNegative = 0
    prefix: str = "ordertide"
    keep: Duration = "72h"

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"HotSettings({masked('hot.url', self.url)!r}, user={self.user!r})"


class WarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Elasticsearch at `url`; without one a folder with a SQLite file per period.

    `keep` is on the stream clock.
    """

    url: Url | None = None
    api_key: str | None = None
    user: str | None = None
    password: str | None = None
    ca: File | None = None
    prefix: str = "ordertide"
    folder: Folder = ".ordertide/warm"
    keep: Duration = "92d"

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs; the URL may hold one.
        return f"WarmSettings(folder={self.folder!r}, prefix={self.prefix!r}, user={self.user!r})"


class ArchiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder of Parquet files; one is sealed at `seal_rows` rows or after `seal_after`.

    With `compact` its writer merges the small files of days that have ended; merged ones are kept
    for `keep_replaced`. With `webhdfs` and `namenodes` (the same NameNodes, one or two) the folder
    lies on HDFS.
    """

    folder: Folder = ".ordertide/archive"
    webhdfs: Addresses | None = None
    namenodes: Addresses | None = None
    user: str = "ordertide"
    seal_rows: AtLeastOne = 100_000
    seal_after: Duration = "60s"
    compact: bool = True
    keep_replaced: Duration = "24h"


class TiersSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tiers together: those that look-ups ask, hottest first, and the options of plug-ins."""

    lookup: Names = "hot,warm,archive"
    options: dict[str, str] = {}


class DeliverySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Order alerts to a channel; an open one stands there for `hold`, renewed every `renew`.

    Without `renew`, Alertmanager's are renewed every minute and a webhook's are not.
    """

    channel: Name = "alertmanager"
    url: Url = "http://127.0.0.1:9093"
    token: str | None = None
    ca_file: File | None = None
    group: str | None = None
    renew: Duration | None = None
    hold: Duration = "5m"
    link: Link = ""
    language: Literal["en", "zh"] = "en"
    options: dict[str, str] = {}


class ActSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The action worker: its outbox in `folder`, its table of kinds and receivers in `actions`.

    `secret` holds a receiver's secret by its name, `private` the hosts and networks (with commas)
    that receivers may have besides public addresses.
    """

    folder: Folder = ".ordertide/act"
    group: str = "ordertide-act"
    actions: File | None = None
    secret: dict[str, str] = {}
    private: str = ""

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"ActSettings({self.folder!r}, group={self.group!r}, actions={self.actions!r})"


class PollSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Carriers that are asked: when they were asked is remembered in `folder`.

    `carriers` are the options of the accounts by `CARRIER.ACCOUNT.OPTION`, `intervals` the times
    between two requests for a parcel, by its status.
    """

    folder: Folder = ".ordertide/poll"
    group: str = "ordertide-poll"
    carriers: dict[str, str] = {}
    intervals: dict[str, str] = {}

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"PollSettings({self.folder!r}, group={self.group!r})"


class ServeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The REST gateway; port 0 is any free one. `parts` are api, board and callbacks.

    `folder` holds the installation's secret and the administrator's key. A host that others reach
    needs TLS, or networks of proxies in `behind_proxy` that do TLS. `carriers` are the options of
    the accounts that carriers push to, by `CARRIER.ACCOUNT.OPTION`. `limits` are rates by class.
    `commands` are the statuses that customers, suppliers and carriers may set, by role, with
    commas. Pages show times in `zone`; `title` and `contact` (a mail address or an address) are
    what customers see of the shop. `examples` are links of the board's "try these", for a
    demonstration.
    """

    host: str = "127.0.0.1"
    port: Port = 8400
    parts: Names = "api,board,callbacks"
    folder: Folder = ".ordertide/serve"
    public_url: Url | None = None
    behind_proxy: str = ""
    tls_certificate: File | None = None
    tls_key: File | None = None
    carriers: dict[str, str] = {}
    limits: dict[str, str] = {}
    commands: dict[str, str] = {}
    title: str = "ordertide"
    contact: str = ""
    zone: str = "UTC"
    examples: dict[str, str] = {}


class MapSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The map of the pages: a provider of tiles or their address; without one, outlines of land.

    `attribution`, `datum` and `max_zoom` belong to an address; a provider brings its own. Browsers
    load the tiles, so `api_key` is in what they get.
    """

    tiles: Tiles = ""
    api_key: str | None = None
    attribution: str = ""
    datum: Literal["GCJ02", "WGS84"] | None = None
    max_zoom: Zoom | None = None

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"MapSettings({self.tiles!r}, datum={self.datum!r}, max_zoom={self.max_zoom!r})"


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sign-in and tokens of an OpenID Connect issuer; there is none without `issuer`.

    With `audience` the API takes the issuer's tokens. `claims` are those that hold the role, the
    tenant, the party and the name, by `role`, `tenant`, `customer`, `supplier`, `carrier` and
    `name`; `roles` are our roles by the issuer's values, and without any these are ours. `tenant`
    is that of a token without the claim, `*` means all. A `session` ends after its time.
    """

    issuer: Url | None = None
    client_id: str | None = None
    client_secret: str | None = None
    audience: str | None = None
    scope: str = "openid profile"
    claims: dict[str, str] = {}
    roles: dict[str, str] = {}
    tenant: str = "default"
    session: Duration = "12h"
    ca: File | None = None

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"OidcSettings({self.issuer!r}, client_id={self.client_id!r})"


class PrivacySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of wrapped keys that seal personal data."""

    keys: File = ".ordertide/keys.json"


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Address of metrics and health checks; port 0 is any free one.

    Logs are `text` or `json`; `auto` is text on a terminal, JSON elsewhere.

    `prometheus` is the server that scrapes them; only `ordertide doctor` queries it. In the folder
    `targets` a process registers the address of its metrics while it runs.
    """

    host: str = "127.0.0.1"
    port: Port = 0
    logs: Literal["auto", "text", "json"] = "auto"
    level: str = "INFO"
    prometheus: Url | None = None
    targets: str | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set; the defaults run on one machine."""

    broker: BrokerSettings = BrokerSettings()
    track: TrackSettings = TrackSettings()
    state: StateSettings = StateSettings()
    hot: HotSettings = HotSettings()
    warm: WarmSettings = WarmSettings()
    archive: ArchiveSettings = ArchiveSettings()
    tiers: TiersSettings = TiersSettings()
    delivery: DeliverySettings = DeliverySettings()
    act: ActSettings = ActSettings()
    poll: PollSettings = PollSettings()
    serve: ServeSettings = ServeSettings()
    map: MapSettings = MapSettings()
    oidc: OidcSettings = OidcSettings()
    privacy: PrivacySettings = PrivacySettings()
    telemetry: TelemetrySettings = TelemetrySettings()


class Sourced(NamedTuple):
    """Settings with the origin of each value; a value without an origin is the default."""

    settings: Settings
    values: Values


KEYS = keys_of(sections_of(Settings))


def read_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a settings file (none: the defaults), and what the environment overrides.

    Raises:
        SettingsError: unreadable, an unknown key (with a suggestion), a value of the wrong type or
            form, a secret in the file: a line for each fault.
    """
    return read_sourced(path, environment).settings


def read_sourced(path: Path | None, environment: Mapping[str, str] = os.environ) -> Sourced:
    """As `read_settings`, with where each value came from."""
    values = read_values(path, environment)
    if faults := [*findings(values, KEYS)]:
        raise SettingsError("\n".join(located(fault, values, path) for fault in faults))
    return sourced(values)


def read_values(path: Path | None, environment: Mapping[str, str] = os.environ) -> Values:
    """Values of the file and the environment, which may have faults.

    Raises:
        SettingsError: the file is no TOML, or a value can't be read at all.
    """
    try:
        values = from_file(path, KEYS) if path else {}
        values |= from_environment(environment, KEYS)
    except SettingsError as error:
        raise SettingsError(printable(masked_text(str(error)))) from error
    for place, given in values.items():
        remember_secrets(".".join(place), given.value)
    return values


def sourced(values: Values) -> Sourced:
    """Settings of values without faults."""
    return Sourced(msgspec.convert(nested(values), Settings, strict=False), values)


def located(fault: Finding, values: Values, path: Path | None) -> str:
    """A fault with its file and line, or with the variable that set the value."""
    given = values.get(fault.place)
    text = printable(masked_text(fault.text))
    if given is None:
        return f"{path or 'settings'}: {text}"
    return f"{path}:{given.line}: {text}" if given.line else f"{given.origin}: {text}"
