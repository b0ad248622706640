"""Pieces of Parquet files that are read independently, and the tasks that read them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from prox_spark.readers.parquet.footers import Footer

_MIN_PIECE_BYTES: Final = 4 << 20
_MAX_PIECE_BYTES: Final = 64 << 20
_PIECES_PER_SLOT: Final = 4
# Parts of a row group. Each part is read from the group's beginning, which together costs as much as reading the group four times.
_MAX_PARTS: Final = 8
# A task with more files waits for the store more than it computes.
_MAX_FILES_PER_TASK: Final = 50
# More tasks only cost scheduling.
_MAX_TASKS: Final = 4_096


class Rows(NamedTuple):
    """Rows of one row group.

    Attributes:
        group: number of the group in the file.
        first: number of the first row in the file.
        skipped: number of rows of the group before that one. They have to be read, too, and are dropped.
        n: number of rows.
    """

    group: int
    first: int
    skipped: int
    n: int


@dataclass(frozen=True)
class Piece:
    """Rows of a file that are read one after the other, or a file that can't be read.

    Attributes:
        uri: the file.
        source: source of documents that have none of their own.
        layout: index in `ReadPlan.layouts`.
        rows: the rows, in order.
        n_bytes: size of their decompressed pages.
        folders: values of the columns in the names of folders, in the order of the layout.
        problem: why the file can't be read; None if it can.
    """

    uri: str
    source: str
    layout: int = 0
    rows: tuple[Rows, ...] = ()
    n_bytes: int = 0
    folders: tuple[Any, ...] = ()
    problem: str | None = None


def cut_files(footers: Sequence[Footer], n_slots: int) -> Iterator[tuple[Footer, tuple[Rows, ...], int]]:
    """Yield the pieces of all files: row groups, several small ones together, or parts of them if there are few large ones."""
    groups = [group for footer in footers for group in footer.groups if group.n_rows]
    n_bytes = sum(group.n_bytes for group in groups)
    wanted = min(max(n_bytes // (_PIECES_PER_SLOT * n_slots), _MIN_PIECE_BYTES), _MAX_PIECE_BYTES)
    # Files from pandas have one row group. Reading a part costs reading all before it in the group, too.
    n_parts = min(-(-n_slots // max(len(groups), 1)), _MAX_PARTS)
    for footer in footers:
        held: list[Rows] = []
        first, held_bytes = 0, 0
        for number, group in enumerate(footer.groups):
            parts = max(min(n_parts, group.n_bytes // _MIN_PIECE_BYTES, group.n_rows), 1)
            for rows in _cut_group(number, first, group.n_rows, parts):
                held.append(rows)
                held_bytes += group.n_bytes // parts
                if held_bytes >= wanted or parts > 1:
                    yield footer, tuple(held), held_bytes
                    held, held_bytes = [], 0
            first += group.n_rows
        if held:
            yield footer, tuple(held), held_bytes


def _cut_group(number: int, first: int, n_rows: int, n_parts: int) -> Iterator[Rows]:
    ends = [n_rows * part // n_parts for part in range(n_parts + 1)]
    for begin, end in pairwise(ends):
        if end > begin:
            yield Rows(number, first + begin, begin, end - begin)


def deal_pieces(pieces: list[Piece], n_slots: int) -> list[list[Piece]]:
    """Deal pieces to tasks of about equal bytes. The largest pieces are read first, because a late one would delay the end."""
    n_bytes = sum(piece.n_bytes for piece in pieces)
    wanted = max(n_bytes // _MAX_PIECE_BYTES, len(pieces) // _MAX_FILES_PER_TASK, _PIECES_PER_SLOT * n_slots)
    tasks: list[list[Piece]] = [[] for _ in range(min(wanted, len(pieces), _MAX_TASKS))]
    heap = [(0, 0, number) for number in range(len(tasks))]
    for piece in sorted(pieces, key=lambda piece: (-piece.n_bytes, piece.uri, piece.rows)):
        held, n_pieces, number = heapq.heappop(heap)
        tasks[number].append(piece)
        heapq.heappush(heap, (held + piece.n_bytes, n_pieces + 1, number))
    return tasks
