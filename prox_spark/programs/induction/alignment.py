"""Which items of a sequence are still there in another: a longest common subsequence, in bounded time and memory.

Source: the bits of a row as one integer, after H. Hyyrö, "Bit-parallel LCS-length computation revisited" (2004). Sequences
that are too large for it are cut at items that both have once, as patience diff does.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Final

# Items of one sequence × items of the other that are compared in full: 8 MiB of bits, some 0.1 s.
MAX_CELLS: Final = 1 << 26
# What has no such items is compared in windows of this many items.
_WINDOW: Final = 1 << 13
# Each round of cuts is linear; a sequence can be made up that would need one round per item.
_MAX_ROUNDS: Final = 8
# How far a removed run may move; a periodic text would let it wander through all of it.
_MAX_SLIDE: Final = 1_000

Pairs = list[tuple[int, int]]


def align(old: Sequence[str], new: Sequence[str], starts: Collection[int] = ()) -> Pairs:
    """Pairs up equal items of two sequences in order.

    Args:
        old: items, such as lines or words.
        new: items of the same kind.
        starts: positions in `old` at which a removed run had better begin, such as the first words of lines.

    Returns:
        (position in `old`, position in `new`), both rising: a longest common subsequence where the part between what is
        equal at both ends has up to `MAX_CELLS` cells, else a long one. Of those equally long one with few runs of
        removed items.
    """
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
            pairs += _shifted(_longest_common(old[a:b], new[c:d]), a, c)
        elif n_rounds < _MAX_ROUNDS and (anchors := _shifted(_anchors(old[a:b], new[c:d]), a, c)):
            pairs += anchors
            befores, afters = [(a - 1, c - 1), *anchors], [*anchors, (b, d)]
            boxes += [(i + 1, j, k + 1, m, n_rounds + 1) for (i, k), (j, m) in zip(befores, afters, strict=True)]
        else:
            pairs += _shifted(_by_windows(old[a:b], new[c:d]), a, c)
    return _with_few_runs(old, sorted(pairs), frozenset(starts))


def _shifted(pairs: Pairs, by_old: int, by_new: int) -> Pairs:
    return [(i + by_old, k + by_new) for i, k in pairs]


def _longest_common(old: Sequence[str], new: Sequence[str]) -> Pairs:
    masks = _masks(old, set(new))
    full = (1 << len(old)) - 1
    # Bit i of row k is 0 where old[: i + 1] has one item more in common with new[: k + 1] than old[:i] has.
    rows, row = [], full
    for item in new:
        if hits := row & masks.get(item, 0):
            row = ((row + hits) | (row - hits)) & full
        rows.append(row)
    n_bytes = len(old) // 8 + 1
    pairs: Pairs = []
    i, k = len(old), len(new)
    below = rows[k - 1].to_bytes(n_bytes, "little")
    while i and k:
        if below[(i - 1) >> 3] >> ((i - 1) & 7) & 1:
            i -= 1
            continue
        above = (rows[k - 2] if k > 1 else full).to_bytes(n_bytes, "little")
        k -= 1
        if above[(i - 1) >> 3] >> ((i - 1) & 7) & 1:
            i -= 1
            pairs.append((i, k))
        below = above
    pairs.reverse()
    return pairs


def _masks(items: Sequence[str], wanted: set[str]) -> dict[str, int]:
    """Of each wanted item the positions, as bits."""
    positions = defaultdict(list)
    for position, item in enumerate(items):
        if item in wanted:
            positions[item].append(position)
    masks = {}
    for item, found in positions.items():
        bits = bytearray(len(items) // 8 + 1)
        for position in found:
            bits[position >> 3] |= 1 << (position & 7)
        masks[item] = int.from_bytes(bits, "little")
    return masks


def _anchors(old: Sequence[str], new: Sequence[str]) -> Pairs:
    """Items that both sequences have once, as many as are in the same order: the longest rising subsequence."""
    once_old, once_new = Counter(old), Counter(new)
    places = {item: k for k, item in enumerate(new) if once_new[item] == 1}
    candidates = [(i, places[item]) for i, item in enumerate(old) if once_old[item] == 1 and item in places]
    tails: list[int] = []  # of the rising subsequences of length 1, 2, … the smallest last position in `new`
    at: list[int] = []  # the candidates that these are
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


def _by_windows(old: Sequence[str], new: Sequence[str]) -> Pairs:
    """Compares window after window; what lies further apart than one is not found."""
    pairs: Pairs = []
    i = k = 0
    while i < len(old) and k < len(new):
        found = _longest_common(old[i : i + _WINDOW], new[k : k + _WINDOW])
        is_last = i + _WINDOW >= len(old) and k + _WINDOW >= len(new)
        # What the second half pairs up may be better off with what comes behind the window.
        kept = [(x, y) for x, y in found if is_last or max(x, y) < _WINDOW // 2]
        pairs += _shifted(kept, i, k)
        if is_last:
            break
        if kept and max(kept[-1]) > _WINDOW // 8:  # else this would take a window per item
            i, k = pairs[-1][0] + 1, pairs[-1][1] + 1
        else:
            i, k = i + _WINDOW // 2, k + _WINDOW // 2
    return pairs


def _with_few_runs(old: Sequence[str], pairs: Pairs, starts: frozenset[int]) -> Pairs:
    """Moves runs of removed items back over equal ones where that joins them to a run before or to one of `starts`."""
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
        # Joined to the run before, it may move on as one.
        while n_moves and start and (n_moves < 0 or partners[start - 1] < 0):
            while start and partners[start - 1] < 0:
                start -= 1
            n_moves = _best_slide(old, partners, start, end, starts)
            for move in range(1, n_moves + 1):
                partners[end - move], partners[start - move] = partners[start - move], -1
            start, end = start - n_moves, end - n_moves
        end = start
    return [(i, k) for i, k in enumerate(partners) if k >= 0]


def _best_slide(old: Sequence[str], partners: Sequence[int], start: int, end: int, starts: frozenset[int]) -> int:
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
