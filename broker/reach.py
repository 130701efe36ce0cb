"""Check at the start that the broker answers and accepts the login; else fail within seconds."""

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from broker.clients import Admin
from broker.connect import Connection
from broker.errors import BrokerFailed, plain
from broker.interrupts import answer_of
from schemas.errors import Busy

TIMEOUT_S = 10.0
TRY_S = 1.0
# A refusal counts after the second time: a broker that is just starting may cut a login off.
TIMES = 2
REFUSALS = {
    "_AUTHENTICATION": (
        "the broker refuses the login; check broker.user, ORDERTIDE_BROKER_PASSWORD and "
        "broker.sasl_mechanism"
    ),
    "_SSL": (
        "no encrypted connection; check broker.ca (it has to hold the CA that signed the "
        "broker's certificate), the host name in broker.bootstrap, and broker.security_protocol"
    ),
}


def reach(connection: Connection, timeout_s: float = TIMEOUT_S) -> None:
    """Return once a broker has answered.

    Raises:
        BrokerFailed: it refuses the login, or its certificate can't be trusted.
        Busy: no answer within `timeout_s`.
    """
    reasons: list[KafkaError] = []
    config: dict[str, Any] = {**connection.config("admin"), "error_cb": reasons.append}
    give_up_at_s = time.monotonic() + timeout_s
    with Admin(config) as admin:
        while True:
            try:
                answer_of(lambda: admin.client.list_topics(timeout=TRY_S))
            except KafkaException as error:
                admin.client.poll(0)
                refuse(connection.bootstrap, reasons)
                if time.monotonic() >= give_up_at_s:
                    raise no_answer(connection.bootstrap, timeout_s, reasons) from error
            else:
                return


def refuse(bootstrap: str, reasons: list[KafkaError]) -> None:
    """Raise the refusal among the client's errors, if it came often enough."""
    for name, way_out in REFUSALS.items():
        found = [reason for reason in reasons if reason.name() == name]
        if len(found) >= TIMES:
            raise BrokerFailed(f"broker {bootstrap}: {way_out} ({found[-1].str()})")


def no_answer(bootstrap: str, timeout_s: float, reasons: list[KafkaError]) -> Busy:
    """The error for a missing answer, with the last reason that the client reported."""
    told = [reason.str() for reason in reasons if reason.name() != "_ALL_BROKERS_DOWN"]
    because = f" ({plain(told[-1])})" if told else ""
    return Busy(
        f"broker {bootstrap}: no answer within {timeout_s:.0f} s{because}; check that it runs, and "
        "check broker.bootstrap and broker.security_protocol"
    )
