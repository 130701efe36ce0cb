"""`ordertide state fetch`: the state of a running flow, from the bucket."""

import os
import random
import subprocess
import sys
from pathlib import Path

from tests.support.engine import ROOT, SECRETS, Engine
from tests.support.samples import END, some_orders


def test_a_state_can_be_fetched_from_the_bucket_and_is_whole(
    hosted: Engine, tmp_path: Path, rng: random.Random
) -> None:
    hosted.start()
    hosted.feed(some_orders(30, rng))
    hosted.tick(END)
    hosted.wait_for_clock(END)
    out = tmp_path / "fetched"
    settings = str(hosted.folder / "settings.toml")
    said = ordertide("state", "fetch", "--settings", settings, "--out", str(out))
    assert "as after commit" in said
    ordertide("state", "verify", "--settings", settings, "--store", str(out / "shards.sqlite"))
    hosted.stop()


def ordertide(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "run.py", *words],
        cwd=ROOT,
        env={**os.environ, **SECRETS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
