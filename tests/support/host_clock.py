"""The wall clock of `track`'s process, set wrong by whole seconds while it runs."""

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Self

import pytest

SOURCE = Path(__file__).with_name("set_clock.c")


class HostClock:
    """Its `environment` gives a process a wall clock that `set_wrong` sets."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler: cc builds the clock that is set wrong")
        library, path = folder / "set_clock.so", folder / "wrong_s"
        build = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(build, check=True)
        path.write_bytes(struct.pack("q", 0))
        self.file = path.open("r+b", buffering=0)
        self.environment = {"LD_PRELOAD": str(library), "SET_CLOCK_FILE": str(path)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def set_wrong(self, by_s: int) -> None:
        """Set it; 0 is right again."""
        self.file.seek(0)
        self.file.write(struct.pack("q", by_s))
