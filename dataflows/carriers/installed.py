"""Installed carrier plug-ins, opened with their settings."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from inspect import isabstract
from typing import Any

import msgspec
from msgspec import inspect

from dataflows.carriers.carrier import Carrier, CarrierConfig
from schemas.errors import SettingsError
from schemas.plugins import CARRIERS
from schemas.type_faults import type_faults


def open_carrier(name: str, settings: Mapping[str, object]) -> Carrier:
    """The carrier `name` with its settings, as they stand in the settings file.

    Raises:
        SettingsError: it isn't installed, the plug-in is broken, or a setting is wrong.
    """
    carrier = load_carrier(CARRIERS.named(name))
    try:
        config = msgspec.convert(dict(settings), carrier.Config)
    except msgspec.ValidationError as error:
        faults = type_faults(dict(settings), inspect.type_info(carrier.Config))
        texts = [": ".join((".".join(map(str, fault.place)), fault.text)) for fault in faults]
        reason = "; ".join(text.removeprefix(": ") for text in texts) or str(error)
        raise SettingsError(f"carrier {name}: {reason}") from error
    return carrier(config)


def load_carrier(point: EntryPoint) -> type[Carrier]:
    """Import a plug-in and check that it is a carrier.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    loaded = CARRIERS.load(point)
    if not (isinstance(loaded, type) and issubclass(loaded, Carrier)):
        raise CARRIERS.broken(point, "is no subclass of ordertide.Carrier")
    if isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))
        raise CARRIERS.broken(point, f"doesn't implement {missing}")
    if getattr(loaded, "name", None) != point.name:
        raise CARRIERS.broken(point, f"is registered as {point.name} but its name isn't that")
    config = getattr(loaded, "Config", None)
    if not (isinstance(config, type) and issubclass(config, CarrierConfig)):
        raise CARRIERS.broken(point, "has no Config that extends ordertide.CarrierConfig")
    return loaded


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
