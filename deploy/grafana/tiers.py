"""The dashboard about the tiers: how far behind, how fast, how busy."""

from deploy.grafana.engine import quantiles
from deploy.grafana.panels import Dashboard, Panel, Query

TIERS = Dashboard(
    uid="ordertide-tiers",
    title="ordertide: tiers",
    panels=(
        Panel(
            title="Behind the stream",
            queries=(Query("ordertide:tier_behind_stream:seconds", "{{tier}}"),),
            meaning="A tier's own delay: what it is behind the wall clock, less the stream's.",
            unit="s",
            red_above=300,
            columns=12,
        ),
        Panel(
            title="Written a second",
            queries=(Query("sum by (tier) (rate(ordertide_tier_records_total[1m]))", "{{tier}}"),),
            meaning="Changes and events.",
            columns=12,
        ),
        Panel(
            title="Time for a batch",
            queries=quantiles("ordertide_sink_seconds", "sink"),
            meaning="Of tiers and channels; the dataflow's own output is kafka.",
            unit="s",
            columns=12,
        ),
        Panel(
            title="Busy, in 5 minutes",
            queries=(Query("sum by (sink) (increase(ordertide_sink_busy_total[5m]))", "{{sink}}"),),
            meaning="The sink was away or overloaded, and the same batch was offered again.",
            red_above=3,
            columns=12,
        ),
        Panel(
            title="Archive's distance from retention",
            queries=(Query("min(ordertide_archive_headroom_seconds)", "headroom"),),
            meaning="How long until the broker deletes events that aren't archived.",
            unit="s",
            columns=12,
        ),
        Panel(
            title="Size",
            queries=(Query("max by (tier) (ordertide_tier_bytes)", "{{tier}}"),),
            meaning="What a tier takes up; of Redis, all that its servers use.",
            unit="bytes",
            columns=12,
        ),
    ),
)
