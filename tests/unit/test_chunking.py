"""Lines are numbered and packed as the authors' released packer does it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.chunking import Chunk, number_line, pack_counted, pack_lines

pytestmark = pytest.mark.unit

OWN_VECTORS = Path(__file__).parents[1] / "data" / "reference" / "chunking_vectors.jsonl.gz"


def mismatches(path: Path, tokenizer: Any) -> tuple[int, list[int]]:
    """Return the number of vectors in a file, and those with a different result."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        vectors = [json.loads(line) for line in lines]
    wrong = []
    for index, vector in enumerate(vectors):
        chunks = pack_lines(vector["text"], lambda line: len(tokenizer.encode(line)), vector["max_token"])
        if [chunk.text for chunk in chunks] != vector["chunks"]:
            wrong.append(index)
    return len(vectors), wrong


def test_all_recorded_chunks_are_reproduced(smollm2_tokenizer: Any) -> None:
    assert mismatches(OWN_VECTORS, smollm2_tokenizer) == (120, [])


@pytest.mark.shared
def test_all_shared_recorded_chunks_are_reproduced(smollm2_tokenizer: Any, shared_dir: Path) -> None:
    assert mismatches(shared_dir / "reference" / "chunking_vectors.jsonl.gz", smollm2_tokenizer) == (200, [])


@pytest.mark.parametrize(("index", "numbered"), [(0, "[000]a"), (42, "[042]a"), (999, "[999]a"), (1000, "[1000]a")])
def test_a_line_number_has_three_digits_or_more(index: int, numbered: str) -> None:
    assert number_line(index, "a") == numbered


def test_a_chunk_knows_its_lines_tokens_and_text() -> None:
    chunks = pack_lines("one\ntwo\r\n\nfour", len, max_tokens=16)
    assert chunks == [
        Chunk(0, 0, 0, "[000]one", 8),
        Chunk(1, 1, 2, "[001]two\r\n[002]", 14),
        Chunk(2, 3, 3, "[003]four", 9),
    ]


def test_an_empty_text_is_one_empty_line() -> None:
    assert pack_lines("", len, max_tokens=100) == [Chunk(0, 0, 0, "[000]", 5)]


@pytest.mark.parametrize(
    ("counts", "chunk_ends"),
    [
        ([5, 5], [1]),
        ([5, 6], [0, 1]),
        ([11], [0]),
        ([11, 1, 1], [0, 2]),
        ([1, 11, 1], [0, 1, 2]),
        ([11, 11], [0, 1]),
        ([10, 0, 0], [2]),
        ([11, 0], [0, 1]),
    ],
)
def test_lines_are_packed_greedily_and_a_longer_one_stands_alone(counts: list[int], chunk_ends: list[int]) -> None:
    lines = [number_line(index, "") for index in range(len(counts))]
    assert [chunk.line_end for chunk in pack_counted(lines, counts, 10)] == chunk_ends


def test_a_line_over_the_budget_shows_in_its_token_count() -> None:
    chunks = pack_counted(["[000]", "[001]", "[002]"], [4, 30, 4], 10)
    assert [chunk.n_tokens > 10 for chunk in chunks] == [False, True, False]


def test_no_lines_make_no_chunk() -> None:
    assert pack_counted([], [], 10) == []


def test_a_count_is_needed_for_each_line() -> None:
    with pytest.raises(ValueError, match="2 lines have 1 token counts"):
        pack_counted(["[000]", "[001]"], [1], 10)


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(1, 60))
def test_chunks_hold_every_line_once_and_no_chunk_could_take_the_next_line(counts: list[int], max_tokens: int) -> None:
    lines = [number_line(index, "x") for index in range(len(counts))]
    chunks = pack_counted(lines, counts, max_tokens)
    assert "\n".join(chunk.text for chunk in chunks) == "\n".join(lines)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert chunk.n_tokens == sum(counts[chunk.line_start : chunk.line_end + 1])
        assert chunk.n_tokens <= max_tokens or chunk.line_start == chunk.line_end
    for chunk in chunks[:-1]:
        assert chunk.n_tokens + counts[chunk.line_end + 1] > max_tokens
