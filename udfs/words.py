"""Word counts of whole Arrow columns, computed over their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from prox_spark.programs.words import ATTACHED_SIGNS, UNSPACED_LETTERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
    Places = NDArray[np.int64]

# Bytes that are scanned at once: intermediate results stay in the processor's cache, and memory is the same for any column.
_BLOCK_BYTES: Final = 1 << 18
# Bytes of texts with letters of scripts without blanks that are counted at once; a single longer text is counted whole.
_GROUP_BYTES: Final = 1 << 20

# Kinds of characters: part of a word, white space, a word of its own, or a sign that attaches to such a word.
_PART, _SPACE, _ALONE, _ATTACHED = range(4)


def _classify_characters() -> NDArray[np.uint8]:
    # Bytes may be no valid character; a table of all values of four bytes needs no check.
    kinds = np.full(0x200000, _PART, dtype=np.uint8)
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = _SPACE
    for kind, ranges in ((_ALONE, UNSPACED_LETTERS), (_ATTACHED, ATTACHED_SIGNS)):
        for first, last in ranges:
            kinds[first : last + 1] = kind
    return kinds


_KINDS: Final = _classify_characters()


def count_words_or_null(texts: pa.Array) -> pa.Array:
    """Return the number of words of each text as an Arrow array, null for null."""
    return pa.array(count_words_of(texts), mask=texts.is_null().to_numpy(zero_copy_only=False))


def count_words_of(texts: pa.Array | pa.ChunkedArray) -> Places:
    """Count the words of each text of a column as `programs.words.count_words` does.

    Args:
        texts: strings or large strings; a slice or a chunked array will do.

    Returns:
        One number per text, 0 for null.
    """
    if isinstance(texts, pa.ChunkedArray):
        return np.concatenate([np.zeros(0, dtype=np.int64), *map(count_words_of, texts.chunks)])
    offsets, data = _read_buffers(texts)
    counts, n_letters = _count_by_white_space(data, offsets)
    for group in _group_texts(np.flatnonzero(n_letters), offsets):
        counts[group] = _count_with_letters(
            [str(data[offsets[text] : offsets[text + 1]].data, "utf-8", "replace") for text in group]
        )
    if texts.null_count:
        counts[texts.is_null().to_numpy(zero_copy_only=False)] = 0
    return counts


def _read_buffers(texts: pa.Array) -> tuple[Places, Bytes]:
    """Return the offsets of the texts, counted from the first text, and the bytes of all texts."""
    is_large = pa.types.is_large_string(texts.type)
    if not (is_large or pa.types.is_string(texts.type)):
        texts, is_large = texts.cast(pa.large_string()), True
    _, ends, data = texts.buffers()
    if not len(texts):
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    offsets = np.frombuffer(ends, dtype=np.int64 if is_large else np.int32)[texts.offset :][: len(texts) + 1]
    offsets = offsets.astype(np.int64)
    bytes_of_all = np.frombuffer(data or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], bytes_of_all


def _count_by_white_space(data: Bytes, offsets: Places) -> tuple[Places, Places]:
    """Return for each text the number of words by white space, and of letters of scripts without blanks."""
    words, letters = np.zeros_like(offsets), np.zeros_like(offsets)
    n_words = n_letters = 0
    for begin in range(0, len(data), _BLOCK_BYTES):
        end = min(begin + _BLOCK_BYTES, len(data))
        here = slice(*np.searchsorted(offsets, (begin, end)))
        starts, unspaced = _scan_block(data, begin, end, offsets)
        words[here] = n_words + np.searchsorted(starts, offsets[here])
        letters[here] = n_letters + np.searchsorted(unspaced, offsets[here])
        n_words, n_letters = n_words + len(starts), n_letters + len(unspaced)
    behind = slice(np.searchsorted(offsets, len(data)), None)
    words[behind], letters[behind] = n_words, n_letters
    return np.diff(words), np.diff(letters)


def _scan_block(data: Bytes, begin: int, end: int, offsets: Places) -> tuple[Places, Places]:
    """Return the positions, in a part of the bytes, of beginnings of words and of letters of scripts without blanks."""
    # The block includes characters that the part cuts, and the character before it, which tells whether a word continues.
    first, last = max(begin - 4, 0), min(end + 3, len(data))
    block = data[first:last]
    # 9 to 13 and 28 to 32, in two comparisons: smaller values wrap around.
    is_space = (block - np.uint8(9) < 5) | (block - np.uint8(28) < 5)
    unspaced = np.zeros(0, dtype=np.int64)
    if block.max() >= 0x80:
        unspaced = _scan_wide_characters(block, is_space) + first
    is_start = ~is_space
    is_start[1:] &= is_space[:-1]
    heads = offsets[slice(*np.searchsorted(offsets, (first, last)))] - first
    is_start[heads] = ~is_space[heads]
    starts = np.flatnonzero(is_start[begin - first : end - first]) + begin
    return starts, unspaced[(unspaced >= begin) & (unspaced < end)]


def _scan_wide_characters(block: Bytes, is_space: Flags) -> Places:
    """Mark white space of more than one byte in `is_space`; return the positions of letters of scripts without blanks."""
    two = np.flatnonzero(block[:-1] == 0xC2)
    two = two[np.isin(block[two + 1], (0x85, 0xA0))]
    is_space[two] = is_space[two + 1] = True
    leads = np.flatnonzero(block >= 0xE0)
    three = leads[(block[leads] < 0xF0) & (leads < len(block) - 2)]
    code = _read_bits(block, three, 0, 0x0F) << 12 | _read_bits(block, three, 1) << 6 | _read_bits(block, three, 2)
    wide = three[_KINDS[code] == _SPACE]
    is_space[wide] = is_space[wide + 1] = is_space[wide + 2] = True
    four = leads[(block[leads] >= 0xF0) & (leads < len(block) - 3)]
    long_code = (
        _read_bits(block, four, 0, 0x07) << 18 | _read_bits(block, four, 1) << 12 | _read_bits(block, four, 2) << 6
    )
    alone = three[_KINDS[code] == _ALONE], four[_KINDS[long_code | _read_bits(block, four, 3)] == _ALONE]
    return np.sort(np.concatenate(alone))


def _read_bits(block: Bytes, places: Places, behind: int, mask: int = 0x3F) -> NDArray[np.int32]:
    return (block[places + behind] & np.uint8(mask)).astype(np.int32)


def _group_texts(texts: Places, offsets: Places) -> list[Places]:
    """Split a list of texts into groups large enough to be worth the calls."""
    n_bytes = np.cumsum(offsets[texts + 1] - offsets[texts])
    return np.split(texts, np.flatnonzero(np.diff(n_bytes // _GROUP_BYTES)) + 1) if len(texts) else []


def _count_with_letters(texts: list[str]) -> Places:
    """Count the words of texts with letters of scripts without blanks, over their characters."""
    # A blank before each text and behind the last one separates them.
    codes = np.frombuffer(f" {' '.join(texts)} ".encode("utf-32-le"), dtype=np.uint32)
    kinds = _KINDS[codes]
    is_alone, is_attached = kinds == _ALONE, kinds == _ATTACHED
    is_apart = is_alone | (kinds == _SPACE)
    is_word = is_alone.copy()
    is_word[1:] |= ~is_apart[1:] & is_apart[:-1]
    # A run of signs next to a letter that is a word begins no word; the text behind the run does.
    edges = np.flatnonzero(is_attached[1:] != is_attached[:-1]) + 1
    firsts, behind = edges[::2], edges[1::2]
    is_attached_alone = is_alone[firsts - 1] | is_alone[behind]
    firsts, behind = firsts[is_attached_alone], behind[is_attached_alone]
    is_word[firsts] = False
    is_word[behind] |= kinds[behind] == _PART
    ends = np.cumsum([1, *(len(text) + 1 for text in texts)])
    return np.diff(np.searchsorted(np.flatnonzero(is_word), ends))
