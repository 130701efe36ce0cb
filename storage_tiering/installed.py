"""Installed tier plug-ins, opened by the settings.

The entry point of a tier is a function of the settings that returns a `Tier`, without asking
anything of its store yet. The built-in ones are `open_hot`, `open_warm` and `open_archive`.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint

from schemas.errors import SettingsError
from schemas.plugins import TIERS
from schemas.settings.model import Settings
from storage_tiering.tier import Tier

OpenTier = Callable[[Settings], Tier]


def open_tier(name: str, settings: Settings) -> Tier:
    """The tier `name`; nothing is asked of its store yet.

    Raises:
        SettingsError: it isn't installed, the plug-in is broken, or a setting is wrong.
    """
    point = TIERS.named(name)
    tier = load_tier(point)(settings)
    TIERS.check(point, tier, Tier)
    return tier


def load_tier(point: EntryPoint) -> OpenTier:
    """Import the function that opens a tier.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    return TIERS.load_function(point, "Settings")


def lookup_tiers(settings: Settings) -> list[str]:
    """The names of the tiers that look-ups ask, in their order.

    Raises:
        SettingsError: one is named that isn't installed.
    """
    names = [name.strip() for name in settings.tiers.lookup.split(",")]
    for name in names:
        try:
            TIERS.named(name)
        except SettingsError as error:
            raise SettingsError(f"tiers.lookup: {error}") from error
    return names
