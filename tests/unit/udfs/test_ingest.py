"""The reader of groups of files, and the spreading of files over groups, without a Spark session."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.readers import InputFile, InputFormat, ReadOptions
from prox_spark.udfs.ingest import group_by_size, make_reader
from prox_spark.udfs.tasks import to_batch_of_tasks

pytestmark = pytest.mark.unit


def write(folder: Path, name: str, *texts: str) -> tuple[InputFile, InputFormat]:
    """Write a file of records."""
    path = folder / name
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    stat = path.stat()
    return InputFile(str(path), stat.st_size, name, stat.st_mtime_ns), InputFormat.JSONL


def test_a_task_reads_its_files_in_order_and_numbers_the_rows_of_each(tmp_path: Path) -> None:
    group = [write(tmp_path, "b", "one", "two"), write(tmp_path, "a", "three")]
    batches = make_reader(ReadOptions(), True, True)(iter([to_batch_of_tasks([group])]))
    rows = [row for row in pa.Table.from_batches(batches).to_pylist() if row["text"] is not None]
    found = [(row["source"], row["ordinal"], row["text"]) for row in rows]
    assert found == [("b", 0, "one"), ("b", 1, "two"), ("a", 0, "three")]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(1, 8))
def test_each_file_goes_to_the_group_of_fewest_bytes_and_empty_ones_to_that_of_fewest_files(
    sizes: list[int], max_groups: int
) -> None:
    files = [(InputFile(f"f{n:02}", size, "s"), InputFormat.JSONL) for n, size in enumerate(sizes)]
    wanted: list[list[InputFile]] = [[] for _ in range(min(len(files), max_groups))]
    for file in sorted((file for file, _ in files), key=lambda file: (-file.n_bytes, file.uri)):
        weights = [sum(f.n_bytes for f in group) if file.n_bytes else len(group) for group in wanted]
        wanted[weights.index(min(weights))].append(file)
    assert [[file for file, _ in group] for group in group_by_size(files, max_groups)] == wanted
