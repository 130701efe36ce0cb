"""Log: an action as one line of the worker's log, for a trial and for what people read there."""

import logging

from schemas.display import printable
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest, ReceiverSettings

LOGGER = logging.getLogger("ordertide.actions")


def open_channel(settings: ReceiverSettings) -> ActionChannel:
    """The log, whatever its receiver is called.

    Raises:
        SettingsError: it has options.
    """
    settings.check_options(set())
    return LogChannel()


class LogChannel(ActionChannel):
    """Logs kind, order and rule. It is always there."""

    name = "log"
    needs: frozenset[str] = frozenset()

    def send(self, request: ActionRequest) -> str:
        action = request.action
        LOGGER.info(
            "%s: order %s of tenant %s, requested by rule %s at %s (%s)%s",
            *map(printable, (action.kind, action.order_id, action.tenant, action.rule)),
            *(action.at, action.action_id),
            "".join(f", {printable(str(each))}" for each in told(request)),
        )
        return "logged"

    def fault(self) -> str | None:
        return None

    def close(self) -> None:
        pass


def told(request: ActionRequest) -> list[object]:
    """Amount and subject of an action, as far as it has them."""
    subject = request.message.subject if request.message else None
    return [each for each in (request.amount, subject) if each]
