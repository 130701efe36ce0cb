"""Plug-ins of packages, as entry points: of carriers, tiers and channels."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from schemas.errors import SettingsError


class PluginKind(NamedTuple):
    """One kind of plug-in: its name in sentences, and the group of its entry points."""

    noun: str
    group: str

    def installed(self) -> dict[str, EntryPoint]:
        """Every installed plug-in by its name, sorted; none of them is imported yet.

        Raises:
            SettingsError: two packages bring a plug-in with the same name.
        """
        found: dict[str, EntryPoint] = {}
        for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
            # An editable install beside a built one lists the same plug-in twice.
            if point.name in found and point.value != found[point.name].value:
                raise SettingsError(
                    f"{self.noun} {point.name}: both {describe(found[point.name])} and "
                    f"{describe(point)} bring it; uninstall one of them"
                )
            found[point.name] = point
        return found

    def named(self, name: str) -> EntryPoint:
        """The installed plug-in `name`.

        Raises:
            SettingsError: it isn't installed.
        """
        installed = self.installed()
        if name not in installed:
            raise SettingsError(
                f"{self.noun} {name}: no such plug-in; installed: {', '.join(installed) or 'none'}."
                f" A package brings one as an entry point of the group {self.group}"
            )
        return installed[name]

    def load(self, point: EntryPoint) -> object:
        """Import the object of an entry point.

        Raises:
            SettingsError: names the plug-in, the package it came with, the reason and the remedy.
        """
        try:
            loaded: object = point.load()
        except Exception as error:
            raise self.broken(point, f"{type(error).__name__}: {error}") from error
        return loaded

    def load_function(self, point: EntryPoint, takes: str) -> Callable[..., Any]:
        """Import the function that opens a plug-in from the settings that it `takes`.

        Raises:
            SettingsError: it can't be imported, or is none.
        """
        loaded = self.load(point)
        if not callable(loaded):
            raise self.broken(point, f"is no function that takes {takes} and returns a {self.noun}")
        return loaded

    def check(self, point: EntryPoint, plugin: object, protocol: type) -> None:
        """Check what such a function has opened.

        Raises:
            SettingsError: it lacks a member of the Protocol, or has another name.
        """
        if missing := missing_members(plugin, protocol):
            raise self.broken(point, f"its {self.noun} doesn't implement {', '.join(missing)}")
        name = getattr(plugin, "name", None)
        if name != point.name:
            reason = f"is registered as {point.name} but its {self.noun} is called {name}"
            raise self.broken(point, reason)

    def broken(self, point: EntryPoint, reason: str) -> SettingsError:
        """The error for a plug-in that can't be used."""
        remedy = f"repair or uninstall the package, or take the {self.noun} out of the settings"
        return SettingsError(f"{self.noun} {point.name}: {describe(point)}: {reason}; {remedy}")


CARRIERS = PluginKind("carrier", "ordertide.carriers")
POLLERS = PluginKind("poller", "ordertide.pollers")
CONTACTS = PluginKind("contact", "ordertide.contacts")
TIERS = PluginKind("tier", "ordertide.tiers")
CHANNELS = PluginKind("channel", "ordertide.channels")
ACTION_CHANNELS = PluginKind("action channel", "ordertide.action_channels")


def describe(point: EntryPoint) -> str:
    """The object of an entry point and the package that brings it."""
    package = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
    return f"{point.value}{package}"


def missing_members(plugin: object, protocol: type) -> list[str]:
    """The public members of a Protocol that a plug-in's object lacks."""
    members = {*vars(protocol), *vars(protocol).get("__annotations__", {})}
    return sorted(
        name for name in members if not name.startswith("_") and not hasattr(plugin, name)
    )
