"""Other systems, fetched once: a venv from its requirements, a Java program from its pom.

They lie beside the stack's jars (`deploy.stack.library.place`), named after their recipe, and
appear whole or not at all. Nothing of theirs comes into the project's own venv.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.stack.library import alone, place, run
from deploy.stack.programs import path_of, require

HERE = Path(__file__).parent


def python_of(system: str) -> Path:
    """The interpreter that has a system's requirements.

    Raises:
        StackError: pip fails; with its output.
    """
    requirements = HERE / system / "requirements.txt"

    def build(folder: Path) -> None:
        run([sys.executable, "-m", "venv", str(folder)], f"making a venv for {system}")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
        run([*pip, "-r", str(requirements)], f"installing {system}")

    return installed(system, [requirements], build) / "bin" / "python"


def classes_of(system: str) -> str:
    """The class path of a system's Java program.

    Raises:
        StackError: Maven is missing or fails; with its output.
    """
    pom = HERE / system / "pom.xml"

    def build(folder: Path) -> None:
        require(["java", "mvn"])
        goals = ["package", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        paths = [f"-DbuildDirectory={folder}", f"-DoutputDirectory={folder}/lib"]
        run([path_of("mvn"), "-q", "-B", "-f", str(pom), *goals, *paths], f"building {system}")

    home = installed(system, [pom, *sorted((HERE / system).rglob("*.java"))], build)
    return f"{home}/classes:{home}/lib/*"


def installed(system: str, recipe: list[Path], build: Callable[[Path], None]) -> Path:
    """The folder made by `build`, where it is missing."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in recipe)).hexdigest()[:8]
    home = place() / f"compare-{system}-{digest}"
    with alone(place()):
        if not home.is_dir():
            unfinished = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
            try:
                build(unfinished)
                unfinished.rename(home)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return home
