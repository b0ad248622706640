"""Edits of whole Arrow batches: lines go and strings are replaced as byte ranges, without a Python object for each document.

A batch is one buffer of text. Where lines begin is one scan of it; what is removed or replaced is a range of bytes; the new texts
are the pieces that stay, taken in order. Only what nothing is wrong with comes this way; `prox_spark.udfs.execute` says what becomes of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from prox_spark.udfs.arrow import Flags, Numbers
from prox_spark.udfs.words import count_words_of

_LINE_BREAK = 10


class Lines:
    r"""Where the lines of a batch of texts lie.

    Attributes:
        offsets: where each text begins, and where the last ends, in bytes.
        n_lines: of each text, as `text.split("\n")` has them.
    """

    def __init__(self, texts: pa.StringArray) -> None:
        """Looks for them, once over all bytes.

        Args:
            texts: without nulls.
        """
        _, ends, data = texts.buffers()
        offsets = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        self.offsets: Numbers = offsets.astype(np.int64)
        self.data = data if data is not None else pa.py_buffer(b"")
        begin, end = int(self.offsets[0]), int(self.offsets[-1])
        characters = np.frombuffer(self.data, np.uint8)[begin:end]
        self._breaks = np.flatnonzero(characters == _LINE_BREAK) + begin
        # The first line break in or behind each text.
        self._first = np.searchsorted(self._breaks, self.offsets)
        self.n_lines: Numbers = np.diff(self._first) + 1

    def begin(self, texts: Numbers, lines: Numbers) -> Numbers:
        """Return where lines begin; the one behind the last of a text begins where the text ends."""
        # What stands before a line, or where it would be.
        before = np.append(self._breaks, 0)[np.minimum(self._first[texts] + lines - 1, len(self._breaks))]
        begins = np.where(lines == 0, self.offsets[texts], before + 1)
        return np.where(lines >= self.n_lines[texts], self.offsets[texts + 1], begins)


@dataclass(frozen=True)
class Spans:
    """Lines to be removed.

    Attributes:
        text: number of the text in the batch.
        first: line.
        last: line, included.
    """

    text: Numbers
    first: Numbers
    last: Numbers

    def __len__(self) -> int:
        return len(self.text)

    def where(self, chosen: Flags | Numbers) -> Spans:
        """Return some of them."""
        return Spans(self.text[chosen], self.first[chosen], self.last[chosen])

    def in_order(self) -> Spans:
        """Return them by text and line."""
        return self.where(np.lexsort((self.first, self.text)))

    def overlapping(self) -> Numbers:
        """Return the texts in which two of them name the same line; of spans in order."""
        is_same = self.text[1:] == self.text[:-1]
        return self.text[1:][is_same & (self.first[1:] <= self.last[:-1])]

    def merged(self) -> Spans:
        """Return spans in order with those as one that follow each other without a line between."""
        if not len(self):
            return self
        follows = (self.text[1:] == self.text[:-1]) & (self.first[1:] == self.last[:-1] + 1)
        firsts = np.flatnonzero(np.concatenate(([True], ~follows)))
        lasts = np.append(firsts[1:], len(self)) - 1
        return Spans(self.text[firsts], self.first[firsts], self.last[lasts])


@dataclass(frozen=True)
class Replacements:
    """Ranges of bytes that become others; they lie in lines that stay, and apart.

    Attributes:
        text: number of the text in the batch.
        begin: of the bytes.
        end: behind them.
        new: what they become, UTF-8.
    """

    text: Numbers
    begin: Numbers
    end: Numbers
    new: Sequence[bytes]

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, int, bytes]]) -> Replacements:
        """Return those of a list of (text, begin, end, new)."""
        numbers = np.array([one[:3] for one in found], np.int64).reshape(-1, 3)
        return cls(numbers[:, 0], numbers[:, 1], numbers[:, 2], [one[3] for one in found])

    def without(self, texts: Flags) -> Replacements:
        """Return those of other texts than these."""
        stays = ~texts[self.text]
        new = [one for one, stay in zip(self.new, stays.tolist(), strict=True) if stay]
        return Replacements(self.text[stays], self.begin[stays], self.end[stays], new)


def words_of_lines(lines: Lines, spans: Spans) -> Numbers:
    """Return how many words the lines of each span have; of spans in order that are merged."""
    if not len(spans):
        return np.zeros(0, np.int64)
    begins, ends = lines.begin(spans.text, spans.first), lines.begin(spans.text, spans.last + 1)
    bounds = np.stack((begins, ends), axis=1).ravel()
    between = _pieces(pa.string(), lines, bounds)
    return count_words_of(between.take(pa.array(np.arange(0, len(bounds) - 1, 2))))


def edit(lines: Lines, spans: Spans, replacements: Replacements, emptied: Flags) -> pa.StringArray:
    """Return the texts without some lines, with some bytes replaced, some of them empty.

    Args:
        lines: of the texts.
        spans: in order and merged.
        replacements: of bytes in lines that stay.
        emptied: for each text, True if nothing of it stays.
    """
    spans, replacements = spans.where(~emptied[spans.text]), replacements.without(emptied)
    begins, ends = lines.begin(spans.text, spans.first), lines.begin(spans.text, spans.last + 1)
    # A line goes with the line break behind it; the last one has none, and goes with the one before it.
    begins = begins - ((spans.last + 1 == lines.n_lines[spans.text]) & (spans.first > 0))
    nothing_of = np.flatnonzero(emptied)
    begins = np.concatenate((begins, lines.offsets[nothing_of]))
    ends = np.concatenate((ends, lines.offsets[nothing_of + 1]))

    bounds = np.sort(np.concatenate((lines.offsets, begins, ends, replacements.begin, replacements.end)))
    n_pieces = len(bounds) - 1
    depth = np.zeros(n_pieces + 1, np.int64)
    np.add.at(depth, np.searchsorted(bounds, begins), 1)
    np.add.at(depth, np.searchsorted(bounds, ends), -1)
    stays = np.cumsum(depth)[:-1] == 0
    order = np.arange(n_pieces)
    # No range to replace is empty: of the bounds that are its beginning the last one is that of its piece.
    order[np.searchsorted(bounds, replacements.begin, "right") - 1] = n_pieces + np.arange(len(replacements.new))
    kind = pa.binary()
    pieces = pa.concat_arrays([_pieces(kind, lines, bounds), pa.array(replacements.new, kind)])
    taken = pieces.take(pa.array(order[stays]))
    n_before = np.concatenate(([0], np.cumsum(stays)))
    taken_offsets = np.frombuffer(taken.buffers()[1], np.int32)[taken.offset :]
    new_offsets = taken_offsets[n_before[np.searchsorted(bounds, lines.offsets)]]
    return pa.StringArray.from_buffers(
        len(lines.offsets) - 1, pa.py_buffer(np.ascontiguousarray(new_offsets)), taken.buffers()[2]
    )


def _pieces(kind: pa.DataType, lines: Lines, bounds: Numbers) -> pa.Array:
    """Return what lies between places in the bytes, which are in order, as an array over the same buffer."""
    buffers = [None, pa.py_buffer(bounds.astype(np.int32)), lines.data]
    return pa.Array.from_buffers(kind, len(bounds) - 1, buffers)
