"""Locks between processes. The kernel frees a lock when its holder ends, even by SIGKILL."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import IO, Any


class Lock(IntEnum):
    """The two kinds of lock on a file."""

    SHARED = fcntl.LOCK_SH
    EXCLUSIVE = fcntl.LOCK_EX


def lock(file: IO[Any]) -> None:
    """Wait for the lock of an open file and hold it until the file is closed."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: IO[Any], how: Lock) -> bool:
    """Lock an open file without waiting and return whether it worked.

    Each opening of a file is a holder, also in one process.
    """
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(file: IO[Any]) -> None:
    """Release the lock. Closing the file also releases it."""
    fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked(directory: Path, name: str = "lock", wait: bool = True) -> Iterator[None]:
    """Hold the lock of a directory, which is a file in it.

    Raises:
        BlockingIOError: another process or thread holds the lock, and `wait` is off.
    """
    with (directory / name).open("a") as file:
        if wait:
            lock(file)
        elif not try_lock(file, Lock.EXCLUSIVE):
            raise BlockingIOError(f"another holder has the lock {directory / name}")
        yield
