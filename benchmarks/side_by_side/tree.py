"""All processes of a way, wherever they are in the process tree: they carry a mark in their environment."""

from __future__ import annotations

import contextlib
import time
import uuid

import psutil

_NAME = "PROX_SPARK_WAY"
# Reading the PSS of a process takes milliseconds of the measured cores.
SAMPLE_SECONDS = 2.0


class Tree:
    """The processes of one run of a way, and their peak memory.

    Attributes:
        mark: environment variables that each of them inherits.
        peak_bytes: peak of the sum of their proportional set sizes (PSS: shared pages count once).
    """

    def __init__(self) -> None:
        self.mark = {_NAME: uuid.uuid4().hex}
        self.peak_bytes = 0
        self._next = 0.0
        self._is_own: dict[tuple[int, float], bool] = {}

    def __call__(self, pid: int) -> None:
        """Sample the memory, if the interval has passed."""
        if time.monotonic() < self._next:
            return
        total = 0
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        self.peak_bytes = max(self.peak_bytes, total)
        self._next = time.monotonic() + SAMPLE_SECONDS

    def members(self) -> list[psutil.Process]:
        """Return the running processes."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                key = (process.pid, process.create_time())
                # A process is checked again until it has the mark, since exec may give it another environment.
                if not self._is_own.get(key):
                    self._is_own[key] = self.mark.items() <= process.environ().items()
                if self._is_own[key]:
                    found.append(process)
        return found

    def end(self) -> None:
        """Kill the processes that still run."""
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                process.kill()
