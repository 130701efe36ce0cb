"""`ordertide track --hosts`: one run on many hosts, with its state in a bucket.

Every host has a process that watches its workers. The first one's has the run lease: it begins the
runs, and starts its workers once all hosts have joined. The others wait for a run, make their files
ready and join it. A run has a fencing token, which each worker verifies before it flushes. What the
hosts tell each other lies in the bucket (dataflows/cluster/rendezvous.py).

When any process ends, bytewax ends its peers, and all hosts start again with the next run. When
any host is stopped, all end cleanly with the epoch they are in; the first host ends with that, the
others wait for the next run, and the first one waits for a host that has left.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from broker.lease import RunLease
from dataflows.cluster.begin_anew import Launch, prepare_bucket
from dataflows.cluster.coordinator import lead
from dataflows.cluster.host_workers import Part
from dataflows.cluster.open_store import STORE, Waits, journal_of, place_of
from dataflows.cluster.participant import follow
from dataflows.cluster.supervisor import lock_state, new_token, supervise
from dataflows.state.local.sqlite import MEMBERS
from dataflows.state.remote.run_start import Plan
from schemas.errors import SettingsError
from schemas.private_files import private_folder
from schemas.settings.kinds import fault_of_addresses
from schemas.settings.model import Settings

LOGGER = logging.getLogger("ordertide.track")


def on_hosts(launch: Launch) -> None:
    """Take part in runs until told to stop.

    Raises:
        OrdertideError: the settings, the state or the broker can't be used.
    """
    settings, connection, stop = launch.settings, launch.connection, launch.stop
    hosts = hosts_of(settings)
    if launch.begin_anew and settings.track.host:
        raise SettingsError(
            f"--begin-anew: this is host {settings.track.host}; give it to host 0, which begins "
            "the runs, and start this one without it"
        )
    path = Path(settings.track.folder) / STORE
    private_folder(path.parent)
    journal = journal_of(settings.state, stop.is_set, Waits())
    journal.owner()  # one try: a wrong setting shows here
    LOGGER.warning(
        "track: personal data is sealed with the key file of the host that reads it; a customer's "
        "key on one host is not the one on another (docs/operations.md, Many hosts)"
    )
    lock = lock_state(path, stop.is_set)
    track = settings.track
    part = Part(track.host, launch.command, journal, place_of(path), lock, stop)
    try:
        if track.host:
            follow(part)
            return
        with RunLease(connection, track.group, stopping=stop.is_set) as lease:
            plan = plan_of(hosts, track.workers)
            origin = prepare_bucket(launch.start(lease.verify), journal, part.place)
            origins = iter([origin])  # for the first run alone
            token = partial(new_token, lease, connection, track.group, stop)
            supervise(lambda: lead(part, plan, token, lease, next(origins, None)), stop)
    finally:
        lock.release()


def hosts_of(settings: Settings) -> list[str]:
    """The address of each host, if the other settings fit.

    Raises:
        SettingsError: they don't.
    """
    track = settings.track
    if fault := fault_of_addresses(track.hosts or ""):
        raise SettingsError(f"track.hosts: {fault}")
    hosts = [address.strip() for address in (track.hosts or "").split(",")]
    if settings.state.store == "folder":
        raise SettingsError('track.hosts needs the state in a bucket: set state.store = "s3"')
    if track.host >= len(hosts):
        raise SettingsError(
            f"track.host is {track.host}, but track.hosts lists {len(hosts)} hosts; "
            f"use a value from 0 to {len(hosts) - 1}"
        )
    if len(hosts) * track.workers > MEMBERS:
        raise SettingsError(
            f"{len(hosts)} hosts with {track.workers} workers each are more than {MEMBERS}, to "
            "which orders are shared out evenly; set track.workers lower"
        )
    return hosts


def plan_of(hosts: Sequence[str], workers: int) -> Plan:
    """The members of each run."""
    every = addresses(hosts, workers)
    return Plan(len(every), hosts=len(hosts), addresses=every)


def addresses(hosts: Sequence[str], workers: int) -> list[str]:
    """Addresses of each worker's exchange, host by host: the ports after the host's own."""
    found = []
    for host in hosts:
        name, _, port = host.rpartition(":")
        found += [f"{name}:{int(port) + worker}" for worker in range(workers)]
    return found
