"""Locks between processes that the kernel frees when their holder is gone, however it went."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import IO


class Lock(IntEnum):
    """How a file is locked."""

    SHARED = fcntl.LOCK_SH
    EXCLUSIVE = fcntl.LOCK_EX


def try_lock(file: IO[bytes], how: Lock) -> bool:
    """Locks an open file if that takes no waiting. Two openings of a file are two holders, also in one process."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(file: IO[bytes]) -> None:
    """Gives the lock back; closing the file does so too."""
    fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked(directory: Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock of a directory.

    Raises:
        BlockingIOError: somebody else holds it, and we don't wait.
    """
    with (directory / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
