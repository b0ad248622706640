"""One window of requests per executor, shared by its task slots, which are separate processes."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import threading
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from prox_spark.engine.host.executor import make_private_directory
from prox_spark.locks import Lock, locked, try_lock, unlock

# Time until the others notice a slot that came or was killed. They see the counts of a living slot at once.
_LOOK_SECONDS = 0.25
_RECORD = struct.Struct("<i?")


@dataclass(frozen=True)
class SlotState:
    """State of a slot as the other slots see it.

    Attributes:
        n_in_flight: the slot's prompts that the engine has.
        is_hungry: True if the slot would send more if it had room. A slot that waits for its source or drains is not
            hungry.
    """

    n_in_flight: int
    is_hungry: bool


def has_room(n_open: int, others: list[SlotState], size: int) -> bool:
    """Return True if a slot may send one more prompt.

    Hungry slots share evenly the part of the window that the other slots leave. A slot that is alone has the whole
    window. Every slot may have one prompt in flight, even with more slots than the window's size.

    Args:
        n_open: prompts that the slot has drawn and whose answers it has not passed on.
        others: the other slots of the executor.
        size: size of the window.
    """
    if n_open == 0:
        return True
    n_hungry = 1 + sum(other.is_hungry for other in others)
    share = (size - sum(other.n_in_flight for other in others if not other.is_hungry)) / n_hungry
    # The second condition: a slot above its share comes down to it only as its answers arrive.
    return n_open < share and n_open + sum(other.n_in_flight for other in others) < size


def count_in_flight(directory: Path) -> int:
    """Count the prompts of all living slots that have no answer yet.

    Args:
        directory: directory of the slots, see Share; it need not exist.
    """
    return sum(state.n_in_flight for state in _read_living_states(directory))


def _read_living_states(directory: Path) -> list[SlotState]:
    """Read the states of the slots that are alive."""
    found = []
    for path in directory.glob("*"):
        slot = _SlotFile(path)
        if slot.is_taken():
            found.append(slot.read())
        slot.close()
    return found


class Share:
    """A task slot's share of the window, within a `with` block.

    Each slot has a numbered file with its state, locked while the slot lives. The kernel frees the lock of a killed
    slot, and then its state no longer counts.

    Args:
        directory: the directory that all slots of the executor use.
        size: most requests in flight of all slots together.

    Attributes:
        n_open: prompts that this slot has sent and whose answers it has not passed on.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._size = size
        # Held from reading the counters until they are written, or the older of two threads' counts could be written
        # last.
        self._publishing = threading.Lock()

    def __enter__(self) -> Share:
        self.n_open = self._n_sent = self._n_answered = 0
        self._is_hungry = False
        self._slots: dict[int, _SlotFile] = {}
        self._directory.mkdir(parents=True, exist_ok=True)
        # The first free file, or a later one where another slot is checking the first at this moment.
        self._number = next(n for n in range(2**16) if try_lock(self._slot(n).file, Lock.EXCLUSIVE))
        self._publish()
        self._find_living_slots()
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots.values():
            slot.close()

    def count_sent(self) -> None:
        """Count a prompt that is being sent."""
        self.n_open += 1
        self._n_sent += 1
        self._publish()

    def count_answered(self) -> None:
        """Count an answer of the engine. This is the only method that another thread calls."""
        self._n_answered += 1
        self._publish()

    def count_passed_on(self) -> None:
        """Count an answer that was handed to the consumer."""
        self.n_open -= 1

    def has_room(self) -> bool:
        """Return True if this slot may send one more prompt. Where it may not, tell the others that it is hungry."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._find_living_slots()
        others = [self._slot(number).read() for number in self._living]
        room = has_room(self.n_open, others, self._size)
        if room == self._is_hungry:
            self._is_hungry = not room
            self._publish()
        return room

    def _find_living_slots(self) -> None:
        """Find the other slots that are alive: those whose files can't be locked."""
        self._looked = time.monotonic()
        numbers = (int(name) for name in os.listdir(self._directory))
        self._living = [n for n in numbers if n != self._number and self._slot(n).is_taken()]

    def _publish(self) -> None:
        with self._publishing:
            self._slots[self._number].write(SlotState(self._n_sent - self._n_answered, self._is_hungry))

    def _slot(self, number: int) -> _SlotFile:
        if number not in self._slots:
            self._slots[number] = _SlotFile(self._directory / str(number))
        return self._slots[number]


class PassingShare(Share):
    """A share of a window that belongs to no engine of ours. The last slot removes the directory.

    Args:
        home: the directory that all slots use, in the directory of their executor, see `locate_owner_directory`.
        size: as for Share.
    """

    def __init__(self, home: Path, size: int) -> None:
        super().__init__(home / "slots", size)
        self._home = home

    def __enter__(self) -> PassingShare:
        with self._home_locked():
            make_private_directory(self._home)
            super().__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        with self._home_locked():
            super().__exit__(*why)
            if not _read_living_states(self._directory):
                shutil.rmtree(self._home, ignore_errors=True)
                with suppress(OSError):
                    self._home.parent.rmdir()  # fails where the executor has an engine as well

    def _home_locked(self) -> AbstractContextManager[None]:
        """Held while a slot joins or leaves, so the last one out cannot delete the directory under a newcomer."""
        return locked(make_private_directory(self._home.parent.parent), "endpoints.lock")


class _SlotFile:
    """A slot's state in memory that all slots share. Its file is made where it is missing, and stays."""

    def __init__(self, path: Path) -> None:
        self.file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self.file.truncate(_RECORD.size)
        self._memory = mmap.mmap(self.file.fileno(), _RECORD.size)

    def is_taken(self) -> bool:
        if try_lock(self.file, Lock.SHARED):
            unlock(self.file)
            return False
        return True

    def write(self, state: SlotState) -> None:
        _RECORD.pack_into(self._memory, 0, state.n_in_flight, state.is_hungry)

    def read(self) -> SlotState:
        return SlotState(*_RECORD.unpack_from(self._memory))

    def close(self) -> None:
        self._memory.close()
        self.file.close()
