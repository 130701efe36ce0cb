"""Progress of the warm tier: one document whose version is its instant.

Elasticsearch takes a version only if it is higher than the one held, so with several writers, in
any order, it never decreases.
"""

from elasticsearch import Elasticsearch, NotFoundError

from schemas.instants import format_instant
from storage_tiering.warm.elastic.errors import answers
from storage_tiering.warm.elastic.periods import Names, Periods

STREAM = "stream"
CONFLICT = 409


class Progress:
    """The document `stream` in the tier's progress index."""

    def __init__(self, client: Elasticsearch, names: Names, periods: Periods) -> None:
        self.client = client
        self.names = names
        self._periods = periods
        self._noted: int | None = None

    def watermark(self) -> int | None:
        """Everything up to this instant (ms) is in the tier; None before the first note.

        A get by id sees what was written last, refreshed or not.
        """
        with answers():
            try:
                held = self.client.get(index=self.names.progress, id=STREAM, source=False)
            except NotFoundError:  # no note, or no index yet
                return None
            return int(held["_version"])

    def forget(self) -> None:
        """Note it again even if it is the same: the index may have gone."""
        self._noted = None

    def note(self, watermark_ms: int) -> None:
        """Note that everything up to this instant is in the tier."""
        if watermark_ms == self._noted:
            return
        self._periods.ensure([self.names.progress])
        instant = format_instant(watermark_ms)
        with answers():
            # A conflict: another writer is as far, or further.
            self.client.options(ignore_status=CONFLICT).index(
                index=self.names.progress,
                id=STREAM,
                version=watermark_ms,
                version_type="external",
                document={"@timestamp": instant, "watermark_at": instant},
            )
        self._noted = watermark_ms
