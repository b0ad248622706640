"""Ending an engine and everything that belongs to it, and nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from prox_spark.engine.host.executor import Owner, list_owner_directories
from prox_spark.engine.life.record import Engine, read_records

_TERM_SECONDS = 3.0
# Longer than a supervisor needs, which itself waits three seconds after SIGTERM before it kills.
_END_SECONDS = 8.0
_LOOK_SECONDS = 0.1


def find_processes(supervisor_pid: int, directory: Path) -> set[psutil.Process]:
    """Find the processes of an engine without its supervisor, including those whose parents have ended.

    They are in the session that the supervisor opened, and their working directory is the engine's, as for every
    process that vLLM starts. Both conditions are needed: a session's number is reused, and a user's shell may be in the
    directory.
    """
    found = set()
    home = os.path.realpath(directory)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it has ended, or is another user's
            if process.pid != supervisor_pid and os.getsid(process.pid) == supervisor_pid and process.cwd() == home:
                found.add(process)
    return found


def end_processes(processes: Iterable[psutil.Process], term_seconds: float = _TERM_SECONDS) -> None:
    """End processes, first by SIGTERM, then by SIGKILL."""
    asked = list(processes)
    for process in asked:
        _signal(process, signal.SIGTERM)
    alive = _wait_for_end(asked, term_seconds)
    # Trackers come last: Python's resource tracker removes the others' shared memory when they have ended, and then
    # ends by itself.
    for kill in ([process for process in alive if not _is_tracker(process)], alive):
        for process in kill:
            _signal(process, signal.SIGKILL)
        alive = _wait_for_end(alive, term_seconds)


def end_engine(engine: Engine, directory: Path) -> None:
    """End an engine through its supervisor, which ends all its processes.

    End them here where the supervisor was killed.
    """
    if engine.supervisor.is_alive():
        with contextlib.suppress(psutil.NoSuchProcess):
            end_processes([psutil.Process(engine.pid)], _END_SECONDS)
    end_processes(find_processes(engine.pid, directory))


def clear(supervisor_pid: int, owner: Owner, directory: Path) -> None:
    """End all processes of an engine. Where its owner has ended, also remove its files, because no reader is left."""
    end_processes(find_processes(supervisor_pid, directory))
    if not owner.is_alive():
        shutil.rmtree(directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            (directory.parent / "lock").unlink(missing_ok=True)
            directory.parent.rmdir()  # fails where the executor had another engine


def remove_leftovers() -> None:
    """Remove the remains of executors that have ended, such as after a crash, a power cut or a failed start."""
    for directory, owner_is_alive in list_owner_directories():
        if owner_is_alive:
            continue
        for home, record in read_records(directory).items():
            # Where its supervisor is alive, that is ending the engine at this moment.
            if record.engine and not record.engine.supervisor.is_alive():
                end_processes(find_processes(record.engine.pid, home))
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_end(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end and return those that have not.

    Zombies count as ended: their parent may never reap them.
    """
    deadline = time.monotonic() + seconds
    while processes and (left := deadline - time.monotonic()) > 0:
        _, alive = psutil.wait_procs(processes, timeout=min(left, _LOOK_SECONDS))
        processes = [process for process in alive if not _is_zombie(process)]
    return processes


def _is_zombie(process: psutil.Process) -> bool:
    try:
        # A process whose other threads are still ending has its memory, also on a GPU.
        return bool(process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)
    except psutil.NoSuchProcess:
        return True


def _is_tracker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any("multiprocessing.resource_tracker" in word for word in process.cmdline())
    return False


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)  # psutil checks that the pid is still that process
