from __future__ import annotations

import pytest

from prox_spark.ingest import InputFile, InputFormat
from udfs.ingest import group_by_size

pytestmark = pytest.mark.unit


def test_files_are_grouped_largest_first_and_evenly() -> None:
    files = [(InputFile(f"f{n}", n, "s"), InputFormat.JSONL) for n in (1, 9, 5, 4, 0, 0)]
    sizes = [[file.n_bytes for file, _ in group] for group in group_by_size(files, 2)]
    assert sizes == [[9, 1, 0], [5, 4, 0]]
    assert [len(group) for group in group_by_size(files, 100)] == [1] * 6
