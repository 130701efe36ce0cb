"""Installed carrier, poller and contact plug-ins, opened with their settings."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from inspect import isabstract
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from dataflows.carriers.carrier import Carrier, CarrierConfig
from dataflows.carriers.contactable import CarrierContact, ContactConfig
from dataflows.carriers.pollable import Pollable, PollConfig
from schemas.errors import SettingsError
from schemas.plugins import CARRIERS, CONTACTS, POLLERS, PluginKind
from schemas.type_faults import type_faults

PARTS = 3  # of a setting's name: carrier, account, option

Config = TypeVar("Config", bound=CarrierConfig | ContactConfig)
Plugin = TypeVar("Plugin", Carrier, Pollable, CarrierContact)


def open_carrier(name: str, settings: Mapping[str, object]) -> Carrier:
    """The carrier `name` with its settings, as they stand in the settings file.

    Raises:
        SettingsError: it isn't installed, the plug-in is broken, or a setting is wrong.
    """
    carrier = load_carrier(CARRIERS.named(name))
    return carrier(converted(settings, carrier.Config, f"carrier {name}"))


def open_poller(name: str, settings: Mapping[str, object]) -> tuple[Pollable, PollConfig]:
    """The poller `name` with its settings, and these.

    Raises:
        SettingsError: as `open_carrier`.
    """
    poller = load_poller(POLLERS.named(name))
    config = converted(settings, poller.Config, f"poller {name}")
    return poller(config), config


def open_contact(name: str, settings: Mapping[str, object]) -> tuple[CarrierContact, ContactConfig]:
    """The contact `name` with its settings, and these.

    Raises:
        SettingsError: as `open_carrier`.
    """
    contact = load_contact(CONTACTS.named(name))
    config = converted(settings, contact.Config, f"contact {name}")
    return contact(config), config


def converted(settings: Mapping[str, object], schema: type[Config], of: str) -> Config:
    """Options as an instance of a plug-in's `Config`.

    Raises:
        SettingsError: one is wrong; names `of`.
    """
    try:
        return msgspec.convert(dict(settings), schema)
    except msgspec.ValidationError as error:
        faults = type_faults(dict(settings), inspect.type_info(schema))
        texts = [": ".join((".".join(map(str, fault.place)), fault.text)) for fault in faults]
        reason = "; ".join(text.removeprefix(": ") for text in texts) or str(error)
        raise SettingsError(f"{of}: {reason}") from error


def load_carrier(point: EntryPoint) -> type[Carrier]:
    """Import a plug-in and check that it is a carrier.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    return loaded_class(CARRIERS, point, Carrier, CarrierConfig)  # type: ignore[type-abstract]  # the base of what is loaded


def load_poller(point: EntryPoint) -> type[Pollable]:
    """Import a plug-in and check that it is a poller.

    Raises:
        SettingsError: as `load_carrier`.
    """
    return loaded_class(POLLERS, point, Pollable, PollConfig)  # type: ignore[type-abstract]  # as above


def load_contact(point: EntryPoint) -> type[CarrierContact]:
    """Import a plug-in and check that it is a contact.

    Raises:
        SettingsError: as `load_carrier`.
    """
    return loaded_class(CONTACTS, point, CarrierContact, ContactConfig)  # type: ignore[type-abstract]  # as above


def loaded_class(
    kind: PluginKind, point: EntryPoint, wanted: type[Plugin], schema: type[msgspec.Struct]
) -> type[Plugin]:
    """The class of an entry point: complete, named as it is registered, with a `Config`.

    Raises:
        SettingsError: it isn't; with the reason.
    """
    loaded = kind.load(point)
    if not (isinstance(loaded, type) and issubclass(loaded, wanted)):
        raise kind.broken(point, f"is no subclass of ordertide.{wanted.__name__}")
    if isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))
        raise kind.broken(point, f"doesn't implement {missing}")
    if getattr(loaded, "name", None) != point.name:
        raise kind.broken(point, f"is registered as {point.name} but its name isn't that")
    config = getattr(loaded, "Config", None)
    if not (isinstance(config, type) and issubclass(config, schema)):
        raise kind.broken(point, f"has no Config that extends ordertide.{schema.__name__}")
    return loaded


def options_of(settings: Mapping[str, str], setting: str) -> dict[tuple[str, str], dict[str, Any]]:
    """{(carrier, account): its options} of a table by dotted names: {`sf.main.token`: …}.

    Raises:
        SettingsError: a name has fewer parts, or a table is set to a text; names `setting`.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, value in settings.items():
        parts = name.split(".", PARTS - 1)
        if len(parts) < PARTS:
            raise SettingsError(
                f"{setting}.{name}: name the carrier, the account and the option, like "
                "sf.main.token"
            )
        carrier, account, option = parts
        options = found.setdefault((carrier, account), {})
        set_option(options, option, value, of=f"{setting}.{name}")
    return found


def set_option(options: dict[str, Any], name: str, value: str, *, of: str) -> None:
    """Set an option by its name; `statuses.777` is an entry of the table `statuses`.

    Raises:
        SettingsError: the table is set to a text already; names `of`.
    """
    table, dot, entry = name.partition(".")
    if not dot:
        options[name] = value
        return
    entries = options.setdefault(table, {})
    if not isinstance(entries, dict):
        raise SettingsError(f"{of}: {table} is set already; remove one of the two")
    entries[entry] = value
