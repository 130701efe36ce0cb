"""Settings: one TOML file, every key overridable by environment.

`ORDERTIDE_TRACK_CLOCK=recorded` overrides `clock` under `[track]`. Unknown keys are errors. Secrets
(passwords in `broker.properties` or in URLs) belong into the environment, not into the file.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from schemas.errors import SettingsError

PREFIX = "ORDERTIDE_"


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`bootstrap` is host:port (several with commas); `properties` are librdkafka's."""

    bootstrap: str = "127.0.0.1:9092"
    properties: dict[str, str] = {}
    embedded: bool = False


class TrackSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The dataflow. `clock` is `broker` or, for recorded history, `recorded`."""

    clock: Literal["broker", "recorded"] = "broker"
    folder: str = ".ordertide/track"
    workers: int = 1
    group: str = "ordertide-track"
    epoch_ms: int = 200
    margin_ms: int = 500
    rules: str | None = None
    lifecycle: str | None = None


class HotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Redis. `keep` counts on the stream clock."""

    url: str = "redis://127.0.0.1:6379/0"
    prefix: str = "ordertide"
    keep: str = "72h"


class WarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The warm store: a folder with a SQLite file per period. `keep` is on the stream clock."""

    folder: str = ".ordertide/warm"
    keep: str = "92d"


class ArchiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder of Parquet files; one is sealed at `seal_rows` rows or after `seal_after`."""

    folder: str = ".ordertide/archive"
    seal_rows: int = 100_000
    seal_after: str = "60s"


class PrivacySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of wrapped keys that seal personal data."""

    keys: str = ".ordertide/keys.json"


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where metrics and health answer; port 0 is any free one. Logs as `text` or `json`."""

    host: str = "127.0.0.1"
    port: int = 0
    logs: Literal["text", "json"] = "json"
    level: str = "INFO"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set; the defaults run on one machine."""

    broker: BrokerSettings = BrokerSettings()
    track: TrackSettings = TrackSettings()
    hot: HotSettings = HotSettings()
    warm: WarmSettings = WarmSettings()
    archive: ArchiveSettings = ArchiveSettings()
    privacy: PrivacySettings = PrivacySettings()
    telemetry: TelemetrySettings = TelemetrySettings()


def read_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a settings file (none: the defaults), and what the environment overrides.

    Raises:
        SettingsError: unreadable, an unknown key (with a suggestion), or a value of the wrong type.
    """
    name = str(path) if path else "settings"
    try:
        table = tomllib.loads(path.read_text("utf-8")) if path else {}
        override(table, environment)
        return msgspec.convert(table, Settings, strict=False)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{name}: {error}"
        raise SettingsError(message) from error
    except msgspec.ValidationError as error:
        message = f"{name}: {error}{suggestion(str(error))}"
        raise SettingsError(message) from error


def override(table: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Put `ORDERTIDE_SECTION_KEY=value` into the table; other variables are not ours."""
    for section in Settings.__struct_fields__:
        start = f"{PREFIX}{section.upper()}_"
        for variable, value in environment.items():
            if variable.startswith(start):
                table.setdefault(section, {})[variable[len(start) :].lower()] = value


def suggestion(reason: str) -> str:
    """`; did you mean KEY?` for an unknown key that is close to a known one."""
    if "unknown field" not in reason:
        return ""
    unknown = reason.split("`")[1]
    sections = {f.name: f.type for f in msgspec.structs.fields(Settings)}
    known = [
        *sections,
        *(key for section in sections.values() for key in section.__struct_fields__),
    ]
    close = difflib.get_close_matches(unknown, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
