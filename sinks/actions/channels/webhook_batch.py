"""Batch of a webhook: the body of one request with several actions, and the results in its answer.

    {"type": "actions", "timestamp": "2026-11-30T14:02:11.480Z",
     "data": {"actions": [{"type": "action.contact_carrier", "timestamp": …, "data": {…}}, …]}}

    {"results": [{"action_id": …, "result": "done"},
                 {"action_id": …, "result": "failed", "reason": …, "retry_after": 600},
                 {"action_id": …, "result": "refused", "reason": …}]}

Pure: bytes in, bytes out. Each action of a body is what would be sent of it alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from schemas.display import printable
from schemas.errors import Busy, Rejected
from sinks.actions.channels.action_channel import ActionRequest, BatchFailed
from sinks.actions.channels.http_receiver import LONGEST_RETRY_AFTER_S, SHOWN_CHARACTERS

TYPE = "actions"
ENVELOPE_BYTES = 100  # of a body around its actions
# Read of an answer for each action: a result has an id of 32 characters and a reason.
ANSWER_BYTES_EACH = 1_000
RESULTS = "done, failed and refused"


class ResultRow(msgspec.Struct, frozen=True):
    """Result of an action in an answer: done, failed (for now) or refused (for good)."""

    action_id: str
    result: str
    reason: str = ""
    retry_after: float = 0.0  # s

    @property
    def retry_after_s(self) -> float:
        """The delay before the next attempt that is kept: at least a second, a day at most."""
        return min(max(self.retry_after, 1.0), LONGEST_RETRY_AFTER_S)


class Report(msgspec.Struct, frozen=True):
    """Answer of a receiver, with a result for each action."""

    results: list[ResultRow]


REPORT = msgspec.json.Decoder(Report)


def batch_body(requests: Sequence[ActionRequest], bodies: Sequence[bytes]) -> bytes:
    """The body of a batch with the bodies of its actions; the same for the same actions."""
    fields = {
        "type": TYPE,
        "timestamp": max(request.action.at for request in requests),
        "data": {"actions": [msgspec.Raw(body) for body in bodies]},
    }
    return msgspec.json.encode(fields)


def count_fitting(bodies: Sequence[bytes], most_bytes: int) -> int:
    """Number of the bodies, from the first on, that one request takes: at least one."""
    size_bytes = ENVELOPE_BYTES
    for number, body in enumerate(bodies):
        size_bytes += len(body) + 1
        if size_bytes > most_bytes:
            return max(number, 1)
    return len(bodies)


def results_of(
    host: str, status: int, text: str, action_ids: Sequence[str]
) -> Mapping[str, str | Busy | Rejected]:
    """The result of each action by an answer of 2xx; without JSON it has all of them.

    Raises:
        BatchFailed: it is JSON, and no list of results.
    """
    shown = printable(text[:SHOWN_CHARACTERS])
    if not text.startswith(("{", "[")):
        return dict.fromkeys(action_ids, f"{status} {shown}".strip())
    try:
        rows = REPORT.decode(text).results
    except (msgspec.DecodeError, RecursionError) as error:
        raise BatchFailed(
            f"{host}: answers {status} {shown}, which is no list of results ({error})"
        ) from error
    counts = Counter(row.action_id for row in rows)
    found = {row.action_id: row for row in rows if counts[row.action_id] == 1}
    return {each: result_of(host, status, found.get(each)) for each in action_ids}


def result_of(host: str, status: int, row: ResultRow | None) -> str | Busy | Rejected:
    """The result of an action by its row; None where the answer has none, or several."""
    if row is None:
        return Busy(f"{host}: answers {status} without one result of this action")
    reason = printable(row.reason[:SHOWN_CHARACTERS])
    shown = f"{host}: answers {row.result}: {reason}" if reason else f"{host}: answers {row.result}"
    match row.result:
        case "done":
            return f"{status} {reason}".strip()
        case "failed":
            return Busy(shown, row.retry_after_s)
        case "refused":
            return Rejected("refused", shown)
    result = printable(row.result[:SHOWN_CHARACTERS])
    return Busy(f"{host}: answers {result!r} for this action; results are {RESULTS}")
