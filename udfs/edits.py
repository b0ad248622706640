"""Edits of whole Arrow batches: lines are removed and strings replaced as byte ranges, without a Python object per document.

A batch is one buffer of text. One scan finds where lines begin; each removal or replacement is a range of bytes; the new texts are
the pieces that stay, taken in order. Only documents without findings are edited here; `prox_spark.udfs.execute` handles the others.
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
    r"""The positions of the lines in a batch of texts.

    Attributes:
        offsets: where each text begins and where the last one ends, in bytes.
        n_lines: number of lines of each text, as in `text.split("\n")`.
    """

    def __init__(self, texts: pa.StringArray) -> None:
        """Find the lines in one scan over all bytes.

        Args:
            texts: the texts, without nulls.
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

    def find_begins(self, texts: Numbers, lines: Numbers) -> Numbers:
        """Return where lines begin; the line behind the last one of a text begins where the text ends."""
        # Position of the line break before each line, or where it would be.
        before = np.append(self._breaks, 0)[np.minimum(self._first[texts] + lines - 1, len(self._breaks))]
        begins = np.where(lines == 0, self.offsets[texts], before + 1)
        return np.where(lines >= self.n_lines[texts], self.offsets[texts + 1], begins)


@dataclass(frozen=True)
class Spans:
    """Ranges of lines to be removed.

    Attributes:
        text: number of the text in the batch.
        first: first line.
        last: last line, included.
    """

    text: Numbers
    first: Numbers
    last: Numbers

    def __len__(self) -> int:
        return len(self.text)

    def select(self, chosen: Flags | Numbers) -> Spans:
        """Return the chosen spans."""
        return Spans(self.text[chosen], self.first[chosen], self.last[chosen])

    def sort(self) -> Spans:
        """Return the spans in the order of texts and lines."""
        return self.select(np.lexsort((self.first, self.text)))

    def find_overlapping(self) -> Numbers:
        """Return the texts in which two spans share a line; the spans must be sorted."""
        is_same = self.text[1:] == self.text[:-1]
        return self.text[1:][is_same & (self.first[1:] <= self.last[:-1])]

    def merge(self) -> Spans:
        """Return the spans with adjacent ones merged; the spans must be sorted."""
        if not len(self):
            return self
        follows = (self.text[1:] == self.text[:-1]) & (self.first[1:] == self.last[:-1] + 1)
        firsts = np.flatnonzero(np.concatenate(([True], ~follows)))
        lasts = np.append(firsts[1:], len(self)) - 1
        return Spans(self.text[firsts], self.first[firsts], self.last[lasts])


@dataclass(frozen=True)
class Replacements:
    """Ranges of bytes that are replaced; they lie in lines that stay and don't overlap.

    Attributes:
        text: number of the text in the batch.
        begin: position of the first byte.
        end: position behind the last byte.
        new: the replacements, UTF-8.
    """

    text: Numbers
    begin: Numbers
    end: Numbers
    new: Sequence[bytes]

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, int, bytes]]) -> Replacements:
        """Return the replacements of a list of (text, begin, end, new)."""
        numbers = np.array([one[:3] for one in found], np.int64).reshape(-1, 3)
        return cls(numbers[:, 0], numbers[:, 1], numbers[:, 2], [one[3] for one in found])

    def drop_texts(self, texts: Flags) -> Replacements:
        """Return the replacements in the other texts."""
        stays = ~texts[self.text]
        new = [one for one, stay in zip(self.new, stays.tolist(), strict=True) if stay]
        return Replacements(self.text[stays], self.begin[stays], self.end[stays], new)


def count_words_of_lines(lines: Lines, spans: Spans) -> Numbers:
    """Return the number of words in the lines of each span; the spans must be sorted and merged."""
    if not len(spans):
        return np.zeros(0, np.int64)
    begins, ends = lines.find_begins(spans.text, spans.first), lines.find_begins(spans.text, spans.last + 1)
    bounds = np.stack((begins, ends), axis=1).ravel()
    between = _slice_pieces(pa.string(), lines, bounds)
    return count_words_of(between.take(pa.array(np.arange(0, len(bounds) - 1, 2))))


def edit(lines: Lines, spans: Spans, replacements: Replacements, emptied: Flags) -> pa.StringArray:
    """Return the texts with lines removed and bytes replaced.

    Args:
        lines: the lines of the texts.
        spans: lines to be removed, sorted and merged.
        replacements: replacements of bytes in lines that stay.
        emptied: for each text, True if nothing of it stays.
    """
    spans, replacements = spans.select(~emptied[spans.text]), replacements.drop_texts(emptied)
    begins, ends = lines.find_begins(spans.text, spans.first), lines.find_begins(spans.text, spans.last + 1)
    # A line is removed with the line break behind it; the last line has none and is removed with the one before it.
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
    # No range to replace is empty: where several bounds equal its beginning, the last one begins its piece.
    order[np.searchsorted(bounds, replacements.begin, "right") - 1] = n_pieces + np.arange(len(replacements.new))
    kind = pa.binary()
    pieces = pa.concat_arrays([_slice_pieces(kind, lines, bounds), pa.array(replacements.new, kind)])
    taken = pieces.take(pa.array(order[stays]))
    n_before = np.concatenate(([0], np.cumsum(stays)))
    taken_offsets = np.frombuffer(taken.buffers()[1], np.int32)[taken.offset :]
    new_offsets = taken_offsets[n_before[np.searchsorted(bounds, lines.offsets)]]
    return pa.StringArray.from_buffers(
        len(lines.offsets) - 1, pa.py_buffer(np.ascontiguousarray(new_offsets)), taken.buffers()[2]
    )


def _slice_pieces(kind: pa.DataType, lines: Lines, bounds: Numbers) -> pa.Array:
    """Return the pieces between sorted positions in the bytes, as an array over the same buffer."""
    buffers = [None, pa.py_buffer(bounds.astype(np.int32)), lines.data]
    return pa.Array.from_buffers(kind, len(bounds) - 1, buffers)
