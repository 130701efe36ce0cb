"""Action channel: the port of the worker; `tests/contracts/test_action_channels.py` defines it."""

from typing import Protocol

import msgspec

from schemas.alert import Action


class ActionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """ActionRequest to a receiver: the action, on its n-th attempt (from 1).

    `sent_at` is the wall clock in ms. The action's `action_id` is the idempotency key: the same on
    every attempt.
    """

    action: Action
    attempt: int
    sent_at: int


class ActionChannel(Protocol):
    """One receiver. `send` is called from several threads at once."""

    name: str

    def send(self, request: ActionRequest) -> str:
        """Hand the action over; return what the receiver answered, for the order's timeline.

        Raises:
            Busy: not now, or no answer: it may have arrived. The same is sent again later.
            Rejected: never; the action becomes a dead letter.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
