"""The run lease as a worker process sees it."""

import os
import subprocess
import sys

import pytest

from commands.grant import Grant, stamp
from schemas.errors import Busy


def test_a_worker_flushes_only_while_the_lease_was_confirmed_lately() -> None:
    now_s = 100.0
    grant = Grant(valid_s=5.0, now_s=lambda: now_s)
    with pytest.raises(Busy):
        grant.verify()
    grant.renew(98.0)
    grant.verify()
    now_s = 102.9
    grant.verify()
    now_s = 103.0
    with pytest.raises(Busy, match="run lease"):
        grant.verify()
    grant.renew(103.0)
    grant.verify()


def test_what_arrives_late_takes_nothing_back() -> None:
    grant = Grant(valid_s=5.0, now_s=lambda: 100.0)
    grant.renew(99.0)
    grant.renew(90.0)
    grant.verify()


FOLLOWER = """
import time
from commands.grant import Grant, follow
grant = Grant(5.0, now_s=lambda: 7.0)
follow(grant, 0)
while not grant.is_recent():
    time.sleep(0.01)
print("granted", flush=True)
time.sleep(60)
"""


def test_a_worker_hears_of_the_lease_and_ends_with_whoever_has_it() -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWER], stdin=read, stdout=subprocess.PIPE
    ) as worker:
        os.close(read)
        os.write(write, stamp(1.0) + stamp(5.0))
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"granted\n"
        os.close(write)
        assert worker.wait(30) == -9
