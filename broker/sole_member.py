"""The only member of a group: it takes the place of the process before it at once.

For a process that holds the lease of its flow. The static name is the same on every host, so
neither a kill -9 nor a move to another host waits for the end of a session. A process that lost the
lease while it was paused is fenced by the broker. A member may also be fenced by itself: after an
outage librdkafka rejoins, and a heartbeat in flight carries the old id. The lease decides which it
is.
"""

from collections.abc import Callable
from typing import Self

import msgspec

from broker.connect import LOGGER, Connection
from broker.errors import MemberFenced
from broker.fetcher import BATCH_MESSAGES, Message
from broker.group import GroupReader
from broker.membership import STATIC, has_new_protocol
from broker.start_offsets import StartOf
from schemas.errors import Busy

INSTANCE = "sole-member"
Starts = Callable[[], StartOf | None]


class SoleMember:
    """A reader of `topic` as the member of `group`, for one thread.

    `starts` is called whenever it joins, and gives `start_of` of the `GroupReader`. `verify`
    returns if this process may be the member: it raises `LeaseLost`, or `Busy` for later.
    """

    def __init__(
        self,
        connection: Connection,
        group: str,
        topic: str,
        verify: Callable[[], None],
        starts: Starts = lambda: None,
    ) -> None:
        """Create the reader, which joins the group."""
        self._connection = named(connection)
        self._group = group
        self._topic = topic
        self._verify = verify
        self._starts = starts
        self._paused = False
        self._reader = self._joined()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, max_messages: int = BATCH_MESSAGES, timeout_s: float = 0.1) -> list[Message]:
        """The next messages, as `GroupReader.read`; none while it rejoins.

        Raises:
            LeaseLost: another process has taken over. OffsetLost, TopicMissing, BrokerFailed.
        """
        try:
            return self._reader.read(max_messages, timeout_s)
        except MemberFenced as fenced:
            self._rejoin(fenced)
            return []

    def commit(self) -> None:
        """Store the position after everything that `read` has handed out.

        Raises:
            Busy: not now; also of a member that was fenced, which `read` lets rejoin.
            BrokerFailed, OffsetLost, TopicMissing.
        """
        try:
            self._reader.commit()
        except MemberFenced as fenced:
            raise Busy(str(fenced), 0.1) from fenced

    def pause(self) -> None:
        """Fetch nothing more, stay a member."""
        self._paused = True
        self._reader.pause()

    def resume(self) -> None:
        """Resume after `pause`."""
        self._paused = False
        self._reader.resume()

    def _rejoin(self, fenced: MemberFenced) -> None:
        try:
            self._verify()
        except Busy as busy:
            LOGGER.info("%s: waiting: %s", fenced, busy.reason)
            return
        LOGGER.warning("%s; this process holds the lease, and rejoins", fenced)
        self._reader.close()
        self._reader = self._joined()
        if self._paused:
            self._reader.pause()

    def _joined(self) -> GroupReader:
        return GroupReader(self._connection, self._group, [self._topic], start_of=self._starts())


def named(connection: Connection) -> Connection:
    """The connection with the static name, where it helps.

    An embedded broker knows no static members. A broker of KIP-848 refuses the name until the
    session of its former member has ended.
    """
    if connection.embedded or has_new_protocol(connection):
        return connection
    properties = {**connection.properties, STATIC: INSTANCE}
    return msgspec.structs.replace(connection, properties=properties)
