"""Dashboard of `ordertide act`: what waits, what ended how, which receivers take nothing."""

from deploy.grafana.engine import quantiles
from deploy.grafana.panels import Dashboard, Panel, Query

NUMBERS = (
    Panel(
        title="Receivers that take nothing",
        queries=(Query("count(max by (receiver) (ordertide_receiver_up) == 0) or vector(0)"),),
        meaning="Their last attempt failed; after half an hour there is an alert.",
        kind="stat",
        red_above=0,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Dead actions",
        queries=(Query('sum(ordertide_outbox{state="dead"}) or vector(0)'),),
        meaning="'ordertide act dead list' gives the reasons, 'dead replay' sends them again.",
        kind="stat",
        red_above=0,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Actions to be done",
        queries=(Query("sum(ordertide:outbox_unsent:by_receiver) or vector(0)"),),
        meaning="Waiting for their receiver, or failed and to be tried again.",
        kind="stat",
        red_above=100,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Done in 24 hours",
        queries=(
            Query('sum(increase(ordertide_action_outcomes_total{state="done"}[24h])) or vector(0)'),
        ),
        meaning="Actions that their receivers took.",
        kind="stat",
        columns=6,
        rows=4,
    ),
)

FLOW = (
    Panel(
        title="Actions in the outbox",
        queries=(Query("sum by (receiver, state) (ordertide_outbox)", "{{receiver}} {{state}}"),),
        meaning="Those that are not done, by receiver and state.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Actions that ended, a minute",
        queries=(
            Query(
                "sum by (receiver, state) (rate(ordertide_action_outcomes_total[5m])) * 60",
                "{{receiver}} {{state}}",
            ),
        ),
        meaning="skipped: the alert had ended. expired: its time was over before it was taken.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="From the request to the receiver's answer",
        queries=quantiles("ordertide_action_seconds", "receiver"),
        meaning="A receiver that was away shows in it for as long as it was.",
        unit="s",
        columns=12,
    ),
    Panel(
        title="Failed attempts, in 5 minutes",
        queries=(Query("sum by (sink) (increase(ordertide_sink_busy_total[5m]))", "{{sink}}"),),
        meaning="By receiver, beside those of tiers and channels; the log gives the answers.",
        columns=12,
    ),
    Panel(
        title="Requested against ended, a minute",
        queries=(
            Query("sum(rate(ordertide_actions_total[5m])) * 60", "requested by track"),
            Query("sum(rate(ordertide_action_outcomes_total[5m])) * 60", "ended"),
        ),
        meaning="Apart for long: the outbox fills, or act reads nothing.",
        columns=12,
    ),
    Panel(
        title="Actions in a batch",
        queries=(
            Query(
                "sum by (receiver) (rate(ordertide_action_batch_sum[5m]))"
                " / sum by (receiver) (rate(ordertide_action_batch_count[5m]))",
                "{{receiver}} mean",
            ),
            *quantiles("ordertide_action_batch", "receiver"),
        ),
        meaning="Of receivers with batches. Small while actions wait: batches are divided after "
        "failures, or most_bytes is reached.",
        columns=12,
    ),
    Panel(
        title="Deliveries to webhooks",
        queries=(Query("sum by (state) (ordertide_webhook_deliveries)", "{{state}}"),),
        meaning="Those that are not done, of all subscriptions. queued: behind one of their order.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="From a change to the answer of a webhook",
        queries=quantiles("ordertide_webhook_seconds"),
        meaning="A receiver that was away shows in it for as long as it was.",
        unit="s",
        columns=12,
    ),
    Panel(
        title="Webhooks",
        queries=(Query("max by (status) (ordertide_webhooks)", "{{status}}"),),
        meaning="failing: for less than three days; then a webhook is disabled, and gets nothing.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Attempts to deliver to webhooks, a minute",
        queries=(
            Query("sum by (state) (rate(ordertide_webhook_attempts_total[5m])) * 60", "{{state}}"),
            Query("sum(rate(ordertide_webhook_changes_total[5m])) * 60", "changes read"),
        ),
        meaning="failed ones are tried again. No changes read: the reader stands still.",
        columns=12,
    ),
    Panel(
        title="Answers of receivers",
        queries=(Query("max by (receiver) (ordertide_receiver_up)", "{{receiver}}"),),
        meaning="0 while the last attempt failed. Others aren't held up by it.",
        columns=12,
    ),
)

ACTIONS = Dashboard(uid="ordertide-actions", title="ordertide: actions", panels=(*NUMBERS, *FLOW))
