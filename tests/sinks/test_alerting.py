"""From an order or a rule to a webhook, through real Prometheus and Alertmanager."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker.connect import Connection
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from broker.topics import ensure_topics
from commands.wiring.process import now_ms
from deploy.stack.kafka import Kafka
from deploy.stack.prometheus import RULES, Alertmanager, Prometheus
from schemas.instants import format_instant
from schemas.topics import EVENTS
from tests.support.alerts import order, overdue, produce
from tests.support.channel_kinds import firing
from tests.support.command import Command, leaving_none
from tests.support.receiver import Receiver
from tests.support.servers import absent, need, need_kafka
from tests.support.waiting import wait_until

CONFIG = RULES.parent / "alertmanager" / "alertmanager.yaml"
# Long enough for the order to be seen on time first, short enough to wait for.
PROMISED_AFTER_MS = 3_000
RULE = """
version = 1
[[rule]]
id = "late_delivery"
label = {en = "Late delivery", zh = "配送延误"}
statuses = ["PAID", "SHIPPED"]
anchor = "promised_at"
before = "0s"
severity = "overdue"
stale_after = "1h"
"""


def hurried(receiver: Receiver, folder: Path) -> Path:
    """The configuration that is shipped, with another receiver and without its pauses."""
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "100ms", "group_interval": "1s"}
    text = yaml.safe_dump(config).replace("http://127.0.0.1:9094", receiver.url)
    path = folder / "alertmanager.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def alertmanager(receiver: Receiver, tmp_path: Path) -> Iterator[Alertmanager]:
    need("prometheus-alertmanager")
    config = hurried(receiver, tmp_path)
    with Alertmanager(tmp_path / "alertmanager", config=config) as running:
        yield running


def feed(producer: Producer, **event: object) -> None:
    """Write an event that happens now."""
    said = {"event_id": f"{event['status_code']}-1", "timestamp": format_instant(now_ms()), **event}
    producer.send(EVENTS, b"SO-1", json.dumps(said).encode())
    producer.flush()


@pytest.mark.stack
@pytest.mark.timeout(240)
def test_an_overdue_order_reaches_a_webhook_and_its_delivery_scan_resolves_it(
    alertmanager: Alertmanager, receiver: Receiver, tmp_path: Path
) -> None:
    need_kafka()  # a broker of our own, as the topics' names are fixed
    (tmp_path / "rules.toml").write_text(RULE, "utf-8")
    with Kafka(tmp_path / "kafka") as kafka:
        connection = Connection(kafka.address["bootstrap"])
        ensure_topics(connection, partitions=2)
        tables: dict[str, dict[str, Any]] = {
            "broker": kafka.address,
            "track": {"folder": str(tmp_path / "track"), "rules": str(tmp_path / "rules.toml")},
            "privacy": {"keys": str(tmp_path / "keys.json")},
            "delivery": {
                "url": alertmanager.address["url"],
                "link": "https://board.example/orders/{order_id}",
            },
        }
        track, deliver = (Command(name, tmp_path, tables) for name in ("track", "deliver"))
        with leaving_none([track, deliver]), Producer(connection) as producer:
            track.start()
            deliver.start()
            feed(
                producer,
                order_id="SO-1",
                status_code="PAID",
                source="shop",
                carrier="sf",
                references={"waybill": ["SF1"]},
                promised_at=format_instant(now_ms() + PROMISED_AFTER_MS),
            )
            wait_until(
                lambda: receiver.saw("firing", order_id="SO-1", alertname="OrderLateDelivery"),
                "the alert",
                shown=lambda: track.output() + deliver.output(),
            )
            feed(
                producer,
                waybill="SF1",
                carrier="sf",
                status_code="DELIVERED",
                source="carrier:sf",
            )
            wait_until(
                lambda: receiver.saw("resolved", order_id="SO-1", alertname="OrderLateDelivery"),
                "its end",
                shown=lambda: track.output() + deliver.output(),
            )
            assert firing(alertmanager.address["url"]) == []
    alert = receiver.heard[0]
    assert {path for path, _, _ in receiver.calls} == {"/orders"}
    assert (alert["labels"]["carrier"], alert["labels"]["severity"]) == ("sf", "critical")
    assert alert["generatorURL"] == "https://board.example/orders/SO-1"
    assert alert["annotations"]["summary"].startswith("Late delivery: order SO-1, promised ")
    assert alert["annotations"]["description"].startswith("Past the promised delivery, ")


def test_alertmanager_killed_and_back_without_memory_knows_again_what_is_open(
    alertmanager: Alertmanager,
    broker: EmbeddedBroker,
    producer: Producer,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    def open_orders() -> set[str]:
        return {labels["order_id"] for labels in firing(alertmanager.address["url"])}

    deliver = Command("deliver", tmp_path, embedded(broker, alertmanager))
    with leaving_none([deliver]):
        deliver.start()
        produce(producer, overdue("SO-1"), overdue("SO-2"))
        wait_until(lambda: open_orders() == {"SO-1", "SO-2"}, "two alerts", shown=deliver.output)
        alertmanager.kill()
        produce(producer, overdue("SO-3"), order("SO-2", 2))
        wait_until(lambda: "waiting" in deliver.output(), "a wait", shown=deliver.output)
        alertmanager.start()
        alertmanager.wait()
        wait_until(lambda: open_orders() == {"SO-1", "SO-3"}, "two others", shown=deliver.output)
    wait_until(lambda: receiver.saw("firing", order_id="SO-3"), "the third alert")


def embedded(broker: EmbeddedBroker, alertmanager: Alertmanager) -> dict[str, dict[str, Any]]:
    return {
        "broker": {"bootstrap": broker.bootstrap, "embedded": True},
        "delivery": {"url": alertmanager.address["url"]},
    }


def test_many_overdue_orders_reach_a_webhook_through_a_rule_on_their_number(
    alertmanager: Alertmanager,
    broker: EmbeddedBroker,
    producer: Producer,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    need("prometheus")
    deliver = Command("deliver", tmp_path, embedded(broker, alertmanager))
    place = alertmanager.address["url"].removeprefix("http://")
    prometheus = Prometheus(
        tmp_path / "prometheus", rules=impatient_rules(tmp_path), alertmanager=place, interval_s=1
    )
    target = {"targets": [f"127.0.0.1:{deliver.port}"]}
    prometheus.targets.mkdir(parents=True)
    (prometheus.targets / "deliver.json").write_text(json.dumps([target]))
    with leaving_none([deliver]), prometheus:
        deliver.start()
        orders = [f"SO-{number}" for number in range(25)]
        produce(producer, *map(overdue, orders))
        surge = {"alertname": "OrdersOverdueSurge", "rule": "late_shipping"}
        wait_until(lambda: receiver.saw("firing", **surge), "the surge", shown=deliver.output)
        produce(producer, *(order(order_id, 2) for order_id in orders))
        wait_until(lambda: receiver.saw("resolved", **surge), "its end", shown=deliver.output)
    about_many = [alert for alert in receiver.heard if alert["labels"]["alertname"][:6] == "Orders"]
    assert about_many
    assert not any("order_id" in alert["labels"] for alert in about_many)


def impatient_rules(folder: Path) -> Path:
    """The rules that are shipped, without their patience."""
    rules = yaml.safe_load((RULES / "ordertide.rules.yaml").read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (folder / "rules").mkdir()
    (folder / "rules" / "ordertide.rules.yaml").write_text(yaml.safe_dump(rules), "utf-8")
    return folder / "rules"


def amtool(*arguments: str) -> str:
    path = shutil.which("amtool") or absent(
        "not installed: amtool; "
        "run 'apt-get install -y --no-install-recommends prometheus-alertmanager'"
    )
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_shipped_configuration_is_valid() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("labels", "who"),
    [
        (("service=ordertide", "severity=critical", "order_id=SO-1"), "orders"),
        (("alertname=OrdersOverdueSurge", "severity=warning", "rule=late_shipping"), "operators"),
        (("alertname=OrdertideProcessDown", "severity=critical"), "operators"),
    ],
    ids=["an order", "many orders", "the engine"],
)
def test_the_shipped_configuration_tells_who_is_concerned(
    labels: tuple[str, ...], who: str
) -> None:
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels).strip() == who
