"""The systems: how each is installed and started, in its own best settings."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.compare.installing import HERE, classes_of, python_of
from benchmarks.compare.job import Obstacle, Ready, SystemContext, topics_of
from benchmarks.core import short_lived_text
from deploy.installation import command_line, write_settings
from deploy.stack.errors import StackError
from deploy.stack.programs import path_of
from schemas.topics import ORDERS_AUDIT, ORDERS_CHANGES, ORDERS_EVENTS

# A session outlasts the turns of the others. librdkafka reckons it in us, in 32 bits: 3,600,000 ms,
# which it takes, runs out at once.
HELD_MS = 2_000_000
HEAP = "-Xmx6g"
# What Flink and the RocksDB bindings reach into, as their own start scripts have it.
OPENED = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.util", "java.nio", "sun.nio.ch", "java.util.concurrent")
]

RULES = """\
version = 1

[[rule]]
id = "carrier_silent"
per = "shipment"
statuses = ["SHIPPED"]
not_shipment_statuses = ["LABEL_CREATED", "DELIVERED", "RETURN_TO_SENDER"]
anchor = "last_update"
after = "{silence_ms}ms"
severity = "warning"
stale_after = "7d"
"""


def ordertide(context: SystemContext) -> Ready:
    """`ordertide track`: with the job's one rule, or with all that ship."""
    folder, trial = context.folder, context.trial
    track: dict[str, object] = {
        "clock": "recorded",
        "workers": 1,
        "folder": str(folder / "track"),
        "lifecycle": str(folder / "lifecycle.toml"),
    }
    if trial.rules == "like":
        track["rules"] = str(folder / "rules.toml")
        text = RULES.format(silence_ms=trial.silence_ms)
        (folder / "rules.toml").write_text(text, "utf-8")
    (folder / "lifecycle.toml").write_text(short_lived_text(), "utf-8")
    timeouts = dict.fromkeys(("session.timeout.ms", "max.poll.interval.ms"), str(HELD_MS))
    tables: dict[str, dict[str, object]] = {
        "broker": {"bootstrap": context.bootstrap, "properties": timeouts},
        "track": track,
        "privacy": {"keys": str(folder / "keys.json")},
        "telemetry": {"level": "WARNING"},
    }
    command = command_line("track", settings=write_settings(folder / "track.toml", tables))
    return Ready("ordertide", command, ORDERS_EVENTS, ORDERS_CHANGES, ORDERS_AUDIT)


def plain(name: str, context: SystemContext, *options: str) -> Ready:
    """Plain bytewax, in our own venv."""
    return with_job(
        name, [sys.executable, "-m", "benchmarks.compare.bytewax_plain.job"], context, *options
    )


def bytewax(context: SystemContext) -> Ready:
    """With Python's collector as it is."""
    return plain("bytewax", context)


def bytewax_gc_off(context: SystemContext) -> Ready:
    """With the collector off."""
    return plain("bytewax-gc-off", context, "gc-off")


def quix(context: SystemContext) -> Ready:
    """Quix Streams."""
    return with_job("quix", [str(python_of("quix")), str(HERE / "quix" / "job.py")], context)


def faust(context: SystemContext) -> Ready:
    """Faust-streaming."""
    python = str(python_of("faust_app"))
    return with_job("faust", [python, str(HERE / "faust_app" / "job.py")], context)


def flink_heap(context: SystemContext) -> Ready:
    """Flink with its state on the heap."""
    return flink("flink-heap", "hashmap", context)


def flink_rocksdb(context: SystemContext) -> Ready:
    """Flink with its state in RocksDB, incremental checkpoints."""
    return flink("flink-rocksdb", "rocksdb", context)


def flink(name: str, backend: str, context: SystemContext) -> Ready:
    """Flink in one process, parallelism 1."""
    every = str(context.trial.checkpoint_ms)
    return with_job(name, java("flink"), context, backend, every)


def kafka_streams(context: SystemContext) -> Ready:
    """Kafka Streams with RocksDB."""
    return with_job(
        "kafka-streams", java("kafka_streams"), context, str(context.trial.checkpoint_ms)
    )


def java(system: str) -> list[str]:
    """A Java program up to its arguments: both compilers, the serial collector (one core)."""
    logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
    options = [HEAP, "-XX:+UseSerialGC", "-XX:-UsePerfData", *OPENED, logging]
    return [path_of("java"), *options, "-cp", classes_of(system), "compare.Main"]


def with_job(name: str, command: Sequence[str], context: SystemContext, *options: str) -> Ready:
    """The arguments that all but ordertide share."""
    changes, alerts = topics_of(name)
    silence, folder = str(context.trial.silence_ms), str(context.folder)
    arguments = [context.bootstrap, changes, alerts, silence, folder, *options]
    return Ready(name, [*command, *arguments], changes, changes, alerts)


SYSTEMS: dict[str, Callable[[SystemContext], Ready]] = {
    "ordertide": ordertide,
    "bytewax": bytewax,
    "bytewax-gc-off": bytewax_gc_off,
    "quix": quix,
    "faust": faust,
    "kafka-streams": kafka_streams,
    "flink-heap": flink_heap,
    "flink-rocksdb": flink_rocksdb,
}


def made_ready(name: str, context: SystemContext) -> Ready | Obstacle:
    """A system with its folder, installed if it wasn't; or why it can't be."""
    folder = Path(context.folder) / name
    folder.mkdir()
    try:
        return SYSTEMS[name](context._replace(folder=folder))
    except StackError as reason:
        return Obstacle(name, str(reason))
