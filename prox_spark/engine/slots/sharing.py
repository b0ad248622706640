"""One window of requests per executor, shared by its task slots, which are processes that know nothing of each other."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from prox_spark.engine.host.executor import make_private_directory
from prox_spark.locks import Lock, locked, try_lock, unlock

# How soon the others notice a slot that came or was killed. What a living slot does they see at once.
_LOOK_SECONDS = 0.25
_RECORD = struct.Struct("<i?")


@dataclass(frozen=True)
class SlotState:
    """What a slot tells the others.

    Attributes:
        n_in_flight: prompts of its own that the engine has.
        is_hungry: it would send more if it had room. One that waits for its source or drains is not.
    """

    n_in_flight: int
    is_hungry: bool


def has_room(n_open: int, others: list[SlotState], size: int) -> bool:
    """May a slot send one more prompt.

    What the slots that want no more leave of the window is shared out evenly among those that do. A slot that is alone has
    all of it; no slot is ever left with nothing in flight, be there more slots than window.

    Args:
        n_open: prompts that the slot has drawn and whose answers it has not passed on.
        others: the other slots of the executor.
        size: of the window.
    """
    if n_open == 0:
        return True
    n_hungry = 1 + sum(other.is_hungry for other in others)
    share = (size - sum(other.n_in_flight for other in others if not other.is_hungry)) / n_hungry
    # The second: a slot that had more than its share gives it back only as its answers come in.
    return n_open < share and n_open + sum(other.n_in_flight for other in others) < size


def count_in_flight(directory: Path) -> int:
    """Prompts of all living slots that have no answer yet.

    Args:
        directory: of the slots, see Share; there need not be one.
    """
    return sum(state.n_in_flight for state in _living(directory))


def _living(directory: Path) -> list[SlotState]:
    """What the slots say that were not killed."""
    found = []
    for path in directory.glob("*"):
        slot = _SlotFile(path)
        if slot.is_taken():
            found.append(slot.state())
        slot.close()
    return found


class Share:
    """A task slot's part of the window, within a `with` block.

    Each slot has a numbered file with its state, locked while the slot lives: the kernel frees the lock of one that was
    killed, and its state no longer counts.

    Args:
        directory: where the slots of the executor find each other.
        size: requests in flight of all slots together.

    Attributes:
        n_open: prompts of this slot that were sent and whose answers have not been passed on.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._size = size

    def __enter__(self) -> Share:
        self.n_open = self._n_sent = self._n_answered = 0
        self._is_hungry = False
        self._slots: dict[int, _SlotFile] = {}
        self._directory.mkdir(parents=True, exist_ok=True)
        # One that is free, or being looked at this moment by another slot; then the next does as well.
        self._number = next(n for n in range(2**16) if try_lock(self._slot(n).file, Lock.EXCLUSIVE))
        self._tell()
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots.values():
            slot.close()

    def count_sent(self) -> None:
        """A prompt is on its way."""
        self.n_open += 1
        self._n_sent += 1
        self._tell()

    def count_answered(self) -> None:
        """The engine is done with one; called in another thread than all else."""
        self._n_answered += 1
        self._tell()

    def count_passed_on(self) -> None:
        """Its answer was handed to the consumer."""
        self.n_open -= 1

    def has_room(self) -> bool:
        """May this slot send one more prompt; says so to the others when it may not."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        others = [self._slot(number).state() for number in self._living]
        room = has_room(self.n_open, others, self._size)
        if room == self._is_hungry:
            self._is_hungry = not room
            self._tell()
        return room

    def _look(self) -> None:
        """Which other slots are alive: those whose files can't be locked."""
        self._looked = time.monotonic()
        numbers = (int(name) for name in os.listdir(self._directory))
        self._living = [n for n in numbers if n != self._number and self._slot(n).is_taken()]

    def _tell(self) -> None:
        self._slots[self._number].tell(SlotState(self._n_sent - self._n_answered, self._is_hungry))

    def _slot(self, number: int) -> _SlotFile:
        if number not in self._slots:
            self._slots[number] = _SlotFile(self._directory / str(number))
        return self._slots[number]


class PassingShare(Share):
    """A part of a window that has no engine to end with: its directory goes with the last slot.

    Args:
        home: where the slots find each other, in the directory of their executor, see `locate_owner_directory`.
        size: as for Share.
    """

    def __init__(self, home: Path, size: int) -> None:
        super().__init__(home / "slots", size)
        self._home = home

    def __enter__(self) -> PassingShare:
        with self._alone():
            make_private_directory(self._home)
            super().__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        with self._alone():
            super().__exit__(*why)
            if not _living(self._directory):
                shutil.rmtree(self._home, ignore_errors=True)
                with suppress(OSError):
                    self._home.parent.rmdir()  # unless it has an engine as well

    def _alone(self) -> AbstractContextManager[None]:
        """Lest one slot comes while the other goes."""
        return locked(make_private_directory(self._home.parent.parent), "endpoints.lock")


class _SlotFile:
    """A slot's state in memory that all slots see; its file is made where it is not, and stays."""

    def __init__(self, path: Path) -> None:
        self.file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self.file.truncate(_RECORD.size)
        self._memory = mmap.mmap(self.file.fileno(), _RECORD.size)

    def is_taken(self) -> bool:
        if try_lock(self.file, Lock.SHARED):
            unlock(self.file)
            return False
        return True

    def tell(self, state: SlotState) -> None:
        _RECORD.pack_into(self._memory, 0, state.n_in_flight, state.is_hungry)

    def state(self) -> SlotState:
        return SlotState(*_RECORD.unpack_from(self._memory))

    def close(self) -> None:
        self._memory.close()
        self.file.close()
