"""The process that ends what is left of an engine should its supervisor be killed.

Run as `python -m prox_spark.engine.life.guard PIPE SUPERVISOR_PID OWNER_PID OWNER_STARTED DIRECTORY`. The kernel ends the engine's
first process with the supervisor, but not what that one has started. The guard is nobody's child and in no session of the
engine's, so that it is not killed along; it sleeps until the pipe between the two breaks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from prox_spark.engine.host.executor import Owner
from prox_spark.engine.life.reaper import clear


def main(argv: list[str]) -> int:
    """Waits for the end of the supervisor, which alone holds the pipe's other end."""
    pipe, supervisor, pid, started, directory = argv
    os.read(int(pipe), 1)
    clear(int(supervisor), Owner(int(pid), float(started)), Path(directory))
    return 0


def leave_guard(owner: Owner, directory: Path) -> None:
    """Leaves a guard of the calling supervisor behind.

    Args:
        owner: the executor.
        directory: of the engine.
    """
    supervisor = os.getpid()
    reading, writing = os.pipe()  # the engine does not inherit it
    middle = os.fork()
    if middle:
        os.close(reading)
        os.waitpid(middle, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            os.close(writing)
            os.set_inheritable(reading, True)
            words = [str(reading), str(supervisor), str(owner.pid), repr(owner.started), str(directory)]
            os.execv(sys.executable, [sys.executable, "-m", "prox_spark.engine.life.guard", *words])
    finally:
        os._exit(0)  # never back into the supervisor's code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
