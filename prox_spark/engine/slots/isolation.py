"""Access of the slots to an engine: many prompts of all slots at once, or one prompt alone.

It consists of two files in the engine's directory with kernel locks, so that a killed slot frees its locks:

* the room: a slot holds it (shared) while any of its own requests is in flight;
* the door: a slot that wants to be alone closes it (exclusive), waits until the room is empty, and asks. The other
  slots find the door closed, let their requests in flight end, and wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import IO

from prox_spark.locks import Lock, try_lock, unlock

_POLL_SECONDS = 0.05


class Isolation:
    """One slot's view of the room and the door. Use it within one event loop.

    Args:
        directory: directory of the engine.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._door, self._room = self._open("door"), self._open("room")
        self._n_inside = 0
        self._looked = 0.0
        self._was_open = False
        self._n_suspects = 0
        self._turn = asyncio.Lock()
        self._closed: ExitStack | None = None

    async def enter(self) -> None:
        """Enter the room for a request among others; wait while another slot is alone. `leave` must follow."""
        while not self._try_enter():
            await asyncio.sleep(_POLL_SECONDS)

    def leave(self) -> None:
        """Leave the room after a request."""
        self._n_inside -= 1
        if self._n_inside == 0:
            unlock(self._room)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold the engine alone: within the block no other request of any slot is in flight.

        The door stays closed until no prompt of this slot waits to be alone. If it opened after each prompt, other
        slots would enter, and the next prompt would wait for their requests to end.
        """
        self._n_suspects += 1
        try:
            async with self._turn:
                await self._close_door()
                yield
        finally:
            self._n_suspects -= 1
            if self._n_suspects == 0:
                self._open_door()

    def count_crash(self, run: str) -> int:
        """Count, while alone, a prompt that crashed the engine, and return the run's count on this executor."""
        with (self._directory / f"crashes-{run}").open("a+b") as crashes:
            crashes.write(b".")
            return crashes.tell()

    def close(self) -> None:
        """Release all locks."""
        self._open_door()
        self._door.close()
        self._room.close()

    def _try_enter(self) -> bool:
        if self._n_inside and self._was_open and time.monotonic() - self._looked < _POLL_SECONDS:
            # No slot can be alone while this one is inside. A closed door only asks it to leave soon.
            self._n_inside += 1
            return True
        self._looked = time.monotonic()
        self._was_open = try_lock(self._door, Lock.SHARED)
        if not self._was_open:
            return False
        try:
            if self._n_inside == 0 and not try_lock(self._room, Lock.SHARED):
                return False
            self._n_inside += 1
            return True
        finally:
            unlock(self._door)

    async def _close_door(self) -> None:
        if self._closed:
            return
        with ExitStack() as opened:
            # New openings, so that the locks also exclude the slot's own requests.
            for name in ("door", "room"):
                file = opened.enter_context(self._open(name))
                while not try_lock(file, Lock.EXCLUSIVE):
                    await asyncio.sleep(_POLL_SECONDS)
            self._closed = opened.pop_all()

    def _open_door(self) -> None:
        if self._closed:
            self._closed.close()
            self._closed = None

    def _open(self, name: str) -> IO[bytes]:
        return (self._directory / name).open("ab")
