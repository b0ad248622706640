"""The bytes of a file as stored, read in large pieces and looked at in small ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from prox_spark.readers.codecs import SKIPPABLE, skippable_bytes
from prox_spark.readers.signatures import HEAD_BYTES

# What is asked of the store at once.
_READ_BYTES = 4 << 20


class StoredBytes:
    """The bytes of a file as stored, with a place in them."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._held, self._held_from = b"", 0
        self.position = 0

    def take(self, n_bytes: int) -> bytes:
        """Reads so many bytes from the place on, or some fewer; none at the end only."""
        begin = self.position - self._held_from
        if not 0 <= begin < len(self._held):
            self._raw.seek(self.position)
            self._held, self._held_from, begin = self._raw.read(_READ_BYTES), self.position, 0
        taken = self._held[begin : begin + n_bytes]
        self.position += len(taken)
        return taken

    def peek(self, n_bytes: int) -> bytes:
        """Reads so many bytes, fewer at the end only, and stays where it is."""
        position, found = self.position, b""
        while len(found) < n_bytes and (block := self.take(n_bytes - len(found))):
            found += block
        self.position = position
        return found

    def head_behind_skippable(self) -> bytes:
        """The first bytes that are not those of a skippable frame; stays where it is."""
        position = self.position
        while SKIPPABLE.match(head := self.peek(HEAD_BYTES)):
            self.position += skippable_bytes(head)
        self.position = position
        return head

    def find_all(self, pattern: re.Pattern[bytes], begin: int) -> Iterator[int]:
        """Yields the places of a pattern of at most `HEAD_BYTES`; at the end the place is the file's end."""
        end, tail = begin, b""
        while True:
            self.position = end
            if not (block := self.take(_READ_BYTES)):
                return
            end, searched = self.position, tail + block
            for match in pattern.finditer(searched):
                # What the tail holds as a whole was found before.
                if match.end() > len(tail):
                    yield end - len(searched) + match.start()
            tail = searched[-HEAD_BYTES:]
