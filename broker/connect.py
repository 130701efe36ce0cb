"""Connection to the broker: the address and the settings that every client shares."""

import logging
from typing import Any, Literal

import msgspec

Role = Literal["producer", "consumer", "admin"]

LOGGER = logging.getLogger("ordertide.broker")

# One table of properties serves every client; librdkafka warns at each property of another role.
PRODUCER_ONLY = (
    *("acks", "batch.", "compression.", "delivery.", "enable.idempotence", "linger.", "message.t"),
    *("partitioner", "queue.buffering.", "request.required.", "retries", "sticky.", "transaction"),
)
CONSUMER_ONLY = (
    *("allow.auto.create.", "auto.", "check.crcs", "enable.auto.", "fetch.", "group."),
    *("heartbeat.", "isolation.", "max.poll.", "partition.assignment.", "queued.", "session."),
)
NOT_FOR: dict[Role, tuple[str, ...]] = {
    "producer": CONSUMER_ONLY,
    "consumer": PRODUCER_ONLY,
    "admin": (*PRODUCER_ONLY, *CONSUMER_ONLY),
}


class Connection(msgspec.Struct, frozen=True):
    """A broker's address, and librdkafka properties (TLS, SASL, tuning) by their dotted names.

    `bootstrap` is `host:port`, several with commas. Properties go before ordertide's own defaults,
    but not before what its promises rest on (acks, idempotence, commits). `embedded`: it is
    `broker.embedded`, which has no administration, no topic ids and no groups that last.
    """

    bootstrap: str
    properties: dict[str, str] = {}
    client_id: str = "ordertide"
    embedded: bool = False

    def __repr__(self) -> str:
        # Properties hold passwords; their names are enough to distinguish two connections.
        return f"Connection({self.bootstrap!r}, properties={sorted(self.properties)})"

    def config(self, role: Role) -> dict[str, Any]:
        """The configuration that every client of this role starts from."""
        foreign = NOT_FOR[role]
        wanted = {k: v for k, v in self.properties.items() if not k.startswith(foreign)}
        return {
            "client.id": self.client_id,
            "socket.keepalive.enable": True,
            # The default of 10 s would be most of the time that a broker's restart costs.
            "reconnect.backoff.max.ms": 2_000,
            # Idle connections are closed by brokers all day long; that is no news.
            "log.connection.close": False,
            **wanted,
            "bootstrap.servers": self.bootstrap,
            "logger": LOGGER,
        }
