"""Which executor is this, and where does it keep its engines.

The executor is its JVM: two executors on a host are two JVMs, and every Python worker descends from the one it works for.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from prox_spark.errors import EngineStartError

_MAX_SOCKET_BYTES = 107


def started(process: psutil.Process) -> float:
    """Seconds; on Linux since the boot: the time since the epoch moves when the clock is set."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            raise psutil.NoSuchProcess(process.pid) from None
        return process.create_time()
    return int(fields.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Owner:
    """The process an engine lives and dies with. Start time makes the pair unique: pids are used again.

    Attributes:
        pid: process id.
        started: seconds after the boot.
    """

    pid: int
    started: float

    @classmethod
    def of(cls, process: psutil.Process) -> Owner:
        """The owner that is this process."""
        return cls(process.pid, started(process))

    def age_seconds(self) -> float:
        """Since its start."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started

    def is_alive(self) -> bool:
        """Does it still run; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            return started(process) == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def current_owner() -> Owner:
    """The executor JVM above this process; the process itself where there is none (a benchmark without Spark)."""
    this = psutil.Process()
    for process in this.parents():
        if process.name().startswith("java"):
            return Owner.of(process)
    return Owner.of(this)


def owner_directory(owner: Owner) -> Path:
    """Where the engines of an executor have their directories."""
    return _root() / f"{owner.pid}-{int(owner.started)}"


def remove_leftovers() -> None:
    """Removes the directories of executors that are gone, as a crash or a power cut leaves them."""
    for directory in _root().glob("*-*"):
        pid, _, second = directory.name.partition("-")
        if not (pid.isdigit() and second.isdigit() and directory.lstat().st_uid == os.getuid()):
            continue
        try:
            alive = int(started(psutil.Process(int(pid)))) == int(second)
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            shutil.rmtree(directory, ignore_errors=True)


def _root() -> Path:
    return Path(os.environ.get("PROX_SPARK_RUNTIME") or tempfile.gettempdir()) / f"prox-spark-{os.getuid()}"


def engine_directory(owner: Owner, key: str) -> Path:
    """A directory for one engine of one executor, ours alone (mode 0700).

    The path is short: a Unix socket's may have 107 bytes.

    Raises:
        EngineStartError: it can't be made, or belongs to somebody else.
    """
    path = owner_directory(owner) / key[:12]
    if len(os.fsencode(path / "s")) > _MAX_SOCKET_BYTES:
        raise EngineStartError(f"{path} is too long for a Unix socket: set PROX_SPARK_RUNTIME to a shorter directory")
    try:
        path.mkdir(parents=True, exist_ok=True)
        for directory in (path, path.parent, path.parent.parent):
            status = directory.lstat()  # a link would lead to where somebody else wants us
            if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                raise EngineStartError(
                    f"{directory} belongs to another user: set PROX_SPARK_RUNTIME to a directory of your own"
                )
            directory.chmod(0o700)
    except OSError as error:
        raise EngineStartError(
            f"can't make the engine's directory {path}: {error.strerror}. Set PROX_SPARK_RUNTIME to a writable local directory"
        ) from error
    return path
