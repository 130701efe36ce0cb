"""The doctor on where alerts go, and on Prometheus."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

from commands.deliver import plan_of
from commands.doctor.findings import Finding, Visit, ok, problem, warning
from commands.doctor.http import Site, Unanswered
from schemas.errors import SettingsError
from schemas.topics import ORDERS_CHANGES

OUR_SERIES = 'count({__name__=~"ordertide_.+"})'


def receiver(visit: Visit) -> Iterator[Finding]:
    """Alertmanager, or the webhook that alerts are posted to."""
    delivery = visit.settings.delivery
    try:
        plan_of(delivery, ORDERS_CHANGES)
    except SettingsError as error:
        yield problem("settings", str(error), "correct the settings under [delivery]")
    site = Site(delivery.url, "[delivery] url", visit.timeout_s, delivery.token, delivery.ca_file)
    if delivery.channel not in ASKED:
        yield ok("channel", f"{delivery.channel} is a plug-in's; its receiver is not looked at")
        return
    try:
        yield from ASKED[delivery.channel](site)
    except Unanswered as error:
        yield error.finding


def alertmanager(site: Site) -> Iterator[Finding]:
    """Check the version in its status, and its cluster."""
    answer = site.get("/api/v2/status")
    match answer.data:
        case {"versionInfo": {"version": str(version)}, "cluster": {"status": str(status)}}:
            yield ok("reachable", site.shown)
            yield ok("version", version)
        case _:
            yield problem("reachable", f"{site.shown}: no Alertmanager", f"check {site.setting}")
            return
    if status in {"ready", "disabled"}:
        yield ok("cluster", status)
    else:
        yield warning("cluster", status, "check the peers: an alert may be sent twice")
    yield answer.clock


def webhook(site: Site) -> Iterator[Finding]:
    """Check that a server answers there; the effect of a POST is not tried."""
    try:
        site.get("")
        yield ok("reachable", site.shown)
    except Unanswered as error:
        # A receiver of POSTs may not support GET.
        if error.status not in {404, 405}:
            raise
        yield ok("reachable", f"{site.shown} (GET is refused, as it may be)")


ASKED: dict[str, Callable[[Site], Iterator[Finding]]] = {
    "alertmanager": alertmanager,
    "webhook": webhook,
}


def prometheus(visit: Visit) -> Iterator[Finding]:
    """Is it there, does it scrape us, and are our rules loaded?"""
    url = visit.settings.telemetry.prometheus
    if url is None:
        yield ok("address", "[telemetry] prometheus is not set; not checked")
        return
    site = Site(url, "[telemetry] prometheus", visit.timeout_s)
    try:
        yield from ready(site)
        yield from scraping(site)
        yield from rules(site)
    except Unanswered as error:
        yield error.finding


def ready(site: Site) -> Iterator[Finding]:
    """Its version and its clock, which decides when rules fire."""
    answer = site.get("/api/v1/status/buildinfo")
    match answer.data:
        case {"data": {"version": str(version)}}:
            yield ok("reachable", site.shown)
            yield ok("version", version)
            yield answer.clock
        case _:
            raise Unanswered(
                problem("reachable", f"{site.shown}: no Prometheus", f"check {site.setting}")
            )


def scraping(site: Site) -> Iterator[Finding]:
    """Series of ours, whatever the jobs are called."""
    match site.get(f"/api/v1/query?query={quote(OUR_SERIES)}").data:
        case {"data": {"result": [{"value": [_, str(count)]}]}}:
            yield ok("scraping", f"{count} series of ours")
        case _:
            advice = "let it scrape [telemetry] port of every process, and start one"
            yield warning("scraping", "no series of ours", advice)


def rules(site: Site) -> Iterator[Finding]:
    """Check that a rule queries one of our metrics."""
    match site.get("/api/v1/rules").data:
        case {"data": {"groups": list(groups)}}:
            queries = [rule.get("query", "") for group in groups for rule in group.get("rules", [])]
        case _:
            queries = []
    ours = sum("ordertide_" in query for query in queries)
    if ours:
        yield ok("rules", f"{ours} rules on our metrics")
    else:
        yield warning("rules", "none on our metrics", "load the rules under deploy/prometheus/")
