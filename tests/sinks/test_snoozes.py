"""Acknowledgements and snoozes at a real Alertmanager: an annotation, and a silence."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest

from broker.connect import Connection
from broker.embedded import PARTITIONS, PROPERTIES, EmbeddedBroker
from broker.produce import Producer
from commands.wiring.process import now_ms
from deploy.stack.prometheus import Alertmanager
from deploy.stack.server import http_get
from schemas.alert import Severity
from schemas.alert_notes import ALERT, AlertNote, Mark
from schemas.control_records import control_key
from schemas.instants import HOUR_MS, format_instant
from schemas.topics import CONTROL
from sinks.channels.alertmanager import AlertmanagerChannel
from sinks.delivery.delivery import Delivery, DeliveryPlan
from sinks.delivery.metrics import DeliveryMetrics
from sinks.delivery.notes import NoteFollower
from telemetry.metrics import Metrics, total
from tests.support.alerts import alert, order, overdue, produce
from tests.support.servers import need
from tests.support.waiting import wait_until

LI = Mark(by="Li", at="2026-11-30T10:00:00.000Z", ip="10.0.0.7")
LATE = {name: alert(order_id=name)["alert_id"] for name in ("SO-1", "SO-2", "SO-3")}


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    need("prometheus-alertmanager")
    with Alertmanager(tmp_path / "alertmanager") as running:
        yield running


class Desk:
    """Operators that set notes, deliveries of one group, and what Alertmanager shows."""

    def __init__(
        self, broker: EmbeddedBroker, producer: Producer, alertmanager: Alertmanager
    ) -> None:
        self.broker = broker
        self.producer = producer
        self.url = alertmanager.address["url"]
        self.deliveries: list[Delivery] = []

    def start(self) -> None:
        """Start one more delivery."""
        delivery = Delivery(
            self.broker.connection,
            DeliveryPlan(group="test-snoozes"),
            AlertmanagerChannel(self.url),
            DeliveryMetrics(Metrics(), "alertmanager"),
            stop=Event(),
            now=now_ms,
        )
        self.deliveries.append(delivery)

    def stop(self) -> None:
        """End all deliveries, as a kill would: nothing is taken back.

        One after the other: a member that is closed with a rebalance waiting may never return.
        """
        while self.deliveries:
            ended = self.deliveries.pop()
            ended.close()
            ended.sender.channel.close()
            if self.deliveries:
                self.until(self.is_shared_out, "the partitions of the one that ended")

    def is_shared_out(self) -> bool:
        """Return True while every partition has its delivery, and each delivery some."""
        owned = [each.reader.partitions for each in self.deliveries]
        return all(owned) and sum(map(len, owned)) == PARTITIONS

    def note(
        self, name: str, severity: Severity = "overdue", snooze_ms: int = 0, *, ack: bool = False
    ) -> None:
        """Set a note on the alert of an order, as `serve` does; without anything, an empty one."""
        until = format_instant(now_ms() + snooze_ms) if snooze_ms else None
        note = AlertNote(
            key=name,
            severity=severity,
            acked=LI if ack else None,
            snoozed_until=until,
            snoozed=LI if until else None,
        )
        key = control_key(ALERT, LATE[name])
        self.producer.send(CONTROL.name, key, msgspec.json.encode(note))
        self.producer.flush()

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Step the deliveries until it is so."""

        def has_become_so() -> bool:
            for delivery in self.deliveries:
                delivery.step()
            return is_so()

        wait_until(has_become_so, what)

    def listed(self) -> None:
        """Step until each delivery has compared the silences with the snoozes once more."""
        for delivery in self.deliveries:
            assert delivery.silencer
            delivery.silencer._list_at = 0.0  # noqa: SLF001 - a minute its pause is long for a test
        self.until(
            lambda: all(each.silencer and each.silencer._list_at for each in self.deliveries),  # noqa: SLF001 - as above
            "a listing",
        )

    def silences(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(http_get(f"{self.url}/api/v2/silences"))
        return found

    def states(self) -> Counter[str]:
        """Number of silences by state, those that have ended among them."""
        return Counter(each["status"]["state"] for each in self.silences())

    def alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        found = json.loads(http_get(f"{self.url}/api/v2/alerts"))
        return {(each["labels"]["order_id"], each["labels"]["severity"]): each for each in found}

    def is_suppressed(self, name: str, severity: str = "critical") -> bool:
        found = self.alerts().get((name, severity))
        return found is not None and found["status"]["state"] == "suppressed"

    def pending(self) -> float:
        """Silences that are pending, by the metrics of all deliveries."""
        gauges = (each.watch.metrics.silences_pending for each in self.deliveries)
        return sum(total(gauge.labels("alertmanager")) for gauge in gauges)


@pytest.fixture
def desk(broker: EmbeddedBroker, producer: Producer, alertmanager: Alertmanager) -> Iterator[Desk]:
    made = Desk(broker, producer, alertmanager)
    made.start()
    yield made
    made.stop()


def test_an_ack_is_an_annotation_and_a_snooze_a_silence_that_ends_with_the_severity(
    desk: Desk, producer: Producer
) -> None:
    warning = alert(order_id="SO-2", severity="warning")
    produce(producer, overdue("SO-1"), order("SO-2", 1, warning), overdue("SO-3"))
    desk.until(lambda: len(desk.alerts()) == 3, "three alerts")
    desk.note("SO-1", ack=True)
    desk.note("SO-2", "warning", HOUR_MS)
    desk.note("SO-3", "warning", HOUR_MS)  # of before its escalation
    desk.until(lambda: desk.is_suppressed("SO-2", "warning"), "the snooze")
    desk.until(
        lambda: "acknowledged_by" in desk.alerts()["SO-1", "critical"]["annotations"], "the ack"
    )
    shown = desk.alerts()["SO-1", "critical"]
    acked = {"acknowledged_by": LI.by, "acknowledged_at": LI.at}
    assert acked.items() <= shown["annotations"].items()
    assert shown["status"]["state"] == "active"
    (silence,) = desk.silences()
    matched = {one["name"]: one["value"] for one in silence["matchers"]}
    of_alert = {"alert_id": LATE["SO-2"], "severity": "warning"}
    assert matched == {"service": "ordertide", **of_alert}
    assert (silence["createdBy"], silence["comment"]) == ("Li", "Snoozed in ordertide, order SO-2")
    desk.note("SO-2", "warning", 2 * HOUR_MS)
    desk.until(lambda: desk.states() == {"active": 1, "expired": 1}, "another end")
    produce(producer, order("SO-2", 2, warning | {"severity": "overdue"}))
    desk.until(lambda: desk.states() == {"expired": 2}, "the end with the severity")
    assert desk.alerts()["SO-2", "critical"]["status"]["state"] == "active"


def test_restarts_and_two_processes_never_make_a_second_silence(
    desk: Desk, producer: Producer, alertmanager: Alertmanager
) -> None:
    produce(producer, *map(overdue, LATE))
    for name in LATE:
        desk.note(name, snooze_ms=HOUR_MS)
    desk.until(lambda: all(map(desk.is_suppressed, LATE)), "the snoozes")
    desk.stop()
    produce(producer, order("SO-3", 2))  # ends while nobody delivers
    desk.start()
    desk.start()
    desk.until(lambda: desk.states() == {"active": 2, "expired": 1}, "the end of one")
    desk.until(desk.is_shared_out, "both share")
    desk.listed()
    assert desk.states() == {"active": 2, "expired": 1}
    desk.note("SO-1")  # the snooze is taken back
    desk.until(lambda: desk.states() == {"active": 1, "expired": 2}, "the end of another")
    assert not desk.is_suppressed("SO-1")
    desk.stop()
    desk.start()
    desk.until(desk.is_shared_out, "one has all")
    alertmanager.kill()
    desk.note("SO-1", snooze_ms=HOUR_MS)
    desk.until(lambda: desk.pending() > 0, "a silence that is pending")
    alertmanager.start()
    alertmanager.wait()
    desk.listed()
    desk.until(lambda: desk.states() == {"active": 2}, "the silences again")
    desk.until(lambda: desk.pending() == 0, "nothing pending")


def test_notes_are_followed_once_their_topic_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with EmbeddedBroker() as broker:
        properties = PROPERTIES | {"allow.auto.create.topics": "false"}
        connection = Connection(broker.bootstrap, properties, embedded=True)
        with closing(NoteFollower(connection)) as notes:
            notes.start()
            wait_until(lambda: "no such topic" in (notes.unready or ""), "it is missing")
            broker.create(CONTROL.name, partitions=1)
            wait_until(lambda: notes.is_loaded, "it is followed")
    assert len([line for line in caplog.messages if "alert notes" in line]) == 1
