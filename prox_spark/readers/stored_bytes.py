"""The bytes of a file as stored. They are read from the store in large pieces and used in small ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from prox_spark.readers.codecs import SKIPPABLE, measure_skippable
from prox_spark.readers.signatures import HEAD_BYTES

# Bytes of one request to the store.
_READ_BYTES = 4 << 20


class StoredBytes:
    """The bytes of a file as stored, with a position in them."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._held, self._held_from = b"", 0
        self.position = 0

    def take(self, n_bytes: int) -> bytes:
        """Read up to this many bytes from the position on, and move behind them. No bytes mean the end."""
        begin = self.position - self._held_from
        if not 0 <= begin < len(self._held):
            self._raw.seek(self.position)
            self._held, self._held_from, begin = self._raw.read(_READ_BYTES), self.position, 0
        taken = self._held[begin : begin + n_bytes]
        self.position += len(taken)
        return taken

    def peek(self, n_bytes: int) -> bytes:
        """Read this many bytes, fewer only at the end, without moving."""
        position, found = self.position, b""
        while len(found) < n_bytes and (block := self.take(n_bytes - len(found))):
            found += block
        self.position = position
        return found

    def peek_behind_skippable(self) -> bytes:
        """Read the first bytes after any skippable frames, without moving."""
        position = self.position
        while SKIPPABLE.match(head := self.peek(HEAD_BYTES)):
            self.position += measure_skippable(head)
        self.position = position
        return head

    def find_all(self, pattern: re.Pattern[bytes], begin: int) -> Iterator[int]:
        """Yield the offsets of a pattern of at most `HEAD_BYTES`. Afterwards the position is the file's end."""
        end, tail = begin, b""
        while True:
            self.position = end
            if not (block := self.take(_READ_BYTES)):
                return
            end, searched = self.position, tail + block
            for match in pattern.finditer(searched):
                # A match within the tail was found before.
                if match.end() > len(tail):
                    yield end - len(searched) + match.start()
            tail = searched[-HEAD_BYTES:]
