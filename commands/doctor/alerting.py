"""The doctor on where alerts go, and on Prometheus."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

from commands.deliver import plan_of
from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.doctor.http import HttpTarget, Unanswered
from schemas.errors import SettingsError
from schemas.topics import ORDERS_CHANGES

OUR_SERIES = 'count({__name__=~"ordertide_.+"})'


def receiver(context: CheckContext) -> Iterator[Finding]:
    """Alertmanager, or the webhook that alerts are posted to."""
    delivery = context.settings.delivery
    try:
        plan_of(delivery, ORDERS_CHANGES)
    except SettingsError as error:
        yield problem("settings", str(error), "correct the settings under [delivery]")
    target = HttpTarget(
        delivery.url, "[delivery] url", context.timeout_s, delivery.token, delivery.ca_file
    )
    if delivery.channel not in ASKED:
        yield ok("channel", f"{delivery.channel} is a plug-in's; its receiver is not looked at")
        return
    try:
        yield from ASKED[delivery.channel](target)
    except Unanswered as error:
        yield error.finding


def alertmanager(target: HttpTarget) -> Iterator[Finding]:
    """Check the version in its status, and its cluster."""
    answer = target.get("/api/v2/status")
    match answer.data:
        case {"versionInfo": {"version": str(version)}, "cluster": {"status": str(status)}}:
            yield ok("reachable", target.shown)
            yield ok("version", version)
        case _:
            yield problem(
                "reachable", f"{target.shown}: no Alertmanager", f"check {target.setting}"
            )
            return
    if status in {"ready", "disabled"}:
        yield ok("cluster", status)
    else:
        yield warning("cluster", status, "check the peers: an alert may be sent twice")
    yield answer.clock


def webhook(target: HttpTarget) -> Iterator[Finding]:
    """Check that a server answers there; the effect of a POST is not tried."""
    try:
        target.get("")
        yield ok("reachable", target.shown)
    except Unanswered as error:
        # A receiver of POSTs may not support GET.
        if error.status not in {404, 405}:
            raise
        yield ok("reachable", f"{target.shown} (GET is refused, as it may be)")


ASKED: dict[str, Callable[[HttpTarget], Iterator[Finding]]] = {
    "alertmanager": alertmanager,
    "webhook": webhook,
}


def prometheus(context: CheckContext) -> Iterator[Finding]:
    """Is it there, does it scrape us, and are our rules loaded?"""
    url = context.settings.telemetry.prometheus
    if url is None:
        yield ok("address", "[telemetry] prometheus is not set; not checked")
        return
    target = HttpTarget(url, "[telemetry] prometheus", context.timeout_s)
    try:
        yield from ready(target)
        yield from scraping(target)
        yield from rules(target)
    except Unanswered as error:
        yield error.finding


def ready(target: HttpTarget) -> Iterator[Finding]:
    """Its version and its clock, which decides when rules fire."""
    answer = target.get("/api/v1/status/buildinfo")
    match answer.data:
        case {"data": {"version": str(version)}}:
            yield ok("reachable", target.shown)
            yield ok("version", version)
            yield answer.clock
        case _:
            raise Unanswered(
                problem("reachable", f"{target.shown}: no Prometheus", f"check {target.setting}")
            )


def scraping(target: HttpTarget) -> Iterator[Finding]:
    """Series of ours, whatever the jobs are called."""
    match target.get(f"/api/v1/query?query={quote(OUR_SERIES)}").data:
        case {"data": {"result": [{"value": [_, str(count)]}]}}:
            yield ok("scraping", f"{count} series of ours")
        case _:
            remedy = "let it scrape [telemetry] port of every process, and start one"
            yield warning("scraping", "no series of ours", remedy)


def rules(target: HttpTarget) -> Iterator[Finding]:
    """Check that a rule queries one of our metrics."""
    match target.get("/api/v1/rules").data:
        case {"data": {"groups": list(groups)}}:
            queries = [rule.get("query", "") for group in groups for rule in group.get("rules", [])]
        case _:
            queries = []
    ours = sum("ordertide_" in query for query in queries)
    if ours:
        yield ok("rules", f"{ours} rules on our metrics")
    else:
        yield warning("rules", "none on our metrics", "load the rules under deploy/prometheus/")
