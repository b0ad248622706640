"""Locks between processes that the kernel frees when their holder is gone, however it went."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import IO, Any


class Lock(IntEnum):
    """How a file is locked."""

    SHARED = fcntl.LOCK_SH
    EXCLUSIVE = fcntl.LOCK_EX


def lock(file: IO[Any]) -> None:
    """Waits for an open file and locks it, until it is closed."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: IO[Any], how: Lock) -> bool:
    """Locks an open file if that takes no waiting. Two openings of a file are two holders, also in one process."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(file: IO[Any]) -> None:
    """Gives the lock back; closing the file does so too."""
    fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked(directory: Path, name: str = "lock", wait: bool = True) -> Iterator[None]:
    """Holds the lock of a directory: a file in it.

    Raises:
        BlockingIOError: somebody else holds it, and we don't wait.
    """
    with (directory / name).open("a") as file:
        if wait:
            lock(file)
        elif not try_lock(file, Lock.EXCLUSIVE):
            raise BlockingIOError(f"somebody else holds {directory / name}")
        yield
