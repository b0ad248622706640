"""Who may be at the engine: many prompts of all slots at once, or one alone.

Two files in the engine's directory, locked by the kernel's means, so that a slot that is killed frees what it held:

* the room: a slot holds it (shared) while any request of its own is in flight;
* the door: whoever wants to be alone closes it (exclusive), waits until the room is empty, and asks. The others find the
  door closed, let their requests in flight come to an end, and wait.
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
    """One slot's view of the room and the door. To be used within one event loop.

    Args:
        directory: of the engine.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._door, self._room = self._opened("door"), self._opened("room")
        self._n_inside = 0
        self._looked = 0.0
        self._was_open = False
        self._n_suspects = 0
        self._turn = asyncio.Lock()
        self._closed: ExitStack | None = None

    async def enter(self) -> None:
        """Before a request among others; waits while somebody is alone. `leave` must follow."""
        while not self._entered():
            await asyncio.sleep(_POLL_SECONDS)

    def leave(self) -> None:
        """After that request."""
        self._n_inside -= 1
        if self._n_inside == 0:
            unlock(self._room)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Within it, no other request of any slot is in flight. The door stays closed until no prompt of this slot waits for it.

        Opened for each, other slots would slip in, and each would wait for these to end.
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
        """Notes, while alone, that a prompt crashed the engine; returns how many of a run have on this executor."""
        with (self._directory / f"crashes-{run}").open("a+b") as crashes:
            crashes.write(b".")
            return crashes.tell()

    def close(self) -> None:
        """Gives back all it held."""
        self._open_door()
        self._door.close()
        self._room.close()

    def _entered(self) -> bool:
        if self._n_inside and self._was_open and time.monotonic() - self._looked < _POLL_SECONDS:
            self._n_inside += 1  # while the slot is inside nobody is alone; the door only asks it to come out some time
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
            # Opened anew: to these locks the slot's own requests are like anybody's.
            for name in ("door", "room"):
                file = opened.enter_context(self._opened(name))
                while not try_lock(file, Lock.EXCLUSIVE):
                    await asyncio.sleep(_POLL_SECONDS)
            self._closed = opened.pop_all()

    def _open_door(self) -> None:
        if self._closed:
            self._closed.close()
            self._closed = None

    def _opened(self, name: str) -> IO[bytes]:
        return (self._directory / name).open("ab")
