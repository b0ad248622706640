"""The process that ends the rest of an engine whose supervisor was killed.

Run as `python -m prox_spark.engine.life.guard PIPE SUPERVISOR_PID OWNER_PID OWNER_STARTED DIRECTORY`. The kernel ends
the engine's first process with the supervisor, but not that process's children. The guard has no parent among the
engine's processes and is not in their session, so that it is not killed with them. It sleeps until the pipe to the
supervisor breaks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from prox_spark.engine.host.executor import Owner
from prox_spark.engine.life.reaper import clear


def main(argv: list[str]) -> int:
    """Wait for the end of the supervisor, which alone holds the pipe's other end, and clear up after it."""
    pipe, supervisor, pid, started, directory = argv
    os.read(int(pipe), 1)
    clear(int(supervisor), Owner(int(pid), float(started)), Path(directory))
    return 0


def leave_guard(owner: Owner, directory: Path) -> None:
    """Start a guard of the calling supervisor.

    Args:
        owner: the executor.
        directory: directory of the engine.
    """
    supervisor = os.getpid()
    reading, writing = os.pipe()  # not inherited by the engine
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
        os._exit(0)  # the child must never return into the supervisor's code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
