"""The order of the training examples, fixed before training starts: a resumed run goes on with the next batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from prox_spark.training.examples import Example

# Batches are cut from this many at a time, sorted by length: enough for little padding, few enough to stay mixed.
_POOL_BATCHES = 16


@dataclass(frozen=True)
class Source:
    """Examples, and the share of their tokens relative to other sources."""

    examples: Sequence[Example]
    share: float


def plan_batches(sources: Sequence[Source], tokens_per_batch: int, n_batches: int, seed: int) -> list[list[Example]]:
    """Mix the sources by their shares of tokens and cut the stream into batches of examples of similar length.

    Args:
        sources: each with at least one example; one that runs out starts again in another order.
        tokens_per_batch: limit for the tokens of the longest example times the number of examples; a longer example is a
            batch of its own.
        n_batches: number of batches.
        seed: equal seeds give equal plans.
    """
    random = Random(seed)
    stream = _mix(sources, random)
    batches: list[list[Example]] = []
    while len(batches) < n_batches:
        pool = _take_pool(stream, _POOL_BATCHES * tokens_per_batch)
        cut = cut_batches(pool, tokens_per_batch)
        random.shuffle(cut)
        batches += cut
    return batches[:n_batches]


def _mix(sources: Sequence[Source], random: Random) -> Iterator[Example]:
    """Yield always from the source that is furthest behind its share."""
    streams = [_repeat(source.examples, Random(random.random())) for source in sources]
    taken = [0.0] * len(sources)
    while True:
        behind = min(range(len(sources)), key=lambda index: taken[index])
        example = next(streams[behind])
        taken[behind] += example.n_tokens / sources[behind].share
        yield example


def _repeat(examples: Sequence[Example], random: Random) -> Iterator[Example]:
    while True:
        yield from random.sample(examples, len(examples))


def _take_pool(stream: Iterator[Example], n_tokens: int) -> list[Example]:
    pool: list[Example] = []
    while n_tokens > 0:
        pool.append(next(stream))
        n_tokens -= pool[-1].n_tokens
    return pool


def cut_batches(examples: Iterable[Example], tokens_per_batch: int) -> list[list[Example]]:
    """Cut batches of examples of similar length, from short to long; for their size see `plan_batches`."""
    batches: list[list[Example]] = []
    batch: list[Example] = []
    for example in sorted(examples, key=lambda e: e.n_tokens):  # so the newest is the longest
        if batch and example.n_tokens * (len(batch) + 1) > tokens_per_batch:
            batches.append(batch)
            batch = []
        batch.append(example)
    return [*batches, batch] if batch else batches
