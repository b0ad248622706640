"""Alignment of two sequences: a longest common subsequence, in bounded time and memory.

Source: rapidfuzz's LCSseq, after H. Hyyrö, "Bit-parallel LCS-length computation revisited" (2004). Sequences that are too
large for it are cut at items that both have once, as in patience diff.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

# Items of one sequence × items of the other that are compared in full: 8 MiB of bits, up to 20 ms. Sixteen times as many changed
# no program of real pages, even joined to texts of 1 to 12 MB.
MAX_CELLS: Final = 1 << 26
# Larger parts without such items are compared in windows of this many items.
_WINDOW: Final = 1 << 13
# Each round of cuts takes linear time, and a made-up sequence could need one round per item.
_MAX_ROUNDS: Final = 8
# Positions that a removed run may move; in a periodic text it could move through all of it.
_MAX_SLIDE: Final = 1_000

Pairs = list[tuple[int, int]]


def align(old: Sequence[str], new: Sequence[str], starts: Collection[int] = ()) -> Pairs:
    """Pair up equal items of two sequences in order.

    Args:
        old: items, such as lines or words.
        new: items of the same kind.
        starts: positions in `old` at which a removed run should preferably begin, such as the first words of lines.

    Returns:
        (position in `old`, position in `new`), both rising: a longest common subsequence where the part between the equal ends
        has up to `MAX_CELLS` cells, otherwise a long one. Among equally long ones it has few runs of removed items.
    """
    numbers: dict[str, int] = {}
    numbered = _number_items(old, numbers)
    pairs = _pair_up(numbered, _number_items(new, numbers))
    return _join_runs(numbered, sorted(pairs), frozenset(starts))


def _number_items(items: Iterable[str], numbers: dict[str, int]) -> list[int]:
    """Return the number of each item, adding new items. Small numbers are their own hashes, by which rapidfuzz compares."""
    return [numbers.setdefault(item, len(numbers)) for item in items]


def _pair_up(old: list[int], new: list[int]) -> Pairs:
    pairs: Pairs = []
    boxes = [(0, len(old), 0, len(new), 0)]
    while boxes:
        a, b, c, d, n_rounds = boxes.pop()
        while a < b and c < d and old[a] == new[c]:
            pairs.append((a, c))
            a, c = a + 1, c + 1
        while a < b and c < d and old[b - 1] == new[d - 1]:
            b, d = b - 1, d - 1
            pairs.append((b, d))
        if a == b or c == d:
            continue
        if (b - a) * (d - c) <= MAX_CELLS:
            pairs += _shift(_find_longest_common(old[a:b], new[c:d]), a, c)
        elif n_rounds < _MAX_ROUNDS and (anchors := _shift(_find_anchors(old[a:b], new[c:d]), a, c)):
            pairs += anchors
            befores, afters = [(a - 1, c - 1), *anchors], [*anchors, (b, d)]
            boxes += [(i + 1, j, k + 1, m, n_rounds + 1) for (i, k), (j, m) in zip(befores, afters, strict=True)]
        else:
            pairs += _shift(_align_windows(old[a:b], new[c:d]), a, c)
    return pairs


def _shift(pairs: Pairs, by_old: int, by_new: int) -> Pairs:
    return [(i + by_old, k + by_new) for i, k in pairs]


def _find_longest_common(old: list[int], new: list[int]) -> Pairs:
    # Imported here, because executors parse and execute programs without it.
    from rapidfuzz.distance import LCSseq

    blocks = LCSseq.editops(old, new).as_matching_blocks()
    return [(block.a + n, block.b + n) for block in blocks for n in range(block.size)]


def _find_anchors(old: list[int], new: list[int]) -> Pairs:
    """Return the longest list of items that both sequences have once and in the same order: a longest rising subsequence."""
    once_old, once_new = Counter(old), Counter(new)
    places = {item: k for k, item in enumerate(new) if once_new[item] == 1}
    candidates = [(i, places[item]) for i, item in enumerate(old) if once_old[item] == 1 and item in places]
    tails: list[int] = []  # smallest last position in `new` of the rising subsequences of length 1, 2, …
    at: list[int] = []  # the candidates at these positions
    before: list[int] = []
    for index, (_, k) in enumerate(candidates):
        length = bisect_left(tails, k)
        before.append(at[length - 1] if length else -1)
        tails[length : length + 1] = [k]
        at[length : length + 1] = [index]
    chain, index = [], at[-1] if at else -1
    while index >= 0:
        chain.append(candidates[index])
        index = before[index]
    chain.reverse()
    return chain


def _align_windows(old: list[int], new: list[int]) -> Pairs:
    """Align window after window; items further apart than a window are not paired up."""
    pairs: Pairs = []
    i = k = 0
    while i < len(old) and k < len(new):
        found = _find_longest_common(old[i : i + _WINDOW], new[k : k + _WINDOW])
        is_last = i + _WINDOW >= len(old) and k + _WINDOW >= len(new)
        # Items in the second half may pair up better with items behind the window.
        kept = [(x, y) for x, y in found if is_last or max(x, y) < _WINDOW // 2]
        pairs += _shift(kept, i, k)
        if is_last:
            break
        if kept and max(kept[-1]) > _WINDOW // 8:  # otherwise there could be a window per item
            i, k = pairs[-1][0] + 1, pairs[-1][1] + 1
        else:
            i, k = i + _WINDOW // 2, k + _WINDOW // 2
    return pairs


def _join_runs(old: Sequence[int], pairs: Pairs, starts: frozenset[int]) -> Pairs:
    """Move runs of removed items back over equal items where that joins them to an earlier run or to one of `starts`."""
    partners = [-1] * len(old)
    for i, k in pairs:
        partners[i] = k
    end = len(old)
    while end:
        if partners[end - 1] >= 0:
            end -= 1
            continue
        start = end
        n_moves = -1
        # A run that was joined to an earlier one may move on together with it.
        while n_moves and start and (n_moves < 0 or partners[start - 1] < 0):
            while start and partners[start - 1] < 0:
                start -= 1
            n_moves = _find_best_slide(old, partners, start, end, starts)
            for move in range(1, n_moves + 1):
                partners[end - move], partners[start - move] = partners[start - move], -1
            start, end = start - n_moves, end - n_moves
        end = start
    return [(i, k) for i, k in enumerate(partners) if k >= 0]


def _find_best_slide(old: Sequence[int], partners: Sequence[int], start: int, end: int, starts: frozenset[int]) -> int:
    best = 0
    is_at_start = start in starts
    for move in range(1, min(start, _MAX_SLIDE) + 1):
        if partners[start - move] < 0 or old[start - move] != old[end - move]:
            break
        if start > move and partners[start - move - 1] < 0:
            return move
        if not is_at_start and start - move in starts:
            best, is_at_start = move, True
    return best
