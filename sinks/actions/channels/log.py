"""Log: an action as one line of the worker's log, for a trial and for what people read there."""

import logging

from schemas.display import printable
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest
from sinks.actions.table import ReceiverRow

LOGGER = logging.getLogger("ordertide.actions")


def open_channel(_name: str, _row: ReceiverRow) -> ActionChannel:
    """The log, whatever its receiver is called."""
    return LogChannel()


class LogChannel(ActionChannel):
    """Logs kind, order and rule. It is always there."""

    name = "log"

    def send(self, request: ActionRequest) -> str:
        action = request.action
        LOGGER.info(
            "%s: order %s of tenant %s, requested by rule %s at %s (%s)",
            *map(printable, (action.kind, action.order_id, action.tenant, action.rule)),
            *(action.at, action.action_id),
        )
        return "logged"

    def close(self) -> None:
        pass
