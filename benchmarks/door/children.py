"""Processes that are measured: none is left over, whatever ends the benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

_TAIL_LINES = 15
_SAMPLE_SECONDS = 0.1


class ChildError(Exception):
    """A measured process failed; the message holds the last lines that it printed."""


def run_child(
    command: list[str], environment: dict[str, str], folder: Path, watch: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Runs a program that prints one JSON object as its last line.

    Args:
        command: program and arguments.
        environment: all of it.
        folder: where it runs, and its log is.
        watch: called ten times a second with its process id.

    Returns:
        What it printed.

    Raises:
        ChildError: it failed.
    """
    log = folder / "log"
    with log.open("wb") as errors, _process(command, environment, folder, errors) as process:
        out = process.stdout
        assert out is not None
        if watch:
            while process.poll() is None:
                watch(process.pid)
                time.sleep(_SAMPLE_SECONDS)
        printed = out.read().decode().strip()
        process.wait()
    if process.returncode or not printed:
        # Without Java's stack traces: what failed stands above them.
        lines = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("\tat ")]
        tail = lines[-_TAIL_LINES:]
        raise ChildError("\n".join([f"{' '.join(command[:2])} ended with {process.returncode}:", *tail]))
    return json.loads(printed.splitlines()[-1])


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], folder: Path, errors: Any
) -> Iterator[subprocess.Popen[bytes]]:
    # A session of its own: Ctrl-C reaches this process only, which then ends the whole group, JVM and workers too.
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        members = _members(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Spark's workers leave the group of their JVM.
        for member in members:
            with contextlib.suppress(psutil.Error):
                member.kill()
        process.wait()


def _members(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


class WorkerMemory:
    """Peaks of resident memory of Spark's Python workers below a process."""

    def __init__(self) -> None:
        """Begins with none seen."""
        self.peaks: dict[int, int] = {}

    def __call__(self, pid: int) -> None:
        """Looks once."""
        for process in _members(pid):
            # The JVM forks and execs the daemon: for a moment it has the JVM's memory and another name.
            with contextlib.suppress(psutil.Error, IndexError):
                if any("pyspark.daemon" in part for part in process.cmdline()):
                    self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), process.memory_info().rss)

    @property
    def peak_bytes(self) -> int:
        """Of the largest worker."""
        return max(self.peaks.values(), default=0)
