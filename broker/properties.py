"""Properties of librdkafka: the names and values that it takes, tried one by one.

Each is given to a client without an address, which connects to nothing. What depends on other
properties is left to the connection.
"""

import re
from collections.abc import Iterator, Mapping

from confluent_kafka import KafkaException

from broker.clients import Producer
from broker.errors import plain
from schemas.type_faults import maybe_meant

# Those that settings files have in practice, for "did you mean"; librdkafka lists none.
USUAL = (
    *("acks", "auto.offset.reset", "batch.num.messages", "batch.size", "broker.address.family"),
    *("client.dns.lookup", "client.id", "client.rack", "compression.codec", "compression.level"),
    *("compression.type", "connections.max.idle.ms", "debug", "delivery.timeout.ms"),
    *("enable.ssl.certificate.verification", "fetch.max.bytes", "fetch.min.bytes"),
    *("fetch.message.max.bytes", "fetch.wait.max.ms", "group.instance.id", "heartbeat.interval.ms"),
    *("isolation.level", "linger.ms", "log_level", "max.in.flight", "max.partition.fetch.bytes"),
    *("max.poll.interval.ms", "message.max.bytes", "message.timeout.ms", "metadata.max.age.ms"),
    *("partition.assignment.strategy", "queue.buffering.max.kbytes", "queue.buffering.max.ms"),
    *("queued.max.messages.kbytes", "queued.min.messages", "receive.message.max.bytes"),
    *("reconnect.backoff.max.ms", "reconnect.backoff.ms", "request.timeout.ms", "retries"),
    *("retry.backoff.max.ms", "retry.backoff.ms", "sasl.kerberos.keytab"),
    *("sasl.kerberos.principal", "sasl.kerberos.service.name", "sasl.mechanism"),
    *("sasl.mechanisms", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret"),
    *("sasl.oauthbearer.config", "sasl.oauthbearer.extensions", "sasl.oauthbearer.method"),
    *("sasl.oauthbearer.scope", "sasl.oauthbearer.token.endpoint.url", "sasl.password"),
    *("sasl.username", "security.protocol", "session.timeout.ms"),
    *("socket.connection.setup.timeout.ms", "socket.keepalive.enable", "socket.nagle.disable"),
    *("socket.timeout.ms", "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location"),
    *("ssl.certificate.pem", "ssl.cipher.suites", "ssl.endpoint.identification.algorithm"),
    *("ssl.key.location", "ssl.key.password", "ssl.key.pem", "ssl.keystore.location"),
    *("ssl.keystore.password", "statistics.interval.ms", "topic.metadata.refresh.interval.ms"),
)
ADDRESS = {"bootstrap.servers", "metadata.broker.list"}
CODE = re.compile(r".*_cb|on_\w+|logger|default\.topic\.config")  # takes an object of a program
RANGE = re.compile(r"outside allowed range (\S+?)\.\.(\S+)")
READ_ABOUT = "CONFIGURATION.md of librdkafka lists what it takes"


def property_faults(properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name, problem and remedy) of each property that no client takes."""
    for name, value in properties.items():
        if fault := fault_of(name, value):
            yield name, fault


def fault_of(name: str, value: str) -> str | None:
    """Problem and remedy of a property; None where a client takes it."""
    if name in ADDRESS:
        return "brokers are named by broker.bootstrap; write them there"
    if CODE.fullmatch(name):
        return "a settings file can't hold it; leave it out"
    try:
        Producer({"log_level": "0", name: value}).close()
    except KafkaException as error:
        return worded(name, value, error.args[0].str())
    return None


def worded(name: str, value: str, reason: str) -> str | None:
    """Refusal of librdkafka in words; None where it depends on other properties."""
    if reason.startswith("Failed to create"):
        return None
    if reason.startswith("No such configuration property"):
        return f"librdkafka has no such property{maybe_meant(name, USUAL) or f'; {READ_ABOUT}'}"
    if limits := RANGE.search(reason):
        return f"{value!r} is out of range; write a number from {limits[1]} to {limits[2]}"
    if "Expected bool" in reason:
        return f"{value!r} is none; write true or false"
    if reason.startswith("Invalid value"):
        return f"{value!r} is no value of it; {READ_ABOUT}"
    return f"librdkafka refuses it: {plain(reason)}"
