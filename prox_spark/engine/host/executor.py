"""The executor that this process works for, and the directories of its engines.

An executor is its JVM: two executors on a host are two JVMs, and every Python worker descends from the JVM that it
works for.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import platform
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from prox_spark.errors import EngineStartError

_MAX_SOCKET_BYTES = 107


def read_start_time(process: psutil.Process) -> float:
    """Return the start time of a process in seconds, on Linux since boot, because the wall clock can be changed."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):  # ProcessLookupError: it ended between opening and reading
        if Path("/proc/self/stat").exists():
            raise psutil.NoSuchProcess(process.pid) from None
        return process.create_time()
    return int(fields.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Owner:
    """The process that an engine ends with. The start time makes the pair unique, because pids are reused.

    Attributes:
        pid: process id.
        started: start time, see `read_start_time`.
    """

    pid: int
    started: float

    @classmethod
    def of(cls, process: psutil.Process) -> Owner:
        """Return the owner that is this process."""
        return cls(process.pid, read_start_time(process))

    def age_seconds(self) -> float:
        """Return the time since its start."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started

    def is_alive(self) -> bool:
        """Return True if it still runs. A zombie does not."""
        try:
            process = psutil.Process(self.pid)
            return read_start_time(process) == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def find_owner() -> Owner:
    """Return the executor JVM above this process.

    The process itself where there is none (a benchmark without Spark).
    """
    this = psutil.Process()
    for process in this.parents():
        if process.name().startswith("java"):
            return Owner.of(process)
    return Owner.of(this)


def locate_owner_directory(owner: Owner) -> Path:
    """Return the directory that holds the directories of an executor's engines."""
    return _root() / f"{owner.pid}-{int(owner.started)}-{_pid_namespace()}"


def list_owner_directories() -> Iterator[tuple[Path, bool]]:
    """Yield the directories of all executors of this user on this machine, each with whether its executor is alive."""
    for directory in _root().glob(f"*-*-{_pid_namespace()}"):
        pid, second, _ = directory.name.split("-")
        with contextlib.suppress(FileNotFoundError):  # another executor may remove it meanwhile
            if pid.isdigit() and second.isdigit() and directory.lstat().st_uid == os.getuid():
                yield directory, _is_running(int(pid), int(second))


@cache
def _pid_namespace() -> str:
    """Return an id of the pid namespace of this host or container.

    Without it, hosts and containers that share a directory would take each other's executors for dead.
    """
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return hashlib.sha256(f"{platform.node()}/{namespace}".encode()).hexdigest()[:6]


def _is_running(pid: int, second: int) -> bool:
    try:
        return int(read_start_time(psutil.Process(pid))) == second
    except psutil.NoSuchProcess:
        return False


def _root() -> Path:
    """Return the directory that all executors of this user share."""
    return Path(os.environ.get("PROX_SPARK_RUNTIME") or tempfile.gettempdir()) / f"prox-spark-{os.getuid()}"


def fits_socket(path: Path) -> bool:
    """Return True if a path is short enough for a Unix socket."""
    return len(os.fsencode(path)) <= _MAX_SOCKET_BYTES


def make_engine_directory(owner: Owner, key: str) -> Path:
    """Make and return the directory of one engine of one executor, ours alone (mode 0700).

    The path is short, because the path of a Unix socket has at most 107 bytes.

    Raises:
        EngineStartError: the directory can't be made, or belongs to another user.
    """
    path = locate_owner_directory(owner) / key[:12]
    if not fits_socket(path / "s"):
        raise EngineStartError(f"{path} is too long for a Unix socket: set PROX_SPARK_RUNTIME to a shorter directory")
    return make_private_directory(path)


def make_private_directory(path: Path) -> Path:
    """Make a directory of ours alone (mode 0700). So are its parents, up to the directory that all executors share.

    Raises:
        EngineStartError: the directory can't be made, or belongs to another user.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        for directory in itertools.takewhile(lambda above: above != _root().parent, (path, *path.parents)):
            status = directory.lstat()  # not `stat`: a link could lead to a place of another user's choice
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
