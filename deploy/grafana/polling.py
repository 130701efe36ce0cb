"""Dashboard of `ordertide poll`: how old news is, what carriers answer, what parcels need."""

from deploy.grafana.panels import Dashboard, Panel, Query

NUMBERS = (
    Panel(
        title="Oldest news of a parcel under way",
        queries=(Query("max(ordertide_carrier_news_age_seconds) or vector(0)"),),
        meaning="At most half an hour and the time of a request; after an hour there is an alert.",
        kind="stat",
        unit="s",
        red_above=3600,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Accounts refused, in an hour",
        queries=(
            Query(
                'count(sum by (carrier) (increase(ordertide_polls_total{outcome="refused"}[1h])) '
                "> 0) or vector(0)"
            ),
        ),
        meaning="The carrier takes their credentials no more.",
        kind="stat",
        red_above=0,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Parcels polled",
        queries=(Query("sum(max by (carrier) (ordertide_polled_parcels)) or vector(0)"),),
        meaning="Live parcels of carriers that don't push.",
        kind="stat",
        columns=6,
        rows=4,
    ),
    Panel(
        title="New scans in 24 hours",
        queries=(
            Query('sum(increase(ordertide_polled_scans_total{outcome="new"}[24h])) or vector(0)'),
        ),
        meaning="Written to events by the poller.",
        kind="stat",
        columns=6,
        rows=4,
    ),
)

FLOW = (
    Panel(
        title="Age of the oldest news",
        queries=(Query("max by (carrier) (ordertide_carrier_news_age_seconds)", "{{carrier}}"),),
        meaning="By account. It grows while the carrier doesn't answer, or the rate is too low.",
        unit="s",
        columns=12,
    ),
    Panel(
        title="Requests a minute",
        queries=(
            Query(
                "sum by (carrier, outcome) (rate(ordertide_polls_total[5m])) * 60",
                "{{carrier}} {{outcome}}",
            ),
        ),
        meaning="limited: a 429, the account's rate is above the carrier's. unknown: no such "
        "number. unreadable: an answer in another form.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Parcels by account",
        queries=(Query("max by (carrier) (ordertide_polled_parcels)", "{{carrier}}"),),
        meaning="1,400 parcels under way need about one parcel a second.",
        columns=12,
    ),
    Panel(
        title="Scans a minute",
        queries=(
            Query(
                "sum by (carrier, outcome) (rate(ordertide_polled_scans_total[5m])) * 60",
                "{{carrier}} {{outcome}}",
            ),
        ),
        meaning="New ones, and those that can't be read.",
        columns=12,
    ),
)

POLLING = Dashboard(uid="ordertide-polling", title="ordertide: polling", panels=(*NUMBERS, *FLOW))
