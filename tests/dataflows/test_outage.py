"""An unavailable broker holds the watermark: nothing is late because it couldn't be read."""

import json
import time
from pathlib import Path

from broker.embedded import EmbeddedBroker
from schemas import topics
from schemas.instants import HOUR_MS, MINUTE_MS, format_instant
from schemas.settings.model import TrackSettings
from telemetry.metrics import total
from tests.support.threaded import Threaded

AWAY_S = 2.0  # 40 epochs: several questions for the end, each unanswered
ORDER_ID = "A1"


def paid(at: int, ship_by: int) -> bytes:
    event = {
        "event_id": "1",
        "order_id": ORDER_ID,
        "status_code": "PAID",
        "timestamp": format_instant(at),
        "source": "shop",
        "ship_by": format_instant(ship_by),
    }
    return json.dumps(event).encode()


def test_nothing_fires_while_the_broker_is_away_and_everything_rightly_after(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    flow = Threaded(broker, tmp_path, TrackSettings(clock="broker", epoch_ms=50))
    witness, present = flow.witness, flow.present
    with flow:
        fed_at = present()
        ship_by = fed_at + 30 * MINUTE_MS
        data = paid(fed_at, ship_by)
        flow.producer.send(topics.EVENTS, ORDER_ID.encode(), data, timestamp_ms=fed_at)
        flow.producer.flush()
        flow.wait_for_clock(fed_at)

        broker.go_down()
        present.ahead_ms += HOUR_MS
        time.sleep(AWAY_S)  # no barrier to wait for: with an output on its way it waits itself
        assert witness.clock() < ship_by
        assert not witness.alerts
        assert total(witness.metrics.stream_clock_behind_seconds) >= HOUR_MS / 1000

        broker.come_up()
        flow.wait_for_clock(ship_by)
        assert [(alert.rule, alert.at) for alert in witness.alerts] == [
            ("late_shipping", format_instant(ship_by))
        ]
