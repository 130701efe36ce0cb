"""Plan of `ordertide deliver`: renewals by channel, and the sentences of the alerts."""

import logging
from pathlib import Path

import pytest

from commands.deliver import plan_of, text_of
from schemas.order import OpenAlert
from schemas.settings.model import DeliverySettings, Settings, TrackSettings
from schemas.topics import ORDERS_CHANGES
from tests.support.alerts import alert, order

WITH_LABEL = """
version = 1
[[rule]]
id = "late_shipping"
label = {en = "Too slow", zh = "太慢"}
statuses = ["PAID"]
anchor = "created"
after = "1d"
severity = "overdue"
"""


def opened() -> OpenAlert:
    return order("SO-1", 1, alert()).open_alerts[0]


@pytest.mark.parametrize(
    ("settings", "renew_ms"),
    [
        (DeliverySettings(), 60_000),
        (DeliverySettings(channel="another"), 60_000),
        (DeliverySettings(channel="webhook"), None),
        (DeliverySettings(channel="webhook", renew="30s"), 30_000),
        (DeliverySettings(channel="webhook", hold="1s"), None),
    ],
    ids=["alertmanager", "a plug-in", "webhook", "webhook with renew", "hold alone"],
)
def test_open_alerts_are_renewed_where_a_receiver_would_forget_them(
    settings: DeliverySettings, renew_ms: int | None
) -> None:
    assert plan_of(settings, ORDERS_CHANGES).renew_ms == renew_ms


@pytest.mark.parametrize(("language", "summary"), [("en", "Too slow: "), ("zh", "太慢：订单 ")])
def test_sentences_have_the_labels_of_the_rules_in_use(
    tmp_path: Path, language: str, summary: str
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(WITH_LABEL, "utf-8")
    delivery = DeliverySettings(language=language)  # type: ignore[arg-type]  # one of the two
    settings = Settings(track=TrackSettings(rules=str(path)), delivery=delivery)
    plan = plan_of(delivery, ORDERS_CHANGES, text_of(settings))
    assert plan.style.text.summary(order("SO-1"), opened()).startswith(summary)


def test_rules_that_cannot_be_read_cost_the_alerts_their_labels_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(track=TrackSettings(rules="missing.toml"))
    with caplog.at_level(logging.WARNING):
        text = text_of(settings)
    assert text.summary(order("SO-1"), opened()).startswith("late_shipping: order SO-1, ")
    assert "missing.toml" in caplog.text
