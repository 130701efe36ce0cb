"""A channel into this process's memory: for tests, and a short example of one with batches."""

from collections import deque
from collections.abc import Mapping, Sequence

from schemas.errors import Busy, Rejected
from sinks.actions.channels.action_channel import ActionRequest, BatchChannel


class MemoryChannel(BatchChannel):
    """Keeps every request; `answers` are the errors of the next ones, None for a success.

    `batches` are those that came, each with its name and its action_ids.
    """

    def __init__(self, name: str = "memory", needs: frozenset[str] = frozenset()) -> None:
        """Create a channel that has taken nothing."""
        self.name = name
        self.needs = needs
        self.taken: list[ActionRequest] = []
        self.answers: deque[Busy | Rejected | None] = deque()
        self.batches: list[tuple[str, list[str]]] = []
        self.is_away = False

    def send(self, request: ActionRequest) -> str:
        if self.is_away:
            raise Busy(f"{self.name}: away")
        answer = self.answers.popleft() if self.answers else None
        if answer is not None:
            raise answer
        self.taken.append(request)
        return "taken"

    def send_batch(
        self, batch: str, requests: Sequence[ActionRequest]
    ) -> Mapping[str, str | Busy | Rejected]:
        if self.is_away:
            raise Busy(f"{self.name}: away")
        self.batches.append((batch, [request.action.action_id for request in requests]))
        results: dict[str, str | Busy | Rejected] = {}
        for request in requests:
            try:
                results[request.action.action_id] = self.send(request)
            except (Busy, Rejected) as error:
                results[request.action.action_id] = error
        return results

    def fault(self) -> str | None:
        return None

    def close(self) -> None:
        pass
