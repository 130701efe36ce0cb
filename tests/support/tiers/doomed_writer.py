"""A writer process that is killed at its n-th step through the code of storage_tiering.

Arguments: tier, where it is, log file, position file, n (0: never). At the end it prints how many
steps it took. Steps are calls and returns of Python functions there, and of what they call in C:
between them lie all places where a process can die with something half done.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import storage_tiering
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from storage_tiering.tier import Tier
from storage_tiering.warm.sqlite.tier import SqliteTier
from storage_tiering.writer import Writer, WriterSettings
from tests.support.tiers.log_file import LetterBox, LogReader, load

ROOM = str(Path(storage_tiering.__file__).parent)


class Doom:
    """Counts steps and ends the process, without a chance to tidy up, at the last one."""

    def __init__(self, last_step: int) -> None:
        self.last_step = last_step
        self.steps = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename.startswith(ROOM):
            self.steps += 1
            if self.steps == self.last_step:
                os.kill(os.getpid(), signal.SIGKILL)


def open_tier(name: str, where: str) -> Tier:
    if name == "redis":
        return RedisTier(connect(where), HotSettings(prefix="doomed:", safety_ttl_ms=None))
    if name == "sqlite":
        return SqliteTier(Path(where))
    settings = ArchiveSettings(seal_rows=60, seal_age_s=None)
    return ParquetTier(LocalFiles(Path(where)), settings)


def main() -> None:
    name, where, log, position, last_step = sys.argv[1:]
    reader = LogReader(load(Path(log)), Path(position))
    stop = threading.Event()
    settings = WriterSettings(batch_messages=25)
    doom = Doom(int(last_step))
    sys.setprofile(doom)
    writer = Writer(open_tier(name, where), reader, LetterBox(), stop=stop, settings=settings)
    while not reader.is_at_end:
        writer.step()
    stop.set()
    writer.run()
    sys.setprofile(None)
    print(doom.steps)


if __name__ == "__main__":
    main()
