"""Packing of a document into the chunks of numbered lines that a refiner reads.

Source: ProX §A.4, Algorithm 1; results equal those of the authors' released packer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    r"""Consecutive lines of a document.

    Attributes:
        index: position among the document's chunks, from 0.
        line_start: first line, counted from 0 over the whole document.
        line_end: last line, included.
        text: the numbered lines, joined by `\n`.
        n_tokens: sum of the lines' token counts. It exceeds the budget only where the chunk is a single line longer than
            the budget; the caller should skip such a chunk.
    """

    index: int
    line_start: int
    line_end: int
    text: str
    n_tokens: int


def number_line(index: int, line: str) -> str:
    """Put a line's number in front of it: `[007]text`, with three digits or more."""
    return f"[{index:03d}]{line}"


def pack_lines(text: str, count_tokens: Callable[[str], int], max_tokens: int) -> list[Chunk]:
    r"""Cut a document into chunks of whole lines, with as many lines per chunk as the budget allows.

    Args:
        text: the document; its lines are those of `text.split("\n")`, so an empty text is one empty line.
        count_tokens: returns the number of tokens of one numbered line.
        max_tokens: budget of a chunk, in tokens, line numbers included.

    Returns:
        The chunks in order; together they hold every line once.
    """
    numbered_lines = [number_line(index, line) for index, line in enumerate(text.split("\n"))]
    return pack_counted(numbered_lines, [count_tokens(line) for line in numbered_lines], max_tokens)


def pack_counted(numbered_lines: Sequence[str], token_counts: Sequence[int], max_tokens: int) -> list[Chunk]:
    """Pack lines whose tokens are already counted, for callers that tokenise in batches.

    Args:
        numbered_lines: the document's lines from 0 on, as `number_line` writes them.
        token_counts: number of tokens of each line.
        max_tokens: budget of a chunk, in tokens. A longer line becomes a chunk of its own, over the budget.

    Returns:
        The chunks in order; together they hold every line once.

    Raises:
        ValueError: the two sequences differ in length.
    """
    if len(numbered_lines) != len(token_counts):
        raise ValueError(f"{len(numbered_lines)} lines have {len(token_counts)} token counts; give one for each line")
    chunks: list[Chunk] = []
    first, n_tokens = 0, 0

    def close(stop: int) -> None:
        chunks.append(Chunk(len(chunks), first, stop - 1, "\n".join(numbered_lines[first:stop]), n_tokens))

    for index, count in enumerate(token_counts):
        # Line breaks are not counted, as in the released packer: the budget leaves room for them.
        if n_tokens + count > max_tokens and index > first:
            close(index)
            first, n_tokens = index, 0
        n_tokens += count
    if numbered_lines:
        close(len(numbered_lines))
    return chunks
