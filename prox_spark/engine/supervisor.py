"""The process between an executor and its engine: starts the engine and ends it when the executor has gone.

Run as `python -m prox_spark.engine.supervisor OWNER_PID OWNER_STARTED DIRECTORY -- COMMAND…`, in a session of its own, so that
nothing that Spark does to its Python workers (it kills their process group) reaches the engine. Imports little: it must be
there at once and cost nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from prox_spark.engine.executor import Owner

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.5
_TERM_SECONDS = 3.0


def main(argv: list[str]) -> int:
    """Runs the command until it ends or its owner does."""
    pid, started, folder, _, *command = argv
    directory = Path(folder)
    owner = Owner(int(pid), float(started))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    with (directory / "engine.log").open("ab") as output:
        engine = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
    seen: set[psutil.Process] = set()
    try:
        while engine.poll() is None and owner.is_alive():
            # Remembered while they are alive: a child of a dead engine is no longer its descendant.
            seen.update(_descendants())
            time.sleep(_POLL_SECONDS)
    finally:
        _end(seen | set(_descendants()))
        if not owner.is_alive():
            _tidy(directory)
    return engine.returncode or 0


def _tidy(directory: Path) -> None:
    """Nobody is left to read the log or look for the socket."""
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        directory.parent.rmdir()  # unless the executor had another engine


def _descendants() -> list[psutil.Process]:
    try:
        return list(psutil.Process().children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _end(processes: set[psutil.Process]) -> None:
    """Ends the engine and all it has started: asked first, then killed."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(list(processes), timeout=_TERM_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)  # psutil checks that the pid is still that process
    except psutil.NoSuchProcess:
        return


def _die_with_parent() -> None:
    """In the engine before exec: should the supervisor itself be killed, the kernel ends the engine."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
