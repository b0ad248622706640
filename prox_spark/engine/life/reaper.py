"""Ending an engine and all that belongs to it, and nothing else."""

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
# The supervisor itself asks for three seconds before it kills.
_END_SECONDS = 8.0
_LOOK_SECONDS = 0.1


def find_processes(supervisor_pid: int, directory: Path) -> set[psutil.Process]:
    """The processes of an engine but for its supervisor, those whose parents are gone included.

    They are in the session that the supervisor opened and work in the engine's directory, as all that vLLM starts does.
    Both together prove it: a session's number is given out again, and anybody may look at the directory from a shell.
    """
    found = set()
    home = os.path.realpath(directory)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it has ended, or is another user's
            if process.pid != supervisor_pid and os.getsid(process.pid) == supervisor_pid and process.cwd() == home:
                found.add(process)
    return found


def end_processes(processes: Iterable[psutil.Process], term_seconds: float = _TERM_SECONDS) -> None:
    """Ends processes: asked first, then killed."""
    asked = list(processes)
    for process in asked:
        _signal(process, signal.SIGTERM)
    alive = _still_running(asked, term_seconds)
    # Python's tracker removes the shared memory of the others when they are gone, and then goes by itself.
    for kill in ([process for process in alive if not _is_tracker(process)], alive):
        for process in kill:
            _signal(process, signal.SIGKILL)
        alive = _still_running(alive, term_seconds)


def end_engine(engine: Engine, directory: Path) -> None:
    """Ends an engine by its supervisor, which ends all that belongs to it; does it itself where that one was killed."""
    if engine.supervisor.is_alive():
        with contextlib.suppress(psutil.NoSuchProcess):
            end_processes([psutil.Process(engine.pid)], _END_SECONDS)
    end_processes(find_processes(engine.pid, directory))


def clear(supervisor_pid: int, owner: Owner, directory: Path) -> None:
    """Ends what there is of an engine. With its owner gone nobody is left to read the log or look for the socket."""
    end_processes(find_processes(supervisor_pid, directory))
    if not owner.is_alive():
        shutil.rmtree(directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            (directory.parent / "lock").unlink(missing_ok=True)
            directory.parent.rmdir()  # unless the executor had another engine


def remove_leftovers() -> None:
    """Removes what executors that are gone have left, as a crash, a power cut or a failed start leaves it."""
    for directory, owner_is_alive in list_owner_directories():
        if owner_is_alive:
            continue
        for home, record in read_records(directory).items():
            # With its supervisor alive the engine is being ended just now.
            if record.engine and not record.engine.supervisor.is_alive():
                end_processes(find_processes(record.engine.pid, home))
        shutil.rmtree(directory, ignore_errors=True)


def _still_running(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended after so long. A zombie has; its parent, another worker perhaps, is in no hurry to ask how."""
    deadline = time.monotonic() + seconds
    while processes and (left := deadline - time.monotonic()) > 0:
        _, alive = psutil.wait_procs(processes, timeout=min(left, _LOOK_SECONDS))
        processes = [process for process in alive if not _is_zombie(process)]
    return processes


def _is_zombie(process: psutil.Process) -> bool:
    try:
        # One whose other threads still end has its memory, a GPU's too.
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
