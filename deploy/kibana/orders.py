"""The orders of the warm tier: lanes, carriers, delivery times, alerts, and where parcels are."""

from deploy.kibana.pictures import Board, Bucket, DataView, Map, Metric, Picture

ORDERS_VIEW = DataView("ordertide-orders", "ordertide: orders", "ordertide-orders-*")
EVENTS_VIEW = DataView("ordertide-events", "ordertide: events", "ordertide-events-*")
REJECTED_VIEW = DataView("ordertide-rejected", "ordertide: rejected", "ordertide-rejected-*")
VIEWS = (ORDERS_VIEW, EVENTS_VIEW, REJECTED_VIEW)

LANE_COLOURS = {"normal": "#54B399", "warning": "#D6BF57", "overdue": "#E7664C"}
DELIVERY_H = "derived.delivery_h"

LANES = Picture(
    id="ordertide-lanes",
    title="Orders by lane",
    meaning="How many orders are on time, close to a deadline, or past one.",
    kind="pie",
    view=ORDERS_VIEW,
    buckets=(Bucket("terms", "lane"),),
)
OVERDUE_BY_CARRIER = Picture(
    id="ordertide-overdue-by-carrier",
    title="Overdue by carrier",
    meaning="Orders past a deadline; an order without a carrier has not been given to one.",
    kind="horizontal_bar",
    view=ORDERS_VIEW,
    query="lane:overdue",
    buckets=(Bucket("terms", "carrier", label="carrier", missing="no carrier"),),
)
DELIVERY_TIME = Picture(
    id="ordertide-delivery-time-by-lane",
    title="Delivery time by lane, hours",
    meaning="From an order's beginning to its delivery: half and nine tenths arrive within.",
    kind="table",
    view=ORDERS_VIEW,
    query=f"_exists_:{DELIVERY_H}",
    metrics=(
        Metric(label="delivered"),
        Metric("percentiles", DELIVERY_H, "hours", (50, 90)),
        Metric("avg", DELIVERY_H, "mean hours"),
    ),
    buckets=(Bucket("terms", "lane", "bucket", "lane"),),
)
CHANGED = Picture(
    id="ordertide-orders-changed",
    title="Orders by their last change",
    meaning="Last event of each order, by the lane that it is in now.",
    kind="histogram",
    view=ORDERS_VIEW,
    buckets=(Bucket("date_histogram", "@timestamp"), Bucket("terms", "lane", "group")),
    columns=24,
)
EVENTS = Picture(
    id="ordertide-events-by-source",
    title="Events by source",
    meaning="What came in, by who sent it. A source that falls silent ends here.",
    kind="histogram",
    view=EVENTS_VIEW,
    buckets=(
        Bucket("date_histogram", "event.created"),
        Bucket("terms", "event.provider", "group"),
    ),
    columns=24,
)
PARCELS = Map(
    id="ordertide-parcels",
    title="Parcels",
    meaning="Where parcels were seen last, coloured by the lane of their order.",
    view=ORDERS_VIEW,
    point="geo.location",
    newest_by="@timestamp",
    colour_by="lane",
    colours=LANE_COLOURS,
    tooltip=("order_id", "status", "lane", "carrier", "updated_at"),
)
ALERTS = Picture(
    id="ordertide-open-alerts",
    title="Orders with open alerts, by rule",
    meaning="An order counts once for each rule that has an alert open on it.",
    kind="horizontal_bar",
    view=ORDERS_VIEW,
    query="_exists_:derived.alerts.rules",
    buckets=(Bucket("terms", "derived.alerts.rules", label="rule", size=20),),
    rows=18,
)
REJECTED = Picture(
    id="ordertide-rejected",
    title="Rejected messages by reason",
    meaning="What could not be taken. `ordertide rejected` shows the originals.",
    kind="histogram",
    view=REJECTED_VIEW,
    buckets=(Bucket("date_histogram", "@timestamp"), Bucket("terms", "code", "group")),
    columns=24,
)
REJECTED_BY_SOURCE = Picture(
    id="ordertide-rejected-by-source",
    title="Rejected messages by source",
    meaning="Sources of rejected messages, as far as a message names its own.",
    kind="table",
    view=REJECTED_VIEW,
    metrics=(Metric(label="messages"),),
    buckets=(
        Bucket("terms", "event.provider", "bucket", "source", missing="unknown"),
        Bucket("terms", "code", "bucket", "code"),
    ),
    columns=24,
)
BOARD = Board(
    id="ordertide",
    title="ordertide: orders",
    meaning="The last three months of orders, from the warm tier.",
    panels=(
        *(LANES, OVERDUE_BY_CARRIER, DELIVERY_TIME, CHANGED, EVENTS, PARCELS, ALERTS),
        *(REJECTED, REJECTED_BY_SOURCE),
    ),
)
