"""The native step (dataflows/native), where it is installed."""

import importlib
import logging
from functools import cache
from types import ModuleType

LOGGER = logging.getLogger("ordertide.track")


@cache
def native() -> ModuleType | None:
    """The module of `ordertide-native`; None where it isn't installed."""
    try:
        module = importlib.import_module("ordertide_native")
    except ModuleNotFoundError:
        LOGGER.info("without the native step: `make native` installs it, for twice the rate")
        return None
    LOGGER.info("with the native step")
    return module
