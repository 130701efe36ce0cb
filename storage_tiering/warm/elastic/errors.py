"""Elasticsearch's errors in the tiers' words.

Types are those of Elasticsearch 8.19, as its answers name them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from elastic_transport import TlsError
from elasticsearch import ApiError, TransportError, UnsupportedProductError

from schemas.errors import Busy, OrdertideError, Rejected, SettingsError, StateError
from schemas.os_faults import no_answer

RETRY_AFTER_S = 0.5
BLOCKED_RETRY_AFTER_S = 2.0  # an operator has to make room first

REASON_CHARACTERS = 500

TOO_MANY, TOO_LARGE = 429, 413
REFUSED = (401, 403)
PASSING_STATUSES = {408, TOO_MANY, 500, 502, 503, 504}
# These are temporary although their status doesn't show it: a block has 403, a closed index and the
# limit of shards per node have 400, an index that was dropped just now has 404.
PASSING_TYPES = {
    "cluster_block_exception",
    "index_closed_exception",
    "index_not_found_exception",
    "validation_exception",
}
HINTS = {
    "read-only-allow-delete": "the disks are full: make room, then it takes the block away",
    "index write": "an index is read-only: set its index.blocks.write to false",
    "maximum normal shards open": "raise cluster.max_shards_per_node or keep fewer periods",
    "maximum shards open": "raise cluster.max_shards_per_node or keep fewer periods",
}


class Fault(NamedTuple):
    """One `error` in an answer, of a whole request or of one item of it."""

    status: int
    type: str
    reason: str

    @property
    def passes(self) -> bool:
        """Will the same succeed later?"""
        return self.status in PASSING_STATUSES or self.type in PASSING_TYPES


def fault_of(status: int, error: Any) -> Fault:  # noqa: ANN401 - JSON of the server's
    """The fault in an `error` object; what caused it is the more telling part."""
    if not isinstance(error, dict):
        return Fault(status, "", str(error))
    inner = error.get("root_cause") or [error]
    cause = error.get("caused_by") or {}
    reasons = [error.get("reason") or inner[0].get("reason"), cause.get("reason")]
    text = "; ".join(dict.fromkeys(shortened(str(reason)) for reason in reasons if reason))
    # A search that failed on all shards gives the reason only in its root cause.
    kind = str(inner[0].get("type")) if error.get("type", "").startswith("search_phase") else None
    return Fault(status, kind or str(error.get("type", "")), text)


def shortened(reason: str) -> str:
    """Without the documents that Elasticsearch quotes: reasons end up in logs."""
    return reason.partition(", request: [")[0][:REASON_CHARACTERS]


@contextmanager
def answers() -> Iterator[None]:
    """Translate Elasticsearch's errors to `Busy`, `SettingsError` (credentials) or `StateError`."""
    try:
        yield
    except UnsupportedProductError as error:
        raise SettingsError(
            f"[warm] url: {error}; it has to be Elasticsearch of the client's major version"
        ) from error
    except TlsError as error:
        raise SettingsError(
            f"Elasticsearch and TLS: {error.message}; check [warm] ca, and that the certificate "
            "names this host"
        ) from error
    except TransportError as error:
        raise Busy(f"Elasticsearch: {no_answer(error)}", RETRY_AFTER_S) from error
    except ApiError as error:
        body = error.body
        cause = body.get("error", body) if isinstance(body, dict) else body
        raise judged(fault_of(error.status_code, cause or error.message)) from error


def judged(fault: Fault) -> OrdertideError:
    """The error for the fault of a whole request."""
    if fault.passes:
        return busy(fault)
    if fault.status in REFUSED:
        return SettingsError(
            f"Elasticsearch refuses the client: {fault.reason}; check the API key or password of "
            "the warm tier, and its rights (docs/operations.md lists them)"
        )
    if fault.status == TOO_LARGE:
        return Rejected("too_large", "Elasticsearch (or a proxy) takes no request of this size")
    return StateError(
        f"Elasticsearch can't do it: {fault.type}: {fault.reason}; check that no other "
        "program uses the prefix"
    )


def judged_item(fault: Fault) -> OrdertideError:
    """The error for the fault of one record in a bulk; it says nothing about the others."""
    if fault.status == 400 and not fault.passes:  # noqa: PLR2004 - a bad request
        return Rejected("mapping_conflict", f"{fault.type}: {fault.reason}")
    return judged(fault)


def busy(fault: Fault) -> Busy:
    """Wait; with what to do about it where waiting may not be enough."""
    hint = next((hint for sign, hint in HINTS.items() if sign in fault.reason), None)
    is_blocked = fault.type == "cluster_block_exception"
    return Busy(
        f"Elasticsearch: {fault.type or fault.status}: {fault.reason}{f'; {hint}' if hint else ''}",
        BLOCKED_RETRY_AFTER_S if is_blocked else RETRY_AFTER_S,
    )
