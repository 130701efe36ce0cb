"""Dashboard of `ordertide serve`: how many requests, how fast, how current, who is refused."""

from deploy.grafana.engine import quantiles
from deploy.grafana.panels import Dashboard, Panel, Query

NUMBERS = (
    Panel(
        title="Requests a second",
        queries=(Query("sum(ordertide:http_requests:rate5m)"),),
        meaning="Answered by all processes of serve, probes of readiness included.",
        kind="stat",
        columns=6,
        rows=4,
    ),
    Panel(
        title="Slowest route, p99",
        queries=(Query("max(ordertide:http_seconds:p99)"),),
        meaning="Over 2 s for ten minutes there is an alert, which names the route.",
        unit="s",
        kind="stat",
        red_above=2,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Live view behind",
        queries=(Query("max(ordertide_live_view_behind_seconds)"),),
        meaning="Of the process that is furthest behind; 0 with recorded history.",
        unit="s",
        kind="stat",
        red_above=60,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Failed by a fault of ours, in 15 minutes",
        queries=(
            Query('sum(increase(ordertide_http_requests_total{status="500"}[15m])) or vector(0)'),
        ),
        meaning="The log of serve has the trace beside the request_id of the answer.",
        kind="stat",
        red_above=0,
        columns=6,
        rows=4,
    ),
)

REQUESTS = (
    Panel(
        title="Requests by route, a second",
        queries=(Query("sum by (route) (ordertide:http_requests:rate5m)", "{{route}}"),),
        meaning="A route is a row of the route table, whoever's order it is about.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Requests by status, a second",
        queries=(Query("sum by (status) (ordertide:http_requests:rate5m)", "{{status}}"),),
        meaning="429: over its rate. 503: no slot, or Kafka or a tier is away. 500: our fault.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Time of a request",
        queries=quantiles("ordertide_http_seconds", "route"),
        meaning="From the request's head to its answer; of a stream to its beginning.",
        unit="s",
        red_above=2,
        columns=12,
    ),
    Panel(
        title="Refused a minute",
        queries=(
            Query(
                "sum by (class, reason) (rate(ordertide_http_refused_total[5m])) * 60",
                "{{class}} {{reason}}",
            ),
        ),
        meaning="limited: a caller over its rate. busy: no slot in 250 ms; start another serve.",
        stacked=True,
        columns=12,
    ),
)

VIEW = (
    Panel(
        title="Live orders by lane",
        queries=(Query("max by (lane) (ordertide_live_view_orders)", "{{lane}}"),),
        meaning="Every process holds all of them: the fullest view is shown.",
        stacked=True,
    ),
    Panel(
        title="Live view behind, by process",
        queries=(Query("ordertide_live_view_behind_seconds", "{{instance}}"),),
        meaning="All alike: the dataflow is behind. One alone: that process doesn't keep up.",
        unit="s",
        red_above=60,
    ),
    Panel(
        title="Readers of the stream",
        queries=(
            Query("sum(ordertide_stream_clients)", "readers"),
            Query("sum(increase(ordertide_stream_resets_total[10m]))", "resets in 10 minutes"),
        ),
        meaning="A reset: a reader was 1,000 orders behind, or came back too late.",
    ),
    Panel(
        title="Scans in pushes of carriers, a minute",
        queries=(
            Query(
                "sum by (carrier, outcome) (rate(ordertide_callback_scans_total[5m])) * 60",
                "{{carrier}} {{outcome}}",
            ),
        ),
        meaning="unmapped ones count as SCAN; unreadable ones are left out, and logged.",
        stacked=True,
    ),
    Panel(
        title="Processes that share their rates",
        queries=(
            Query("sum(ordertide_rates_shared)", "shared"),
            Query("count(ordertide_rates_shared)", "all"),
        ),
        meaning="Apart: the others count callers alone, who may have their rate at each.",
    ),
    Panel(
        title="Sign-ins at the issuer, a minute",
        queries=(
            Query(
                "sum by (status) "
                '(rate(ordertide_http_requests_total{route=~"/sign-in/oidc.*"}[5m])) * 60',
                "{{status}}",
            ),
        ),
        meaning="303: led there, or back and signed in. 401, 403: refused. 503: it is away.",
        stacked=True,
    ),
)

GATEWAY = Dashboard(
    uid="ordertide-gateway", title="ordertide: gateway", panels=(*NUMBERS, *REQUESTS, *VIEW)
)
