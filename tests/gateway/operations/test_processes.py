"""Conservation, from the metrics of processes that register themselves."""

from pathlib import Path

from gateway.operations.processes import conservation, processes_in
from telemetry.health import HealthServer
from telemetry.metrics import Metrics
from telemetry.scrape_target import ScrapeTarget


def test_workers_are_added_up_and_what_is_in_no_other_part_is_under_way(tmp_path: Path) -> None:
    servers = []
    for read, applied in ((100, 90), (50, 49)):
        metrics = Metrics("track")
        metrics.messages_read.inc(read)
        metrics.applied.inc(applied)
        metrics.rejected.labels("unknown_status").inc(1)
        metrics.rejected.labels("malformed_json").inc(1)
        metrics.waiting.set(2)
        target = ScrapeTarget(tmp_path, "track")
        target.path = tmp_path / f"host.track.{read}.json"
        server = HealthServer(metrics.registry, {}, "127.0.0.1", 0, target)
        server.start()
        servers.append(server)
    found = processes_in(tmp_path)
    kept = conservation(found)
    for server in servers:
        server.close()
    assert len(found) == 2
    assert kept is not None
    assert (kept.read, kept.parts["applied"], kept.parts["rejected"]) == (150, 139, 4)
    assert (kept.waiting, kept.under_way) == (4, 3)


def test_a_process_that_is_gone_gives_no_answer_and_no_line(tmp_path: Path) -> None:
    left = '[{"targets": ["127.0.0.1:1"], "labels": {"process": "track", "instance": "a/track"}}]'
    (tmp_path / "a.track.1.json").write_text(left)
    (found,) = processes_in(tmp_path)
    assert (found.instance, found.samples) == ("a/track", None)
    assert conservation([found]) is None
    assert processes_in(None) == processes_in(tmp_path / "nothing") == []
