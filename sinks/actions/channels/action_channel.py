"""Action channel: the port of the worker; `tests/contracts/test_action_channels.py` defines it."""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol, runtime_checkable

import msgspec

from schemas.alert import Action
from schemas.display import printable
from schemas.errors import Busy, Rejected, SettingsError
from schemas.order import ShipmentView
from schemas.type_faults import choice
from sinks.actions.amounts import Amount
from sinks.actions.batches import BatchRow
from sinks.actions.messages.messages import Message
from sinks.actions.recipient import Recipient

SECRETS = "ORDERTIDE_ACT_SECRET"


class ActionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """ActionRequest to a receiver: the action, on its n-th attempt (from 1).

    `sent_at` is the wall clock in ms. The action's `action_id` is the idempotency key: the same on
    every attempt. `amount` is that of a compensation, `message` what a customer is written, to the
    `recipient`, who has the fields that the channel needs; `parcel` is there for a channel that
    needs it, with its carrier.
    """

    action: Action
    attempt: int
    sent_at: int
    amount: Amount | None = None
    message: Message | None = None
    recipient: Recipient = Recipient()
    parcel: ShipmentView | None = None

    @property
    def subject(self) -> str:
        """Subject of the message, else kind and order."""
        if self.message:
            return printable(self.message.subject)
        return printable(f"{self.action.kind}: order {self.action.order_id}")

    @property
    def text(self) -> str:
        """Text of the message, else the action in lines; the same on every attempt."""
        if self.message:
            return self.message.text
        action = self.action
        lines = {
            "order": action.order_id,
            "tenant": action.tenant,
            "kind": action.kind,
            "rule": action.rule,
            "requested at": action.at,
            "void after": action.expires_at,
            "because": f"{action.because.last_event} at {action.because.last_event_at}",
            "action": action.action_id,
        }
        if self.amount:
            lines["amount"] = f"{self.amount}, {self.amount.late} late"
        return "".join(f"{name}: {printable(text)}\n" for name, text in lines.items())


class ReceiverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a receiver: its row's options, its secret, and what `act.private` allows.

    `batch` is there if its actions are sent in batches.

    `variable` is the environment variable of the secret.
    """

    name: str
    options: dict[str, str] = {}
    secret: str | None = None
    private: str = ""
    batch: BatchRow | None = None

    def __repr__(self) -> str:
        # Secrets stay out of tracebacks and logs.
        return f"ReceiverSettings({self.name!r})"

    @property
    def variable(self) -> str:
        """The environment variable of the secret."""
        return f"{SECRETS}_{re.sub(r'[^A-Z0-9]', '_', self.name.upper())}"

    def check_options(self, known: set[str], required: AbstractSet[str] = frozenset()) -> None:
        """Check the options' names.

        Raises:
            SettingsError: one is unknown, or a required one is missing.
        """
        for name in self.options:
            if name not in known:
                raise SettingsError(f"{name}: unknown option; {choice(name, sorted(known))}")
        for name in sorted(required - self.options.keys()):
            raise SettingsError(f"{name} is missing; write it under options")


class ActionChannel(Protocol):
    """One receiver. `send` is called from several threads at once.

    `needs` are the fields of a customer's personal data that it needs (`recipient.FIELDS`), and
    `parcel` if it needs the parcel that the action is about.
    """

    name: str
    needs: frozenset[str]

    def send(self, request: ActionRequest) -> str:
        """Hand the action over; return what the receiver answered, for the order's timeline.

        Raises:
            Busy: not now, or no answer: it may have arrived. The same is sent again later.
            Rejected: never; the action becomes a dead letter.
        """
        ...

    def fault(self) -> str | None:
        """Return a fault that shows without sending anything, such as a forbidden address."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class BatchFailed(Busy):
    """A batch failed as a whole, perhaps by one of its actions: it is divided if it fails again."""


@runtime_checkable
class BatchChannel(ActionChannel, Protocol):
    """A receiver that takes several actions in one request."""

    def send_batch(
        self, batch: str, requests: Sequence[ActionRequest]
    ) -> Mapping[str, str | Busy | Rejected]:
        """Hand actions over; return by `action_id` what `send` would have returned or raised.

        An action that is left out was not sent, such as one that is too large for the request; the
        first one always is. `batch` is the same when the same actions are sent again because the
        request failed, and another otherwise.

        Raises:
            Busy: not now, or no answer: some may have arrived. The same are sent again later.
            BatchFailed: the same, and perhaps one of the actions is the reason.
            Rejected: never in this batch; it is divided, until the action to blame is alone.
        """
        ...
