"""A process registers its address with Prometheus as long as it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from telemetry.health import HealthServer
from telemetry.scrape_target import ScrapeTarget


def targets(folder: Path) -> list[tuple[str, str]]:
    entries = [entry for file in folder.glob("*.json") for entry in json.loads(file.read_text())]
    return sorted((entry["labels"]["process"], *entry["targets"]) for entry in entries)


def served(folder: Path, process: str) -> HealthServer:
    return HealthServer(CollectorRegistry(), {}, target=ScrapeTarget(folder, process))


def test_it_stands_there_from_start_to_close(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "targets"
    server = served(folder, "write-hot")
    assert targets(folder) == []
    server.start()
    assert targets(folder) == [("write-hot", f"127.0.0.1:{server.port}")]
    server.close()
    assert targets(folder) == []


def test_two_processes_do_not_take_each_other_away(tmp_path: Path) -> None:
    one, other = served(tmp_path, "track"), served(tmp_path, "deliver")
    one.start()
    other.start()
    assert [process for process, _ in targets(tmp_path)] == ["deliver", "track"]
    one.close()
    assert [process for process, _ in targets(tmp_path)] == ["deliver"]
    other.close()


def test_what_a_killed_process_left_goes_with_the_next_start(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = ScrapeTarget(tmp_path, "track")
    left.path = left.path.with_name(left.path.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    left.put("127.0.0.1", 1)
    (tmp_path / "elsewhere.track.1.json").write_text("[]", "utf-8")  # of another host
    server = served(tmp_path, "track")
    server.start()
    assert not left.path.exists()
    assert (tmp_path / "elsewhere.track.1.json").exists()
    server.close()


def test_a_restart_keeps_the_instance_and_two_of_a_kind_have_two(tmp_path: Path) -> None:
    one, other = ScrapeTarget(tmp_path, "write-hot"), ScrapeTarget(tmp_path, "write-hot")
    other.path = other.path.with_name(other.path.name.replace(".json", "0.json"))  # of another pid
    one.put("127.0.0.1", 1)
    other.put("127.0.0.1", 2)
    assert instances(tmp_path) == [f"{one.host}/write-hot", f"{one.host}/write-hot-2"]
    one.remove()
    again = ScrapeTarget(tmp_path, "write-hot")
    again.put("127.0.0.1", 3)
    assert instances(tmp_path)[0] == f"{one.host}/write-hot"
    again.remove()
    other.remove()


def instances(folder: Path) -> list[str]:
    entries = [entry for file in folder.glob("*.json") for entry in json.loads(file.read_text())]
    return sorted(entry["labels"]["instance"] for entry in entries)


def test_one_that_answers_everywhere_is_named_by_its_host(tmp_path: Path) -> None:
    target = ScrapeTarget(tmp_path, "track")
    target.put("0.0.0.0", 9464)  # noqa: S104 - it is written down, not listened on
    assert targets(tmp_path) == [("track", f"{target.host}:9464")]
    target.remove()
