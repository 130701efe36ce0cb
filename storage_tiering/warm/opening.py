"""The warm tier, opened by the settings: on Elasticsearch or in SQLite."""

from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import SettingsError
from schemas.instants import parse_duration
from schemas.settings.model import Settings
from storage_tiering.tier import Tier
from storage_tiering.warm.sqlite.tier import SqliteTier

if TYPE_CHECKING:
    from storage_tiering.warm.elastic.tier import ElasticTier


def open_warm(settings: Settings) -> Tier:
    """Elasticsearch where its URL is set, else a folder with a SQLite file per month."""
    if settings.warm.url:
        return open_elastic(settings)
    return SqliteTier(
        Path(settings.warm.folder), parse_duration(settings.warm.keep, of="warm.keep")
    )


def open_elastic(settings: Settings, *, timeout_s: float = 30.0) -> "ElasticTier":
    """The warm tier on Elasticsearch; nothing is queried yet.

    Raises:
        SettingsError: no URL, one that can't be used, or its client is not installed.
    """
    warm = settings.warm
    if not warm.url:
        raise SettingsError("warm.url is not set: the warm tier is SQLite and needs nothing")
    try:  # 0.65 s: only where it is used
        from storage_tiering.warm.elastic import access as elastic_access  # noqa: PLC0415 - an extra
        from storage_tiering.warm.elastic import tier as elastic  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(f"warm.url: {error}; pip install 'ordertide[elasticsearch]'") from error
    access = elastic_access.Access(
        api_key=warm.api_key,
        user=warm.user,
        password=warm.password,
        ca=warm.ca,
        timeout_s=timeout_s,
    )
    client = elastic_access.connect(warm.url, access)
    return elastic.ElasticTier(client, warm.prefix, parse_duration(warm.keep, of="warm.keep"))
