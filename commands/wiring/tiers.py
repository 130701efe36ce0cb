"""The installed tiers, opened by the settings; hottest first."""

from collections.abc import Iterable
from pathlib import Path

from schemas.settings.model import Settings
from storage_tiering.installed import lookup_tiers, open_tier
from storage_tiering.tier import Tier

BUILT_IN = ("hot", "warm", "archive")


def writer_group(tier: str) -> str:
    """The consumer group of a tier's writers."""
    return f"ordertide-write-{tier}"


def all_tiers(settings: Settings) -> list[str]:
    """Every tier that may hold records: the built-in ones, and what look-ups ask besides."""
    return [*dict.fromkeys([*BUILT_IN, *lookup_tiers(settings)])]


def written_tiers(settings: Settings, names: Iterable[str]) -> dict[str, Tier]:
    """The tiers for reading. One whose folder is missing is left out: reading creates nothing."""
    folders = {}
    if not settings.warm.url:
        folders["warm"] = settings.warm.folder
    if not settings.archive.webhdfs:
        folders["archive"] = settings.archive.folder
    return {
        name: open_tier(name, settings)
        for name in names
        if name not in folders or Path(folders[name]).is_dir()
    }
