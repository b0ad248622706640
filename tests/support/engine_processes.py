"""Processes of engines, as tests look for them."""

from __future__ import annotations

from pathlib import Path

import psutil

from prox_spark.engine.host.executor import Owner

FAKE_ENGINE = Path(__file__).parent / "fake_engine"
# Of these tests the engines' owner: no JVM is above it.
ME = Owner.of(psutil.Process())


def find_processes_in(directory: Path) -> list[psutil.Process]:
    """Processes that work in a directory or below it: supervisors, their guards, servers and what those have started."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
