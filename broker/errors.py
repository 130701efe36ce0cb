"""Errors between ordertide and the broker, beyond `Busy` and `Rejected`."""

import re

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import OrdertideError
from schemas.os_faults import NO_ADDRESS


class DeliveryFailed(OrdertideError):
    """A message that was handed over will not arrive: go back to the last known good state."""


class EpochAborted(DeliveryFailed):
    """Nothing of the epoch's outputs will arrive, and a start from the last epoch mends it."""


class OffsetLost(OrdertideError):
    """The offset to read from is not in the partition (any more, or not yet)."""


class TopicMissing(OrdertideError):
    """The topic or partition doesn't exist."""

    names_settings = True


class Fenced(OrdertideError):
    """Another run has taken over: what this one has not flushed is not its to write.

    `producer` names the one that the broker refused, if it was the broker that noticed.
    """

    def __init__(self, message: str, producer: str = "") -> None:
        super().__init__(message)
        self.producer = producer


class MemberFenced(OrdertideError):
    """Another member of the group has joined under this one's static name."""


class BrokerFailed(OrdertideError):
    """The broker refused for good: not authorised, fenced, a wrong setting, a damaged message."""

    names_settings = True


# By librdkafka's names of its error codes. These are temporary: the client reconnects, retries
# and resumes at its position.
PASSING = frozenset(
    {
        "_ALL_BROKERS_DOWN",
        "_RESOLVE",
        "_TIMED_OUT",
        "_TIMED_OUT_QUEUE",
        "_TRANSPORT",
        "_WAIT_COORD",
        "BROKER_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "FENCED_LEADER_EPOCH",
        "KAFKA_STORAGE_ERROR",
        "LEADER_NOT_AVAILABLE",
        "NETWORK_EXCEPTION",
        "NOT_COORDINATOR",
        "NOT_LEADER_FOR_PARTITION",
        "OFFSET_NOT_AVAILABLE",
        "REQUEST_TIMED_OUT",
        "THROTTLING_QUOTA_EXCEEDED",
        "UNKNOWN_LEADER_EPOCH",
        "UNSTABLE_OFFSET_COMMIT",
    }
)
MISSING = frozenset(
    {"_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART", "UNKNOWN_TOPIC_ID"}
)
# The group has moved on without this member, or is about to.
REBALANCED = frozenset(
    {
        "_ASSIGNMENT_LOST",
        "FENCED_MEMBER_EPOCH",
        "ILLEGAL_GENERATION",
        "REBALANCE_IN_PROGRESS",
        "STALE_MEMBER_EPOCH",
        "UNKNOWN_MEMBER_ID",
    }
)
# A consumer has no other fatal error.
FENCED = frozenset({"_FATAL", "FENCED_INSTANCE_ID"})


# By librdkafka's names: meaning and remedy, where its own text lacks them.
MEANINGS = {
    "_ALL_BROKERS_DOWN": ("no broker can be reached", "check that they run, and broker.bootstrap"),
    "_AUTHENTICATION": ("the login is refused", "check broker.user and broker.sasl_mechanism"),
    "_INVALID_ARG": ("a client property is invalid", "correct it under broker.properties"),
    "_RESOLVE": (NO_ADDRESS, "check broker.bootstrap and the name server"),
    "_SSL": ("TLS failed", "check broker.ca and broker.security_protocol"),
    "_TIMED_OUT": ("no answer in time", "check that the broker runs and can be reached"),
    "_TRANSPORT": ("the connection failed", "check that the broker runs, and broker.bootstrap"),
    "_STATE": ("the client is closed or not ready", "restart this process"),
    "_FATAL": ("the client can't continue", "restart this process"),
    "CLUSTER_AUTHORIZATION_FAILED": ("not authorised for the cluster", "extend broker.user's ACL"),
    "GROUP_AUTHORIZATION_FAILED": ("not authorised for the group", "allow READ on the group"),
    "TOPIC_AUTHORIZATION_FAILED": ("not authorised for the topic", "allow it in the topic's ACL"),
}


CONNECT = re.compile(r"Connect to ipv[46]#(\S+) failed: ([^(]+?)(?: \(|$)")
RESOLVE = re.compile(r"Failed to resolve '([^']+)'")


def plain(text: str) -> str:
    """A line of librdkafka on a connection: address and problem, without its thread and state."""
    if found := CONNECT.search(text):
        return f"{found[1]}: {found[2].lower()}"
    if found := RESOLVE.search(text):
        return f"{found[1]}: {NO_ADDRESS}"
    return text


def worded(error: BaseException | KafkaError) -> str:
    """A Kafka error as text: meaning, the client's own text, the name, and what to do.

    `str()` of one is `KafkaError{code=…,val=…,str="…"}`, made for developers. Other exceptions are
    given by their own text, or their type where they have none.
    """
    found = error.args[0] if isinstance(error, KafkaException) and error.args else error
    if not isinstance(found, KafkaError):
        return str(found) or type(found).__name__
    name, text = found.name(), found.str()
    meaning, action = MEANINGS.get(name, ("", ""))
    message = ": ".join(part for part in (meaning, text) if part)
    return f"{message} ({name})" + (f", {action}" if action else "")


def missing_topic(topic: str) -> TopicMissing:
    """The error for a missing topic, with the remedy."""
    return _missing(f"topic {topic}")


def _missing(subject: str) -> TopicMissing:
    return TopicMissing(
        f"{subject}: the broker has no such topic or partition; "
        "'ordertide track' and 'ordertide load' create what is missing; else correct the name"
    )


def refusal(subject: str, error: KafkaError) -> OrdertideError:
    """The error for a refusal that isn't temporary; `subject` is what was requested."""
    if error.name() in MISSING:
        return _missing(subject)
    return BrokerFailed(
        f"{subject}: {error.str()} ({error.name()}); this does not pass by itself: "
        "check the credentials, the broker's ACLs and the settings under `broker`"
    )
