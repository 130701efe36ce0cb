"""`ordertide deliver`: order alerts to a channel, as a member of its consumer group."""

import logging
import threading
from pathlib import Path

import click

from broker.topics import wait_for_topics
from commands.wiring.broker import connection_of
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.process import now_ms, stop_event
from commands.wiring.serving import announce, health_server, patience, start_logs
from commands.wiring.settings_file import settings_option
from commands.wiring.wording import alert_text
from schemas.alert_text import AlertText
from schemas.errors import SettingsError
from schemas.instants import parse_duration
from schemas.settings.model import DeliverySettings, Settings, read_settings
from schemas.settings.secrets import masked_text
from schemas.topics import ORDERS_CHANGES
from sinks.channels.alert_message import Style
from sinks.channels.installed import open_channel
from sinks.delivery.delivery import Delivery, DeliveryPlan
from sinks.delivery.metrics import DeliveryMetrics
from telemetry.metrics import Metrics

FEWEST_TRIES = 3
RENEW = "1m"
KEEPING = {"webhook"}  # channels whose receiver keeps an alert until its end is posted
LOGGER = logging.getLogger("ordertide.delivery")


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
    plan = plan_of(settings.delivery, topic, text_of(settings))
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


def text_of(settings: Settings) -> AlertText:
    """Sentences of alerts by the rules and the lifecycle in use.

    A file that can't be used here costs the alerts their labels, and none of the alerts.
    """
    language = settings.delivery.language
    try:
        table = lifecycle_of(settings)
        return alert_text(rules_of(settings, table), table, language)
    except SettingsError as error:
        LOGGER.warning("deliver: rules and statuses are shown by their ids: %s", error)
        return AlertText(language)


def group_of(settings: DeliverySettings) -> str:
    """The consumer group of a channel."""
    return settings.group or f"ordertide-deliver-{settings.channel}"


def plan_of(settings: DeliverySettings, topic: str, text: AlertText | None = None) -> DeliveryPlan:
    """Convert the settings to a plan, with the sentences of `text`.

    Raises:
        SettingsError: an alert would run out before it is renewed.
    """
    group = group_of(settings)
    style = Style(text or AlertText(settings.language), settings.link)
    renew = settings.renew or (None if settings.channel in KEEPING else RENEW)
    if renew is None:
        return DeliveryPlan(group=group, topic=topic, renew_ms=None, style=style)
    renew_ms = parse_duration(renew, of="delivery.renew")
    hold_ms = parse_duration(settings.hold, of="delivery.hold")
    if not renew_ms:
        raise SettingsError("delivery.renew: 0 would post without an end; write one like 1m")
    if hold_ms < FEWEST_TRIES * renew_ms:
        raise SettingsError(
            f"delivery.hold: {settings.hold} is less than {FEWEST_TRIES} times delivery.renew "
            f"({renew}): one slow answer, and open alerts would end; raise it"
        )
    return DeliveryPlan(group=group, topic=topic, renew_ms=renew_ms, hold_ms=hold_ms, style=style)
