"""Callback of the demo: its own account of the carrier `rest`, and the command that posts to it.

The generic carrier takes a scan as JSON from whoever knows the account's key, which is the last
part of the address.
"""

import shlex
from secrets import token_urlsafe
from typing import NamedTuple

import msgspec

from commands.demo.feed import SEED
from commands.demo.telling import delivered

CARRIER, ACCOUNT = "rest", "demo"
KEY_VARIABLE = f"ORDERTIDE_SERVE_CARRIERS_{CARRIER}_{ACCOUNT}_TOKEN".upper()
KEY_BYTES = 12
JSON = "content-type: application/json"


class CarrierAccount(NamedTuple):
    """The account's key; a secret, so the gateway gets it by its environment."""

    key: str

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which the gateway opens the account."""
        return {KEY_VARIABLE: self.key}

    def command(self, origin: str, at: int) -> str:
        """The command that posts: the late order was delivered at `at` (ms).

        `origin` is the gateway's address.
        """
        address = f"{origin}/v1/carriers/{CARRIER}/{ACCOUNT}/callback/{self.key}"
        body = msgspec.json.encode(delivered(SEED, at)).decode()
        return f"curl -H {shlex.quote(JSON)} -d {shlex.quote(body)} {shlex.quote(address)}"


def new_account() -> CarrierAccount:
    """An account with a new key."""
    return CarrierAccount(token_urlsafe(KEY_BYTES))
