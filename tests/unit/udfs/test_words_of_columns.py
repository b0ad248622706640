"""Words of whole columns are as many as those of their texts counted one by one."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

import prox_spark.udfs.words
from prox_spark.programs.words import count_words
from prox_spark.udfs.words import count_words_of

pytestmark = pytest.mark.unit

# White space of each length, signs, marks, and letters with and without blanks, of one to four bytes.
CHARACTERS = [*" \n\x1fab.-é“가\x85\xa0\u1680\u2003\u3000我。ーสัﾞ\u0301𠀀😀", "\u200b", "\ufeff"]


def random_column(rng: random.Random) -> list[str | None]:
    pool = rng.sample(CHARACTERS, rng.randrange(1, len(CHARACTERS)))
    lengths = [rng.choice([0, 1, 2, 5, 30]) for _ in range(rng.randrange(20))]
    return [None if rng.random() < 0.1 else "".join(rng.choices(pool, k=length)) for length in lengths]


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 5, 16, 1 << 18])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_a_column_has_the_words_of_its_texts(
    monkeypatch: pytest.MonkeyPatch, kind: pa.DataType, block_bytes: int
) -> None:
    monkeypatch.setattr(prox_spark.udfs.words, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(prox_spark.udfs.words, "_GROUP_BYTES", 7 * block_bytes)
    rng = random.Random(block_bytes)
    for _ in range(60):
        texts = random_column(rng)
        counts = [0 if text is None else count_words(text) for text in texts]
        column = pa.array(texts, kind)
        start, stop = sorted(rng.randrange(len(texts) + 1) for _ in range(2))
        assert count_words_of(column).tolist() == counts
        assert count_words_of(column[start:stop]).tolist() == counts[start:stop]
        assert count_words_of(pa.chunked_array([column[:start], column[start:]])).tolist() == counts


def test_words_of_every_character_are_those_of_python() -> None:
    every = [*map(chr, [*range(0xD800), *range(0xE000, 0x20000), 0x2A6DF, 0x3FFFD, 0x40000, 0xE0100, 0x10FFFF])]
    texts = [f"a{character}b" for character in every]
    assert count_words_of(pa.array(texts)).tolist() == [count_words(text) for text in texts]


def test_a_column_of_nothing_has_no_words() -> None:
    for column in (pa.array([], pa.string()), pa.array([None, None], pa.string()), pa.chunked_array([], pa.string())):
        assert count_words_of(column).tolist() == [0] * len(column)
