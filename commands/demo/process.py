"""A command as a part of the demo: `python -m commands.demo.process track --settings FILE`.

It ends with the process that started it, however that ends: standard input is a pipe which only
that process holds, and reading it ends when the process is gone. Then the embedded broker is gone
with it, and there is nothing left to end cleanly.
"""

import os
import sys
import threading

from commands.main import main

ORPHANED = 3  # exit code


def end_with_parent() -> None:
    """Wait for the end of standard input, then end this process."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    main()
