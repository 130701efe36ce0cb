"""HTTP load: wrk beside a server on its core, an open loop, and the web framework alone.

`python -m benchmarks.http_load PORT FILE` serves the file by the framework alone.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.installation import ROOT, Process
from deploy.stack.ports import free_port
from schemas.errors import OrdertideError
from telemetry.http_client import HttpClient, HttpFailed

SEED = 20_161_004
SERVE_CORE, OTHER_CORE = 0, 1
CONNECTIONS = 32
UP_WITHIN_S = 300.0
ANSWER_S = 30.0


class Answered(NamedTuple):
    """Outcome of a run of wrk: requests a second, their latencies in ms, and faults."""

    per_s: float
    p50_ms: float
    p99_ms: float
    faults: int


# ---------------------------------------------------------------- processes
def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on a core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # a thread that has ended meanwhile
            os.sched_setaffinity(int(task.name), {core})


def wait_until(is_so: Callable[[], bool], what: str, running: Process) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not is_so():
        running.check()
        if time.monotonic() - began > UP_WITHIN_S:
            raise OrdertideError(f"{what}: not within {UP_WITHIN_S:.0f} s\n{running.log_tail()}")
        time.sleep(0.1)
    return time.monotonic() - began


@contextmanager
def bare_framework(folder: Path, body: bytes) -> Iterator[str]:
    """The address of the framework alone, which answers everything with `body`."""
    port, file = free_port(), folder / "body.json"
    file.write_bytes(body)
    command = [sys.executable, "-m", "benchmarks.http_load", str(port), str(file)]
    process = Process(command, folder / "bare.log", environment={"PYTHONPATH": str(ROOT)})
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url), "the framework gets ready", process)
        pin(process.pid, SERVE_CORE)
        yield url
    finally:
        process.stop(ANSWER_S)


def answers(url: str) -> bool:
    """Return True if there is an answer 2xx."""
    try:
        HttpClient(url).request("GET")
    except HttpFailed:
        return False
    return True


# ---------------------------------------------------------------- wrk
def wrk(url: str, script: Path, seconds: int, connections: int) -> Answered:
    """Ask with wrk, on the other core: each connection as soon as it has its answer."""
    program = shutil.which("wrk")
    if program is None:
        raise OrdertideError("wrk is not installed: apt-get install wrk")
    command = ["taskset", "-c", str(OTHER_CORE), program, "-t1", f"-c{connections}"]
    command += [f"-d{seconds}s", "-s", str(script), url]
    said = subprocess.run(  # noqa: S603 - wrk
        command, capture_output=True, text=True, check=True
    ).stdout
    requests, micros, faults, p50, p99 = map(float, said.split("figures:")[1].split())
    return Answered(requests / (micros / 1e6), p50 / 1e3, p99 / 1e3, int(faults))


DONE = """
function done(summary, latency, requests)
   local faults = summary.errors
   io.write("figures: ", summary.requests, " ", summary.duration, " ",
      faults.connect + faults.read + faults.write + faults.status + faults.timeout, " ",
      latency:percentile(50), " ", latency:percentile(99), "\\n")
end
"""


def asking(folder: Path, paths: Sequence[str], key: str) -> Path:
    """A script of wrk that asks for paths by chance."""
    listed = "\n".join(paths)
    (folder / "paths.txt").write_text(listed, "utf-8")
    script = folder / "asking.lua"
    head = f"""
math.randomseed({SEED})
local paths = {{}}
for line in io.lines("{folder / "paths.txt"}") do paths[#paths + 1] = line end
local headers = {{ Authorization = "Bearer {key}" }}
function request() return wrk.format("GET", paths[math.random(#paths)], headers) end
"""
    script.write_text(head + DONE, "utf-8")
    return script


def sending(folder: Path, bodies: Sequence[bytes], key: str) -> Path:
    """A script of wrk that posts bodies one after the other, each once."""
    for number, body in enumerate(bodies):
        (folder / f"body-{number}.ndjson").write_bytes(body)
    script = folder / "sending.lua"
    head = f"""
local bodies, place = {{}}, 0
for number = 0, {len(bodies) - 1} do
   local file = io.open("{folder}/body-" .. number .. ".ndjson", "rb")
   bodies[#bodies + 1] = file:read("*a")
   file:close()
end
local headers = {{ Authorization = "Bearer {key}", ["Content-Type"] = "application/x-ndjson" }}
function request()
   place = place % #bodies + 1
   return wrk.format("POST", "/v1/events", headers, bodies[place])
end
"""
    script.write_text(head + DONE, "utf-8")
    return script


# ---------------------------------------------------------------- open loop
def paced(
    client_of: Callable[[], HttpClient], paths: Sequence[str], per_s: float, seconds: int
) -> list[float]:
    """Latencies in ms of requests at a rate, each from when it was to be sent, ascending."""
    began = time.perf_counter() + 0.5
    count = int(per_s * seconds)

    def ask(thread: int) -> list[float]:
        chance, client, found = random.Random(thread), client_of(), list[float]()
        for number in range(thread, count, CONNECTIONS):
            due_s = began + number / per_s
            time.sleep(max(due_s - time.perf_counter(), 0))
            client.request("GET", chance.choice(paths))
            found.append((time.perf_counter() - due_s) * 1e3)
        client.close()
        return found

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return sorted(chain.from_iterable(pool.map(ask, range(CONNECTIONS))))


def percentile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(int(len(ascending) * share), len(ascending) - 1)]


# ---------------------------------------------------------------- the framework alone
def application(body: bytes) -> Starlette:
    """One route, for every path."""

    async def answer(_: Request) -> Response:
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", answer)])


if __name__ == "__main__":
    port, file = sys.argv[1:]
    app = application(Path(file).read_bytes())
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False, http="httptools")
