"""The orders of the warm tier: lanes, carriers, delivery times, alerts, and where parcels are."""

from deploy.kibana.pictures import Board, Bucket, DataView, Map, Metric, Picture

ORDERS_VIEW = DataView("ordertide-orders", "ordertide: orders", "ordertide-orders-*")
EVENTS_VIEW = DataView("ordertide-events", "ordertide: events", "ordertide-events-*")
REJECTED_VIEW = DataView("ordertide-rejected", "ordertide: rejected", "ordertide-rejected-*")
AUDIT_VIEW = DataView("ordertide-audit", "ordertide: audit", "ordertide-audit-*")
ACTIONS_VIEW = DataView("ordertide-actions", "ordertide: actions", "ordertide-actions-*")
VIEWS = (ORDERS_VIEW, EVENTS_VIEW, REJECTED_VIEW, AUDIT_VIEW, ACTIONS_VIEW)

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
BY_CARRIER = Bucket("terms", "carrier", "bucket", "carrier", missing="no carrier")
PROMISES = Picture(
    id="ordertide-promises",
    title="Promises kept",
    meaning="Delivered orders that were promised: in time or not.",
    kind="pie",
    view=ORDERS_VIEW,
    query="_exists_:derived.promise_kept",
    buckets=(Bucket("terms", "derived.promise_kept"),),
)
HOURS_LATE = Picture(
    id="ordertide-hours-late",
    title="Hours late, by carrier",
    meaning="Delivered orders: hours behind the promise, negative where they came early.",
    kind="table",
    view=ORDERS_VIEW,
    query="_exists_:derived.hours_late",
    metrics=(
        Metric(label="delivered"),
        Metric("percentiles", "derived.hours_late", "hours late", (50, 90)),
    ),
    buckets=(BY_CARRIER,),
)
STAGES = Picture(
    id="ordertide-stages",
    title="Hours in a stage, by carrier",
    meaning="Mean time from the order to its preparation or dispatch, and on the way.",
    kind="table",
    view=ORDERS_VIEW,
    query="_exists_:derived.stage_h.0 AND _exists_:derived.stage_h.2",
    metrics=(
        Metric(label="orders"),
        Metric("avg", "derived.stage_h.0", "ordered"),
        Metric("avg", "derived.stage_h.2", "on the way"),
    ),
    buckets=(BY_CARRIER,),
)
LATE_NOW = Picture(
    id="ordertide-late-now",
    title="Late by now",
    meaning="Orders whose promise has passed and that have not been delivered.",
    kind="table",
    view=ORDERS_VIEW,
    query="promised_at:<now AND NOT _exists_:derived.delivered_at",
    metrics=(Metric(label="orders"),),
    buckets=(Bucket("terms", "status", "bucket", "status"), BY_CARRIER),
    columns=24,
)
SILENT = Picture(
    id="ordertide-silent",
    title="Silent for three days, with an open alert",
    meaning="Orders that are watched and have sent nothing for 72 hours.",
    kind="table",
    view=ORDERS_VIEW,
    query="updated_at:<now-72h AND _exists_:derived.alerts.rules",
    metrics=(Metric(label="orders"),),
    buckets=(Bucket("terms", "derived.alerts.rules", "bucket", "rule"), BY_CARRIER),
    columns=24,
)
AUDIT = Picture(
    id="ordertide-audit-entries",
    title="Alerts, commands and actions",
    meaning="Entries of the audit log; `ordertide audit` shows those of an order.",
    kind="histogram",
    view=AUDIT_VIEW,
    buckets=(Bucket("date_histogram", "@timestamp"), Bucket("terms", "event.action", "group")),
    columns=24,
)
COMMANDS = Picture(
    id="ordertide-commands",
    title="Commands by operator",
    meaning="Operators of commands, and whether the engine accepted them.",
    kind="table",
    view=AUDIT_VIEW,
    query="event.action:command.*",
    metrics=(Metric(label="commands"),),
    buckets=(
        Bucket("terms", "user.id", "bucket", "operator", missing="unknown"),
        Bucket("terms", "event.action", "bucket", "verdict"),
    ),
    columns=24,
)
ACTIONS = Picture(
    id="ordertide-actions-by-kind",
    title="Requested actions",
    meaning="Requests to the receivers of orders.actions, by kind.",
    kind="histogram",
    view=ACTIONS_VIEW,
    buckets=(Bucket("date_histogram", "@timestamp"), Bucket("terms", "action.kind", "group")),
    columns=24,
)
BOARD = Board(
    id="ordertide",
    title="ordertide: orders",
    meaning="The last three months of orders, from the warm tier.",
    panels=(
        *(LANES, OVERDUE_BY_CARRIER, DELIVERY_TIME, CHANGED, EVENTS, PARCELS, ALERTS),
        *(PROMISES, HOURS_LATE, STAGES, LATE_NOW, SILENT),
        *(AUDIT, COMMANDS, ACTIONS, REJECTED, REJECTED_BY_SOURCE),
    ),
)
