"""Child processes that end with their parent, however that ends.

The child's standard input is a pipe that only the parent holds. When the parent is gone, be it by
kill -9, reading it ends. A child of this code base reads it in a thread (`end_with_parent`); other
programs stand behind a shell that reads it (`start_program`). The kernel's parent-death signal
(prctl) would come too early: it is sent when the thread that started the child ends.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

Output = int | IO[bytes] | None

PROGRAM = """
folder="$1"
shift
"$@" &
read -r nothing
kill -TERM $!
wait $!
rm -rf "$folder"
"""


def start_child(
    command: Sequence[str],
    *,
    stdout: Output = None,
    stderr: Output = None,
    keeps: Iterable[int] = (),
    is_own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command that calls `end_with_parent`.

    `keeps` are descriptors that it inherits. In a session of its own it gets no Ctrl-C of our
    terminal.
    """
    return subprocess.Popen(  # noqa: S603 - the callers' own commands, never a user's text
        command,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        bufsize=0,
        pass_fds=[*keeps],
        start_new_session=is_own_session,
    )


def end_with_parent() -> None:
    """End this process as soon as its parent has ended.

    At once and without cleaning up: an unsupervised process would continue beside the next run.
    """

    def listen() -> None:
        while os.read(source, 1):
            pass  # nothing is ever written
        os.kill(os.getpid(), signal.SIGKILL)

    source = sys.stdin.fileno()
    threading.Thread(target=listen, name="parent", daemon=True).start()


def start_program(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start another program, silent and in a session of its own.

    It is terminated with this process, or by `end_program`; then `folder` is removed.
    """
    shell = ["/bin/sh", "-c", PROGRAM, "ordertide-child", str(folder), *command]
    return start_child(
        shell, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, is_own_session=True
    )


def end_program(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Terminate a program of `start_program`, and wait for its end.

    Raises:
        TimeoutExpired: it still runs.
    """
    close_input(process)
    process.wait(timeout_s)


def close_input(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe to a child, as the end of this process would."""
    assert process.stdin is not None
    process.stdin.close()
