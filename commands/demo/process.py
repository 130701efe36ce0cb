"""A command as a part of the demo: `python -m commands.demo.process track --settings FILE`.

It ends with the process that started it: the embedded broker is gone with that, and there is
nothing left to end cleanly.
"""

from commands.main import main
from telemetry.child_process import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
