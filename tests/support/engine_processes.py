"""Search for processes of engines."""

from __future__ import annotations

from pathlib import Path

import psutil

from prox_spark.engine.host.executor import Owner

FAKE_ENGINE = Path(__file__).parent / "fake_engine"
# The owner of these tests' engines, because no JVM is above this process.
ME = Owner.of(psutil.Process())


def read_words(process: psutil.Process) -> list[str]:
    """Return the words of a process's command line; none where it has ended, also if nobody has waited for it."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def find_processes_in(directory: Path) -> list[psutil.Process]:
    """Find processes that work in a directory or below it: supervisors, guards, servers and the servers' children."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
