"""All processes that a way has started, wherever they stand in the tree of processes: they carry its mark in their environment."""

from __future__ import annotations

import contextlib
import time
import uuid

import psutil

_NAME = "PROX_SPARK_WAY"
# Adding up the pages of a process takes milliseconds of the cores that are measured.
SAMPLE_SECONDS = 2.0


class Tree:
    """The processes of one run of a way, and the most memory that they had together.

    Attributes:
        mark: environment variables that each of them inherits.
        peak_bytes: sum of their proportional set sizes (PSS: what several share counts once).
    """

    def __init__(self) -> None:
        self.mark = {_NAME: uuid.uuid4().hex}
        self.peak_bytes = 0
        self._next = 0.0
        self._is_own: dict[tuple[int, float], bool] = {}

    def __call__(self, pid: int) -> None:
        """Looks once, if it is time."""
        if time.monotonic() < self._next:
            return
        total = 0
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        self.peak_bytes = max(self.peak_bytes, total)
        self._next = time.monotonic() + SAMPLE_SECONDS

    def members(self) -> list[psutil.Process]:
        """Those that run."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                key = (process.pid, process.create_time())
                # Between fork and exec a process has its parent's environment: it is of the same tree.
                if not self._is_own.get(key):
                    self._is_own[key] = self.mark.items() <= process.environ().items()
                if self._is_own[key]:
                    found.append(process)
        return found

    def end(self) -> None:
        """Kills those that are left over."""
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                process.kill()
