"""Bulk requests to Elasticsearch, and the outcome of each record."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk

from schemas.errors import Busy, OrdertideError, Rejected, SettingsError, StateError
from storage_tiering.warm.elastic import periods as elastic_periods
from storage_tiering.warm.elastic.documents import Action
from storage_tiering.warm.elastic.errors import answers, fault_of, judged_item

CHUNK_ACTIONS = 1_000
CHUNK_BYTES = 8_000_000  # the server's own limit is 100 MB, a proxy's is often 10
CREATED = 201
NOT_FOUND = 404  # of a document to be removed; of an index it comes with an error
CONFLICT = 409  # the version held is as new, or the event is there: as it should be
# Only when no record has to wait is it known that the others of a batch were taken.
PRECEDENCE = (SettingsError, StateError, Busy, Rejected)


def send(
    client: Elasticsearch, actions: Sequence[Action], created: Counter[str] | None = None
) -> None:
    """Write them all; `created` counts the new documents of each index.

    Raises:
        SettingsError: we may not write there.
        Busy: some were not taken, and may be later: write the batch again.
        Rejected: all others were taken, and this one (there may be more) never will be.
    """
    with answers():
        faults = [*refusals(client, actions, Counter() if created is None else created)]
    for kind in PRECEDENCE:
        for fault in faults:
            if isinstance(fault, kind):
                raise fault


def refusals(
    client: Elasticsearch, actions: Iterable[Action], created: Counter[str]
) -> Iterator[OrdertideError]:
    """The errors of the records that were not taken; counts those that are new."""
    for is_taken, answer in streaming_bulk(
        client,
        ({"action": action} for action in actions),
        expand_action_callback=lines_of,
        chunk_size=CHUNK_ACTIONS,
        max_chunk_bytes=CHUNK_BYTES,
        raise_on_error=False,
        timeout=elastic_periods.SHARD_TIMEOUT,
    ):
        (item,) = answer.values()
        created[item["_index"]] += item["status"] == CREATED
        if is_taken or (item["status"] == NOT_FOUND and "error" not in item):
            continue
        if item["status"] != CONFLICT:
            yield judged_item(fault_of(item["status"], item["error"]))


def lines_of(given: Any) -> tuple[dict[str, Any], bytes | None]:  # noqa: ANN401 - the helper's own type
    """The lines of an action, in the helper's format: a removal has one. Bytes stay unchanged."""
    action: Action = given["action"]
    return action.header, action.body or None
