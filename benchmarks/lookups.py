"""Look-ups of orders in Redis, as a reader makes them, beside other work."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks.due_orders import Lateness
from benchmarks.scenario_installation import ScenarioInstallation
from schemas.keys import DEFAULT_TENANT
from storage_tiering.hot.opening import open_hot

PER_S = 50
WAIT_S = 0.1


class Lookups:
    """Looks up one of `names` at a time, 50 times a second."""

    def __init__(self, installation: ScenarioInstallation, names: Sequence[str]) -> None:
        self.installation = installation
        self.names = names
        self.ms: list[float] = []
        self.not_found = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        """Look up until it is over; it counts from when all of the names are there."""
        tier = open_hot(self.installation.settings)
        for name in self.names:
            while not tier.find(DEFAULT_TENANT, name) and not self.is_over.wait(WAIT_S):
                pass
        chance = random.Random(len(self.names))
        while not self.is_over.wait(1 / PER_S):
            began = time.perf_counter()
            found = tier.find(DEFAULT_TENANT, chance.choice(self.names))
            self.ms.append((time.perf_counter() - began) * 1e3)
            self.not_found += not found
        tier.close()

    def times(self) -> Lateness:
        """Their durations."""
        return Lateness(sorted(self.ms), 0, 0, self.not_found)


@contextmanager
def asking(installation: ScenarioInstallation, names: Sequence[str]) -> Iterator[Lookups]:
    """Run look-ups beside the caller's work."""
    asked = Lookups(installation, names)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asked.run)
        try:
            yield asked
        finally:
            asked.is_over.set()
    running.result()  # raises what ended it
