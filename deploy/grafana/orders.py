"""Dashboard of orders: how many are late, by which rule, and how fast alerts reach people."""

from deploy.grafana.panels import Dashboard, Panel, Query

OPENED = 'ordertide_alerts_total{state="opened"}'

NUMBERS = (
    Panel(
        title="Overdue orders",
        queries=(Query('sum(ordertide:lane_orders:by_lane{lane="overdue"}) or vector(0)'),),
        meaning="Orders with an alert of severity overdue, now.",
        kind="stat",
        red_above=20,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Orders with a warning",
        queries=(Query('sum(ordertide:lane_orders:by_lane{lane="warning"}) or vector(0)'),),
        meaning="Orders whose worst alert is a warning, now.",
        kind="stat",
        columns=6,
        rows=4,
    ),
    Panel(
        title="Live orders",
        queries=(Query("sum(ordertide_live_orders)"),),
        meaning="Orders in the dataflow's memory, those not created yet included.",
        kind="stat",
        columns=6,
        rows=4,
    ),
    Panel(
        title="Overdue share",
        queries=(Query("ordertide:overdue:ratio"),),
        meaning="Overdue orders of all live ones; over 5 % there is an alert.",
        unit="percentunit",
        kind="stat",
        red_above=0.05,
        columns=6,
        rows=4,
    ),
)

RULES = (
    Panel(
        title="Open alerts by rule",
        queries=(Query("ordertide:open_alerts:by_rule", "{{rule}} ({{severity}})"),),
        meaning="Open alerts, as the channels have them.",
        stacked=True,
        columns=12,
        rows=9,
    ),
    Panel(
        title="Alerts opened a minute",
        queries=(Query(f"sum by (rule) (rate({OPENED}[5m])) * 60", "{{rule}}"),),
        meaning="New alerts, each counted once.",
        columns=12,
        rows=9,
    ),
    Panel(
        title="Alerts resolved a minute",
        queries=(
            Query(
                'sum by (rule) (rate(ordertide_alerts_total{state="resolved"}[5m])) * 60',
                "{{rule}}",
            ),
        ),
        meaning="Alerts whose reason went away.",
    ),
    Panel(
        title="Actions requested a minute",
        queries=(Query("sum by (kind) (rate(ordertide_actions_total[5m])) * 60", "{{kind}}"),),
        meaning="Requests by the rules: surveys, compensation, contacts to a carrier.",
    ),
)

STATUSES = (
    Panel(
        title="Live orders by status",
        queries=(Query("sum by (status) (ordertide:orders:by_status)", "{{status}}"),),
        meaning="Orders that are not retired yet; EMBRYO: nothing has created them so far.",
        stacked=True,
        columns=12,
        rows=9,
    ),
    Panel(
        title="Shipped orders by carrier",
        queries=(
            Query('sum by (carrier) (ordertide:orders:by_status{status="SHIPPED"})', "{{carrier}}"),
        ),
        meaning="What each carrier has under way; beyond 50 carriers they are one, other.",
        stacked=True,
        columns=12,
        rows=9,
    ),
)

DELIVERY = (
    Panel(
        title="From the dataflow's word to the receiver's yes",
        queries=(
            Query(
                "histogram_quantile(0.5, "
                "sum by (sink, le) (rate(ordertide_delivery_seconds_bucket[5m])))",
                "{{sink}} p50",
            ),
            Query("ordertide:delivery_seconds:p99", "{{sink}} p99"),
        ),
        meaning="How long the news of an order takes to its receiver.",
        unit="s",
        red_above=10,
        columns=12,
    ),
    Panel(
        title="Alerts that don't get through",
        queries=(Query("sum by (sink) (ordertide_notices_pending)", "{{sink}}"),),
        meaning="Posted when the receiver is back; over 5 minutes there is an alert.",
        red_above=1,
        columns=12,
    ),
    Panel(
        title="Posted to the channels a second",
        queries=(
            Query("sum by (sink, state) (rate(ordertide_notices_total[1m]))", "{{sink}} {{state}}"),
        ),
        meaning="Renewed ones are open alerts that stay open.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Snoozed alerts under a silence",
        queries=(
            Query("sum by (sink) (ordertide_silences)", "{{sink}}"),
            Query("sum by (sink) (ordertide_silences_pending)", "{{sink}} pending"),
        ),
        meaning="Pending: still to be made or ended there; over 10 minutes there is an alert.",
        columns=12,
    ),
)

ORDERS = Dashboard(
    uid="ordertide-orders",
    title="ordertide: orders",
    panels=(*NUMBERS, *RULES, *STATUSES, *DELIVERY),
)
