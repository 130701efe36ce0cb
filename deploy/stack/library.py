"""Servers' jars, fetched once into a place that tests, CI and people share.

What lies there is named after its contents' recipe, and appears whole or not at all: it is built in
a folder beside it and then renamed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

from deploy.stack.errors import StackError
from deploy.stack.programs import path_of, require

PLACE_VARIABLE = "ORDERTIDE_STACK_LIB"
DEFAULT_PLACE = ".stack/lib"
HERE = Path(__file__).parent
POMS = HERE / "poms"
CONFIG = HERE / "config"
DOWNLOAD_TIMEOUT_S = 900.0


def place() -> Path:
    """The shared folder: ORDERTIDE_STACK_LIB, else .stack/lib in the working folder."""
    return Path(os.environ.get(PLACE_VARIABLE, DEFAULT_PLACE)).absolute()


def version_of(server: str) -> str:
    """The version of a server that its pom names."""
    pom = ET.parse(POMS / server / "pom.xml")  # noqa: S314 - our own file
    version = pom.findtext(".//{*}properties/{*}server.version")
    assert version is not None, f"the pom of {server} names no server.version"
    return version


def installed(server: str, recipe: list[Path], build: Callable[[Path], None]) -> Path:
    """The folder of a server in the library, built where it is missing.

    `recipe` are the files that decide its contents: with a change in one of them it is another
    folder, so that nothing stale is used. `build` fills the folder that it is given.

    Raises:
        StackError: Maven is missing or fails.
    """
    home = home_of(server, recipe)
    if not home.is_dir():
        # One at a time: Maven's own cache, which all share, isn't made for several at once.
        with alone(place()):
            if not home.is_dir():
                _build(home, build)
    return home


def home_of(server: str, recipe: list[Path]) -> Path:
    """A server's folder, installed or not."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(recipe)))
    return place() / f"{server}-{version_of(server)}-{digest.hexdigest()[:8]}"


def is_installed(server: str, recipe: list[Path]) -> bool:
    """Return True if a server's folder exists."""
    return home_of(server, recipe).is_dir()


def copy_jars(server: str, *options: str) -> None:
    """Have Maven copy a server's pom with its dependencies; `options` give the destination.

    Raises:
        StackError: Maven is missing or fails.
    """
    require(["java", "mvn"])
    pom = POMS / server / "pom.xml"
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    run([path_of("mvn"), "-q", "-B", "-f", str(pom), *goal, *options], f"fetching {server}'s jars")


def run(command: list[str], what: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program to its end, with `environment` beside our own.

    Raises:
        StackError: it fails; with its output.
    """
    done = subprocess.run(  # noqa: S603 - our own commands, never a user's text
        command,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=DOWNLOAD_TIMEOUT_S,
    )
    if done.returncode:
        output = f"{done.stdout}{done.stderr}".strip()[:1500]
        raise StackError(f"{what} failed: {output}; run it again when that is mended")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Until the end of the block no other process is in one for this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # goes with the file descriptor, however we end
        yield


def _build(home: Path, build: Callable[[Path], None]) -> None:
    for left in home.parent.glob(f".{home.name}-*"):  # by a build that was killed
        shutil.rmtree(left)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    try:
        build(unfinished)
        unfinished.chmod(0o755)  # mkdtemp's 700 would keep the others out who share it
        unfinished.rename(home)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
