"""One window of requests per executor, shared by its task slots, which are processes that know nothing of each other."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from prox_spark.engine.locks import Lock, try_lock, unlock

# How soon the others notice a slot that came or was killed. What a living slot does they see at once.
_LOOK_SECONDS = 0.25
_RECORD = struct.Struct("<i?")


@dataclass(frozen=True)
class SlotState:
    """What a slot tells the others.

    Attributes:
        n_in_flight: prompts that it has sent and whose answers it has not yet passed on.
        is_hungry: it would send more if it had room. One that waits for its source or drains is not.
    """

    n_in_flight: int
    is_hungry: bool


def has_room(n_in_flight: int, others: list[SlotState], size: int) -> bool:
    """May a slot send one more prompt.

    What the slots that want no more leave of the window is shared out evenly among those that do. A slot that is alone has
    all of it; no slot is ever left with nothing in flight, be there more slots than window.

    Args:
        n_in_flight: of the slot that asks.
        others: the other slots of the executor.
        size: of the window.
    """
    if n_in_flight == 0:
        return True
    n_hungry = 1 + sum(other.is_hungry for other in others)
    share = (size - sum(other.n_in_flight for other in others if not other.is_hungry)) / n_hungry
    # The second: a slot that had more than its share gives it back only as its answers come in.
    return n_in_flight < share and n_in_flight + sum(other.n_in_flight for other in others) < size


class Share:
    """A task slot's part of the window, within a `with` block.

    Each slot has a numbered file with its state, locked while the slot lives: the kernel frees the lock of one that was
    killed, and its state no longer counts.

    Args:
        directory: where the slots of the executor find each other.
        size: requests in flight of all slots together.

    Attributes:
        n_in_flight: prompts sent and not yet passed on, of this slot.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._size = size

    def __enter__(self) -> Share:
        self.n_in_flight = 0
        self._is_hungry = False
        self._files: dict[int, IO[bytes]] = {}
        self._directory.mkdir(parents=True, exist_ok=True)
        # One that is free, or being looked at this moment by another slot; then the next does as well.
        self._number = next(n for n in range(2**16) if try_lock(self._file(n), Lock.EXCLUSIVE))
        self._tell()
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def sent(self) -> None:
        """A prompt is on its way."""
        self.n_in_flight += 1
        self._tell()

    def passed_on(self) -> None:
        """Its answer was handed to the consumer."""
        self.n_in_flight -= 1
        self._tell()

    def has_room(self) -> bool:
        """May this slot send one more prompt; says so to the others when it may not."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        others = [self._state(number) for number in self._living]
        room = has_room(self.n_in_flight, others, self._size)
        if room == self._is_hungry:
            self._is_hungry = not room
            self._tell()
        return room

    def _look(self) -> None:
        """Which other slots are alive: those whose files can't be locked."""
        self._looked = time.monotonic()
        numbers = (int(name) for name in os.listdir(self._directory))
        self._living = [number for number in numbers if number != self._number and self._is_locked(number)]

    def _is_locked(self, number: int) -> bool:
        file = self._file(number)
        if try_lock(file, Lock.SHARED):
            unlock(file)
            return False
        return True

    def _tell(self) -> None:
        os.pwrite(self._file(self._number).fileno(), _RECORD.pack(self.n_in_flight, self._is_hungry), 0)

    def _state(self, number: int) -> SlotState:
        record = os.pread(self._file(number).fileno(), _RECORD.size, 0)
        # A slot that has its lock and has not yet told anything.
        return SlotState(*_RECORD.unpack(record)) if record else SlotState(0, False)

    def _file(self, number: int) -> IO[bytes]:
        if number not in self._files:
            # Created where it is not, and never emptied: another slot may be using it.
            descriptor = os.open(self._directory / str(number), os.O_RDWR | os.O_CREAT, 0o600)
            self._files[number] = os.fdopen(descriptor, "r+b", buffering=0)
        return self._files[number]
