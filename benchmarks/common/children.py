"""Measured processes: none is left over, however the benchmark ends."""

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
    """A measured process failed; the message holds its last printed lines."""


def run_child(
    command: list[str], environment: dict[str, str], folder: Path, watch: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Run a program that prints one JSON object as its last line.

    Args:
        command: program and arguments.
        environment: the program's whole environment.
        folder: working folder of the program and folder of its log.
        watch: called ten times a second with the program's process id.

    Returns:
        The printed object.

    Raises:
        ChildError: the program failed.
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
        # Java's stack traces are left out: the error stands above them.
        lines = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("\tat ")]
        tail = lines[-_TAIL_LINES:]
        raise ChildError("\n".join([f"{' '.join(command[:2])} ended with {process.returncode}:", *tail]))
    return json.loads(printed.splitlines()[-1])


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], folder: Path, errors: Any
) -> Iterator[subprocess.Popen[bytes]]:
    # The child has a session of its own: Ctrl-C reaches only this process, which then ends JVM and workers, too.
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
    """Peak resident memory of each Python worker of Spark below a process."""

    def __init__(self) -> None:
        """Start without any worker."""
        self.peaks: dict[int, int] = {}

    def __call__(self, pid: int) -> None:
        """Read the memory of all workers once."""
        for process in _members(pid):
            # The JVM forks and execs the daemon: between the two it has the JVM's memory and another name.
            with contextlib.suppress(psutil.Error, IndexError):
                if any("pyspark.daemon" in part for part in process.cmdline()):
                    self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), process.memory_info().rss)

    @property
    def peak_bytes(self) -> int:
        """Peak of the largest worker, in bytes."""
        return max(self.peaks.values(), default=0)
