"""A broker for demos and quick tests, from the confluent-kafka wheel alone.

It is librdkafka's mock cluster (rdkafka_mock.h), a thread in this process that speaks Kafka's
protocol on loopback TCP, to other processes as well. Its limits: everything is gone with the
process; create times only; no transactions, no administration; 5 MiB or 100,000 batches are kept a
partition and the oldest dropped silently (see `broker.throttle`). Not for production.
"""

import ctypes
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_int32, c_size_t, c_void_p
from typing import Self

from confluent_kafka import cimpl

from broker.connect import Connection
from schemas.errors import OrdertideError

PARTITIONS = 4
BROKER_ID = 1
PRODUCE, OFFSET_COMMIT = 0, 8  # requests, by their numbers in Kafka's protocol

# The default delay of 3 s lets many members gather; here it would be most of a demo's start. It has
# to be well under the session time-out: members that wait longer are thrown out, for ever.
FIRST_REBALANCE_DELAY_MS = 100
PROPERTIES = {
    # The mock answers a fetch without messages only after the full wait, even if some arrive
    # meanwhile: a message took 464 ms with the default of 500, 4 ms with 20 (1.4 % of a core).
    "fetch.wait.max.ms": "20",
    # A rebalance takes it the session time-out less a second; cooperative ones need two.
    "session.timeout.ms": "3000",
    "heartbeat.interval.ms": "300",
    "partition.assignment.strategy": "range",
    "allow.auto.create.topics": "true",
}

# name → (result, arguments)
FUNCTIONS = {
    "rd_kafka_conf_new": (c_void_p, []),
    "rd_kafka_conf_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "rd_kafka_new": (c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    "rd_kafka_destroy": (None, [c_void_p]),
    "rd_kafka_mock_cluster_new": (c_void_p, [c_void_p, c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [c_void_p]),
    "rd_kafka_mock_cluster_bootstraps": (c_char_p, [c_void_p]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [c_void_p, c_int32]),
    "rd_kafka_mock_topic_create": (c_int, [c_void_p, c_char_p, c_int, c_int]),
    "rd_kafka_mock_broker_set_down": (c_int, [c_void_p, c_int32]),
    "rd_kafka_mock_broker_set_up": (c_int, [c_void_p, c_int32]),
    "rd_kafka_mock_push_request_errors_array": (
        None,
        [c_void_p, ctypes.c_int16, c_size_t, ctypes.POINTER(c_int)],
    ),
}


def embedded_connection(bootstrap: str) -> Connection:
    """Connection of another process to the embedded broker at `bootstrap` (`127.0.0.1:40123`)."""
    return Connection(bootstrap, PROPERTIES, embedded=True)


class EmbeddedBroker:
    """A broker that lives between `with` and its end; topics have 4 partitions.

    `bootstrap` is its address, `connection` what clients of any process are made with.
    """

    def __init__(self) -> None:
        self._library = load_library()
        self._client = new_client(self._library)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(
            self._cluster, FIRST_REBALANCE_DELAY_MS
        )
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        self.bootstrap = address.decode()
        self.connection = embedded_connection(self.bootstrap)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(self, topic: str, partitions: int = PARTITIONS) -> None:
        """Make a topic before its first use, so that readers may be there first."""
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    def go_down(self) -> None:
        """Drop all connections and take no new ones; what is stored stays."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, BROKER_ID)

    def come_up(self) -> None:
        """End an outage that `go_down` began."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, BROKER_ID)

    def refuse_writes(self, *error_codes: int) -> None:
        """Answer the next produce requests with these codes of Kafka's protocol, one each."""
        self._refuse(PRODUCE, error_codes)

    def refuse_commits(self, *error_codes: int) -> None:
        """As `refuse_writes`, for commits of offsets."""
        self._refuse(OFFSET_COMMIT, error_codes)

    def _refuse(self, request: int, error_codes: Sequence[int]) -> None:
        codes = (c_int * len(error_codes))(*error_codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, request, len(error_codes), codes
        )

    def close(self) -> None:
        """End the broker and its contents. Close its clients first: they would keep retrying."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._cluster = None


def load_library() -> ctypes.CDLL:
    """Give librdkafka as confluent-kafka loaded it, with our functions declared.

    Raises:
        OrdertideError: this build of confluent-kafka doesn't let them be found.
    """
    # A look-up through the extension module finds the library bundled with it, whatever its name.
    library = ctypes.CDLL(cimpl.__file__)
    for name, (result, arguments) in FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise OrdertideError(
                f"embedded broker: this build of confluent-kafka hides {name}; "
                "install its wheel from PyPI, or use a real Kafka (`broker.bootstrap`)"
            ) from error
        function.restype, function.argtypes = result, arguments
    return library


def new_client(library: ctypes.CDLL) -> c_void_p:
    """The client handle that the mock cluster hangs on; it logs nothing and connects nowhere."""
    reason = ctypes.create_string_buffer(512)
    settings = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(settings, b"log_level", b"0", reason, len(reason))
    client: c_void_p | None = library.rd_kafka_new(0, settings, reason, len(reason))
    if client is None:
        raise OrdertideError(f"embedded broker: {reason.value.decode()}; free memory on this host")
    return client
