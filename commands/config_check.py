"""Checks of a settings file that need no server."""

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

from commands.deliver import plan_of
from commands.wiring.calendars import MARGIN_MS
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.local_folders import local_folders
from commands.wiring.process import now_ms
from dataflows.cluster.multi_host import hosts_of
from dataflows.core.calendar_ends import ending_calendars
from dataflows.core.trials import trial_faults
from schemas.errors import SettingsError
from schemas.plugins import CHANNELS
from schemas.settings.model import Settings, read_settings
from schemas.topics import ORDERS_CHANGES
from storage_tiering.archive.opening import archive_files
from storage_tiering.installed import lookup_tiers
from telemetry.log import LEVELS


def config_faults(path: Path | None) -> list[str]:
    """Each fault as a line that names the file."""
    try:
        settings = read_settings(path)
    except SettingsError as error:
        return str(error).splitlines()
    return [f"{path or 'settings'}: {fault}" for check in CHECKS for fault in check(settings)]


def table_faults(settings: Settings) -> Iterator[str]:
    """The lifecycle, and the rules over it."""
    try:
        table = lifecycle_of(settings)
    except SettingsError as error:
        yield f"track.lifecycle: {error}"
        return
    try:
        rules = rules_of(settings, table)
    except SettingsError as error:
        yield f"track.rules: {error}"
        return
    for fault in trial_faults(rules, table):
        yield f"track.rules: {settings.track.rules}: {fault}"
    if settings.track.clock == "broker":
        for fault in ending_calendars(rules, now_ms() + MARGIN_MS):
            yield f"track.rules: {fault}"


def folder_faults(settings: Settings) -> Iterator[str]:
    """Folders that are none, and folders that two parts would share."""
    folders = local_folders(settings)
    for name, folder in folders.items():
        if Path(folder).exists() and not Path(folder).is_dir():
            yield f"{name}: {folder} is a file; name a folder"
    for (one, folder), (other, same) in combinations(folders.items(), 2):
        if Path(folder).resolve() == Path(same).resolve():
            yield f"{one} and {other} are the same folder, {folder}; give each its own"
    if Path(settings.privacy.keys).is_dir():
        yield f"privacy.keys: {settings.privacy.keys} is a folder; name a file"


def host_faults(settings: Settings) -> Iterator[str]:
    """Many hosts with settings that don't fit them."""
    if settings.track.hosts:
        try:
            hosts_of(settings)
        except SettingsError as error:
            yield str(error)


def level_faults(settings: Settings) -> Iterator[str]:
    """A log level that there isn't."""
    if settings.telemetry.level.lower() not in LEVELS:
        level = settings.telemetry.level
        yield f"telemetry.level: {level!r} is none; choose one of {', '.join(LEVELS)}"


def delivery_faults(settings: Settings) -> Iterator[str]:
    """Alerts that would run out before they are renewed, or a channel that isn't installed."""
    try:
        plan_of(settings.delivery, ORDERS_CHANGES)
    except SettingsError as error:
        yield str(error)
    try:
        CHANNELS.named(settings.delivery.channel)
    except SettingsError as error:
        yield f"delivery.channel: {error}"


def tier_faults(settings: Settings) -> Iterator[str]:
    """Tiers for look-ups that aren't installed."""
    try:
        lookup_tiers(settings)
    except SettingsError as error:
        yield str(error)


def archive_faults(settings: Settings) -> Iterator[str]:
    """HDFS named by half, without its client, or with a folder that isn't absolute."""
    try:
        archive_files(settings)
    except SettingsError as error:
        yield str(error)


Check = Callable[[Settings], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    table_faults,
    folder_faults,
    host_faults,
    archive_faults,
    level_faults,
    delivery_faults,
    tier_faults,
)
