"""Programs from the distribution: where they are, and what installs those that are missing."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from deploy.stack.errors import StackError

JDK = "openjdk-17-jdk-headless"
# Program → its package on Debian and Ubuntu.
PACKAGES = {
    "java": JDK,
    "javac": JDK,
    "mvn": "maven",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "redis-server": "redis-server",
}
# Elsewhere than on Debian it goes by its own name.
OTHER_NAMES = {"prometheus-alertmanager": "alertmanager"}


def find(program: str) -> str | None:
    """The path of a program: from JAVA_HOME for Java's, else from the PATH; None if missing."""
    java_home = os.environ.get("JAVA_HOME")
    if PACKAGES[program] == JDK and java_home:
        return shutil.which(program, path=Path(java_home, "bin"))
    found = shutil.which(program)
    if found is None and program in OTHER_NAMES:
        found = shutil.which(OTHER_NAMES[program])
    return found


def path_of(program: str) -> str:
    """The path of a program.

    Raises:
        StackError: it is missing; names the package that installs it.
    """
    require([program])
    return str(find(program))


def require(programs: Iterable[str]) -> None:
    """Check that all are installed.

    Raises:
        StackError: names every missing one, and the one command that installs them.
    """
    missing = sorted({program for program in programs if find(program) is None})
    if missing:
        packages = " ".join(sorted({PACKAGES[program] for program in missing}))
        raise StackError(
            f"not installed: {', '.join(missing)}; "
            f"run 'apt-get install -y --no-install-recommends {packages}'"
        )
