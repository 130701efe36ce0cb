"""Addresses of the running stack's servers, for the tests that share them.

A test that uses them carries `@pytest.mark.stack` and keeps to a namespace of its own, so that
tests may run side by side and after each other on the same servers.
"""

import json
import os
import secrets
import socket
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / ".stack" / "stack.json"
REQUIRE_VARIABLE = "ORDERTIDE_REQUIRE_STACK"
CONNECT_TIMEOUT_S = 20.0  # a busy server accepts late


def address(name: str) -> dict[str, str]:
    """A running server's addresses by name, as `ordertide stack up` wrote them.

    Where it doesn't run, the test is skipped; with ORDERTIDE_REQUIRE_STACK=1 it fails.
    """
    recorded: dict[str, dict[str, str]] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if name not in recorded:
        _without(f"{name} was not started")
    for place in recorded[name].values():
        if ":" in place and not _listens(place):
            _without(f"{name} doesn't listen at {place}")
    return recorded[name]


def namespace() -> str:
    """A new name for a test's topics, keys, indices and folders: a letter, then lower-case hex."""
    return f"t{secrets.token_hex(4)}"


def _without(reason: str) -> NoReturn:
    way_out = f"{reason}: run 'ordertide stack up' in {ROOT.name}/"
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"{way_out} ({REQUIRE_VARIABLE}=1)")
    pytest.skip(way_out)


def _listens(place: str) -> bool:
    """Return True if a server listens at a URL or at host:port."""
    parts = urlsplit(place if "//" in place else f"//{place}")
    try:
        with socket.create_connection((parts.hostname, parts.port), CONNECT_TIMEOUT_S):
            return True
    except ConnectionRefusedError:
        return False
