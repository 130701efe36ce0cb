"""Probes: orders of our own among the load, and when each of them was to be seen where.

A probe is one event: an order is paid, and its parcel is too warm. It has to appear in Redis and in
a search in Elasticsearch, and it opens an alert at once. It is sent on a schedule that never waits,
and its time counts from its scheduled instant (no coordinated omission).
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from elasticsearch import ApiError

from benchmarks.latency_installation import RunningInstallation
from broker.produce import Producer
from schemas.instants import format_instant
from schemas.topics import EVENTS
from storage_tiering.hot.opening import open_hot
from storage_tiering.warm.elastic.access import connect

REDIS_EVERY_S, ELASTICSEARCH_EVERY_S = 0.01, 0.1
MOST_ASKED = 500
UNAVAILABLE = 503
SEEN_BY = ("Redis", "Elasticsearch", "webhook")


class Sightings:
    """When each probe was to be sent and when it was first seen; times of `time.time()`."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.intended: dict[str, float] = {}
        self.seen: dict[str, dict[str, float]] = {where: {} for where in SEEN_BY}
        self.is_over = threading.Event()

    def pending(self, where: str) -> list[str]:
        """Probes that were sent and not seen there."""
        seen = self.seen[where]
        return [name for name in list(self.intended) if name not in seen][:MOST_ASKED]

    def see(self, where: str, names: Sequence[str]) -> None:
        """Note probes; only the first time counts."""
        now = time.time()
        for name in names:
            if name in self.intended:
                self.seen[where].setdefault(name, now)

    def latencies_ms(self, where: str) -> list[float]:
        """Of all that were seen, sorted."""
        seen = self.seen[where].items()
        return sorted((at - self.intended[name]) * 1e3 for name, at in seen)


def send_probes(
    installation: RunningInstallation, sightings: Sightings, per_s: float, seconds: float
) -> None:
    """Send them on schedule."""
    with Producer(installation.connection, linger_ms=0) as producer:
        began = time.time()
        for number in range(int(per_s * seconds)):
            due = began + number / per_s
            time.sleep(max(due - time.time(), 0))
            name = f"{sightings.tenant}-{number}"
            sightings.intended[name] = due
            producer.send(EVENTS, name.encode(), probe(sightings.tenant, name, due))


def probe(tenant: str, name: str, at: float) -> bytes:
    """The event of a probe."""
    said = {
        "event_id": f"{name}-paid",
        "source": "probe",
        "tenant": tenant,
        "order_id": name,
        "status_code": "PAID",
        "timestamp": format_instant(int(at * 1000)),
        "attributes": {"cold_chain": True, "temperature_max_c": 8.0, "temperature_c": 21.5},
    }
    return json.dumps(said).encode()


def watch_redis(installation: RunningInstallation, sightings: Sightings) -> None:
    """Poll for each probe as a reader does, until all is over."""
    tier = open_hot(installation.settings)
    while not sightings.is_over.wait(REDIS_EVERY_S):
        for name in sightings.pending("Redis"):
            if tier.find(sightings.tenant, name):
                sightings.see("Redis", [name])
    tier.close()


def watch_elasticsearch(installation: RunningInstallation, sightings: Sightings) -> None:
    """Search for the probes that have not been found."""
    warm = installation.settings.warm
    with connect(warm.url or "") as client:
        while not sightings.is_over.wait(ELASTICSEARCH_EVERY_S):
            names = sightings.pending("Elasticsearch")
            if not names:
                continue
            try:
                found = client.search(
                    index=f"{warm.prefix}-orders-*",
                    query={"terms": {"order_id": names}},
                    source_includes=["order_id"],
                    size=len(names),
                )
            except ApiError as error:
                if error.status_code != UNAVAILABLE:
                    raise
                continue  # an index that has just been made has no shard to query yet
            hits = [hit["_source"]["order_id"] for hit in found["hits"]["hits"]]
            sightings.see("Elasticsearch", hits)


@contextmanager
def watched(
    installation: RunningInstallation, webhook: "Webhook", sightings: Sightings
) -> Iterator[None]:
    """Watch everywhere at once."""
    webhook.hear = lambda names: sightings.see("webhook", names)
    with ThreadPoolExecutor(2) as pool:
        watches = [
            pool.submit(w, installation, sightings) for w in (watch_redis, watch_elasticsearch)
        ]
        try:
            yield
        finally:
            sightings.is_over.set()
    for watch in watches:
        watch.result()  # raises what ended it


class Webhook(ThreadingHTTPServer):
    """Receiver of Alertmanager's posts; calls `hear` with the orders in them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Posted)
        self.hear: Callable[[list[str]], None] = lambda _: None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """URL for posts."""
        return f"http://127.0.0.1:{self.server_port}"


class Posted(BaseHTTPRequestHandler):
    """One post."""

    server: Webhook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.hear([alert["labels"].get("order_id", "") for alert in body["alerts"]])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass
