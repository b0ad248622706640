from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem

from prox_spark.errors import InputError, ReasonCode
from prox_spark.readers import InputFile, InputFormat, ReadOptions, Record, Rejected, files, read_file
from prox_spark.readers.files import check_unmodified
from prox_spark.readers.registry import FORMATS
from prox_spark.udfs.ingest import group_by_size

pytestmark = pytest.mark.unit


def test_files_are_grouped_largest_first_and_evenly() -> None:
    files = [(InputFile(f"f{n}", n, "s"), InputFormat.JSONL) for n in (1, 9, 5, 4, 0, 0)]
    sizes = [[file.n_bytes for file, _ in group] for group in group_by_size(files, 2)]
    assert sizes == [[9, 1, 0], [5, 4, 0]]
    assert [len(group) for group in group_by_size(files, 100)] == [1] * 6


def test_what_fails_for_a_moment_is_raised_where_a_file_is_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[Record]:
        raise OSError("the connection was reset")
        yield

    monkeypatch.setitem(FORMATS, InputFormat.JSONL, replace(FORMATS[InputFormat.JSONL], read=fail))
    once = [item.message for item in read_file("f", InputFormat.JSONL, ReadOptions()) if isinstance(item, Rejected)]
    assert once == ["the file can't be read: the connection was reset"]
    with pytest.raises(OSError, match="reset"):
        list(read_file("f", InputFormat.JSONL, ReadOptions(), is_read_twice=True))


def test_what_is_wrong_with_a_file_for_good_is_a_rejection_each_time(tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to("nowhere")
    for uri in (link, tmp_path / "gone.jsonl"):
        items = read_file(str(uri), InputFormat.JSONL, ReadOptions(), is_read_twice=True)
        assert [item.reason for item in items if isinstance(item, Rejected)] == [ReasonCode.UNREADABLE_FILE]


def test_time_of_a_file_in_a_store_counts_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{}")
    os.utime(path, ns=(0, 5_000_000_000))
    listed = InputFile(str(path), 2, "s", 5_000_891_000)
    with pytest.raises(InputError, match="was changed"):
        check_unmodified(listed)
    monkeypatch.setattr(files, "is_uri", lambda _: True)
    monkeypatch.setattr(files, "find_filesystem", lambda uri: (LocalFileSystem(), uri, ""))
    check_unmodified(listed)
    with pytest.raises(InputError, match="was changed"):
        check_unmodified(InputFile(str(path), 2, "s", 6_000_000_000))
