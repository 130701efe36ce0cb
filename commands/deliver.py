"""`ordertide deliver`: order alerts to a channel, as a member of its consumer group."""

import threading
from pathlib import Path

import click

from broker.topics import wait_for_topics
from commands.wiring.broker import connection_of
from commands.wiring.process import now_ms, stop_event
from commands.wiring.serving import announce, health_server, patience, start_logs
from commands.wiring.settings_file import settings_option
from schemas.errors import SettingsError
from schemas.instants import parse_duration
from schemas.settings.model import DeliverySettings, Settings, read_settings
from schemas.settings.secrets import masked_text
from schemas.topics import ORDERS_CHANGES
from sinks.channels.installed import open_channel
from sinks.delivery.delivery import Delivery, DeliveryPlan
from sinks.delivery.metrics import DeliveryMetrics
from telemetry.metrics import Metrics

FEWEST_TRIES = 3


@click.command("deliver")
@settings_option()
def command(path: Path | None) -> None:
    """Deliver the orders' open alerts to Alertmanager, a webhook or the channel of a plug-in.

    Ends cleanly on SIGTERM and Ctrl-C. Several processes of a group share its partitions.

    \b
    ordertide deliver --settings ordertide.toml
    ORDERTIDE_DELIVERY_URL=http://alertmanager:9093 ordertide deliver
    """
    settings = read_settings(path)
    start_logs(settings.telemetry)
    stop = stop_event()
    deliver(settings, stop)


def deliver(settings: Settings, stop: threading.Event, topic: str = ORDERS_CHANGES) -> None:
    """Deliver the open alerts of `topic` until `stop` is set.

    Raises:
        OrdertideError: the settings or the broker can't be used.
    """
    plan = plan_of(settings.delivery, topic)
    connection = connection_of(settings.broker)
    channel = open_channel(settings.delivery)
    metrics = Metrics("deliver")
    # Two receivers of one kind have a group each, and all alerts each: separate in the metrics.
    watch = DeliveryMetrics(metrics, settings.delivery.group or channel.name)
    checks = {channel.name: watch.is_delivering}
    telemetry = settings.telemetry
    server = health_server(metrics, checks, telemetry, "deliver")
    server.start()
    try:
        watch.starts(f"not yet at the broker, {settings.broker.bootstrap}")
        if not wait_for_topics(connection, [topic], patience(stop, watch.starts)):
            return
        watch.starts(None)
        receiver = f"alerts go to {channel.name}, {masked_text(settings.delivery.url)}"
        resumes = f"resumes where group {plan.group} stopped"
        announce("deliver", server, receiver, resumes)
        Delivery(connection, plan, channel, watch, stop=stop, now=now_ms).run()
    finally:
        server.close()
        channel.close()


def plan_of(settings: DeliverySettings, topic: str) -> DeliveryPlan:
    """Convert the settings to a plan.

    Raises:
        SettingsError: an alert would run out before it is renewed.
    """
    renew_ms = parse_duration(settings.renew, of="delivery.renew")
    hold_ms = parse_duration(settings.hold, of="delivery.hold")
    if not renew_ms:
        raise SettingsError("delivery.renew: 0 would post without an end; write one like 1m")
    if hold_ms < FEWEST_TRIES * renew_ms:
        raise SettingsError(
            f"delivery.hold: {settings.hold} is less than {FEWEST_TRIES} times delivery.renew "
            f"({settings.renew}): one slow answer, and open alerts would end; raise it"
        )
    group = settings.group or f"ordertide-deliver-{settings.channel}"
    return DeliveryPlan(
        group=group, topic=topic, renew_ms=renew_ms, hold_ms=hold_ms, link=settings.link
    )
