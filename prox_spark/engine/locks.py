"""Locks between processes that the kernel frees when their holder is gone, however it went."""

from __future__ import annotations

import fcntl
from enum import IntEnum
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
