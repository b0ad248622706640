"""The process between an executor and its engine, which ends the engine when the executor ends or the engine hangs.

Run as `python -m prox_spark.engine.life.supervisor OWNER_PID OWNER_STARTED DIRECTORY IDLE_SECONDS HANG_SECONDS --
COMMAND…`, in a session of its own, so that Spark's signals to its Python workers' process group do not reach the
engine. It imports little, so that it starts at once and takes little memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from prox_spark.engine.host.executor import Owner
from prox_spark.engine.life.guard import leave_guard
from prox_spark.engine.life.heartbeat import HANGS, Heartbeat
from prox_spark.engine.life.reaper import clear, end_processes, find_processes
from prox_spark.engine.life.record import EngineRecord
from prox_spark.engine.wire.health import read_metrics
from prox_spark.engine.wire.metrics import Metrics
from prox_spark.locks import locked

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.5


def main(argv: list[str]) -> int:
    """Run the command until it ends, its owner ends, it is idle for IDLE_SECONDS, or it hangs for HANG_SECONDS.

    For both, `inf` is no limit.
    """
    pid, started, folder, idle_seconds, hang_seconds, _, *command = argv
    directory = Path(folder)
    owner = Owner(int(pid), float(started))
    leave_guard(owner, directory)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    with (directory / "engine.log").open("ab") as output:
        # vLLM leaves a temporary file at each start. This process keeps its own TMPDIR, because the directory of
        # engines may depend on it.
        engine = subprocess.Popen(
            command,
            env=os.environ | {"TMPDIR": folder},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )
    idle, heartbeat = Idle(directory, float(idle_seconds)), Heartbeat(directory, float(hang_seconds))
    try:
        while engine.poll() is None and owner.is_alive():
            if idle.is_over():
                _retire(directory, idle)
            if heartbeat.is_lost():
                _end_hung(directory, hang_seconds)
            time.sleep(_POLL_SECONDS)
    finally:
        clear(os.getpid(), owner, directory)
    status = engine.returncode or 0
    return status if status >= 0 else 128 - status  # a signal in a shell's notation


class Idle:
    """Detector of an engine that no client uses.

    Args:
        directory: directory of the engine.
        seconds: longest idle time; infinite for no limit.
    """

    def __init__(self, directory: Path, seconds: float) -> None:
        self._socket = str(directory / "s")
        self._seconds = seconds
        self._look_seconds = max(_POLL_SECONDS, min(seconds / 10, 60.0))
        self._last: Metrics | None = None
        self._used = self._looked = time.monotonic()

    def is_over(self) -> bool:
        """Return True if the idle time is over.

        Look only now and then, because each answer costs the server some time.
        """
        if self._seconds == float("inf") or time.monotonic() - self._looked < self._look_seconds:
            return False
        return self.is_over_now()

    def is_over_now(self) -> bool:
        """Look at once and return True if the idle time is over.

        An engine that starts or hangs does not count as idle.
        """
        now = read_metrics(self._socket)
        self._looked = time.monotonic()
        if now is None or now.in_flight or now != self._last:
            self._used = self._looked
        self._last = now
        return self._looked - self._used >= self._seconds


def _retire(directory: Path, idle: Idle) -> None:
    """End the idle engine under its lock, so that the next client starts another one and counts no death."""
    with contextlib.suppress(BlockingIOError), locked(directory, wait=False):
        if idle.is_over_now():
            EngineRecord.load(directory).retire().save(directory)
            end_processes(find_processes(os.getpid(), directory))


def _end_hung(directory: Path, hang_seconds: str) -> None:
    """End an engine that hangs. Its clients find their connections broken, as after any death, and start it again."""
    with (directory / "engine.log").open("a", encoding="utf-8") as log:
        log.write(f"{HANGS}: prompts waited {float(hang_seconds):g} s (engine.hang_seconds) and it counted no token\n")
    end_processes(find_processes(os.getpid(), directory))


def _die_with_parent() -> None:
    """Make the kernel end the engine if the supervisor is killed. This runs in the engine's process before exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
