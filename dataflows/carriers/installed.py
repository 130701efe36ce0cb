"""Which carrier plug-ins are installed, and how one is opened with its settings."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract

import msgspec

from dataflows.carriers.carrier import Carrier, CarrierConfig
from schemas.errors import SettingsError

GROUP = "ordertide.carriers"


def installed_carriers() -> dict[str, EntryPoint]:
    """Every installed carrier plug-in by its name, sorted; none of them is imported yet.

    Raises:
        SettingsError: two packages bring a plug-in with the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        # An editable install beside a built one lists the same plug-in twice.
        if point.name in found and point.value != found[point.name].value:
            message = (
                f"carrier {point.name}: both {describe(found[point.name])} and {describe(point)} "
                "bring it; uninstall one of them"
            )
            raise SettingsError(message)
        found[point.name] = point
    return found


def open_carrier(name: str, settings: Mapping[str, object]) -> Carrier:
    """The carrier `name` with its settings, as they stand in the settings file.

    Raises:
        SettingsError: it isn't installed, the plug-in is broken, or a setting is wrong.
    """
    installed = installed_carriers()
    if name not in installed:
        message = (
            f"carrier {name}: no such plug-in; installed: {', '.join(installed) or 'none'}. "
            f"A package brings one as an entry point of the group {GROUP}"
        )
        raise SettingsError(message)
    carrier = load_carrier(installed[name])
    try:
        config = msgspec.convert(dict(settings), carrier.Config)
    except msgspec.ValidationError as error:
        message = f"carrier {name}: settings: {error}"
        raise SettingsError(message) from error
    return carrier(config)


def load_carrier(point: EntryPoint) -> type[Carrier]:
    """Import a plug-in and check that it is one.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    try:
        loaded = point.load()
    except Exception as error:
        raise broken(point, f"{type(error).__name__}: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Carrier)):
        raise broken(point, "is no subclass of ordertide.Carrier")
    if isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))
        raise broken(point, f"doesn't implement {missing}")
    if getattr(loaded, "name", None) != point.name:
        raise broken(point, f"is registered as {point.name} but its name isn't that")
    config = getattr(loaded, "Config", None)
    if not (isinstance(config, type) and issubclass(config, CarrierConfig)):
        raise broken(point, "has no Config that extends ordertide.CarrierConfig")
    return loaded


def broken(point: EntryPoint, reason: str) -> SettingsError:
    """The error for a plug-in that can't be used."""
    way_out = "repair or uninstall the package, or take the carrier out of the settings"
    return SettingsError(f"carrier {point.name}: {describe(point)}: {reason}; {way_out}")


def describe(point: EntryPoint) -> str:
    """The object of an entry point and the package that brings it."""
    package = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
    return f"{point.value}{package}"
