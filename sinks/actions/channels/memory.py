"""A channel into this process's memory: for tests, and the shortest example of a channel."""

from collections import deque

from schemas.errors import Busy, Rejected
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest


class MemoryChannel(ActionChannel):
    """Keeps every request; `answers` are the errors of the next ones, None for a success."""

    def __init__(self, name: str = "memory", needs: frozenset[str] = frozenset()) -> None:
        """Create a channel that has taken nothing."""
        self.name = name
        self.needs = needs
        self.taken: list[ActionRequest] = []
        self.answers: deque[Busy | Rejected | None] = deque()
        self.is_away = False

    def send(self, request: ActionRequest) -> str:
        if self.is_away:
            raise Busy(f"{self.name}: away")
        answer = self.answers.popleft() if self.answers else None
        if answer is not None:
            raise answer
        self.taken.append(request)
        return "taken"

    def fault(self) -> str | None:
        return None

    def close(self) -> None:
        pass
