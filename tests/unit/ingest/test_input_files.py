from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from prox_spark.errors import RecipeError
from prox_spark.ingest import InputFile, InputFormat, detect_format, list_files
from prox_spark.ingest.files import absolute, open_text
from prox_spark.ingest.formats import source_name
from udfs.ingest import group_by_size

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", InputFormat.JSONL),
        ("a.json.gz", InputFormat.JSONL),
        ("a.ndjson.zst", InputFormat.JSONL),
        ("s3://b/A.JSONL.GZ", InputFormat.JSONL),
        ("a.parquet", InputFormat.PARQUET),
        ("part-0.snappy.parquet", InputFormat.PARQUET),
        ("a.warc", InputFormat.WARC),
        ("a.warc.gz", InputFormat.WARC),
        ("a.warc.wet.gz", InputFormat.WET),
        ("a.wet", InputFormat.WET),
    ],
)
def test_format_is_told_by_the_name(name: str, kind: InputFormat) -> None:
    assert detect_format(name) is kind


@pytest.mark.parametrize(("name", "word"), [("a.warc.wat.gz", "WAT"), ("a.csv", "--format"), ("README", "--format")])
def test_other_names_are_refused_with_what_to_pass(name: str, word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        detect_format(name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("web/pages.jsonl.gz", "pages"),
        ("/d/CC-MAIN.warc.wet.gz", "CC-MAIN"),
        ("s3://crawl/2024-22/*/part-?.warc.gz", "2024-22"),
        ("cc-v1.5/", "cc-v1.5"),
        ("*.jsonl", "unknown"),
        ("s3://*", "unknown"),
    ],
)
def test_source_is_the_name_of_the_input(path: str, name: str) -> None:
    assert source_name(path) == name


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "a/1.jsonl",
        "a/2.jsonl.gz",
        "a/b/3.jsonl",
        "a/_SUCCESS",
        "a/.1.jsonl.crc",
        "c/x[1].jsonl",
        "c/d e#%.jsonl",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", ["a/1.jsonl", "a/2.jsonl.gz", "a/b/3.jsonl"]),
        ("a/", ["a/1.jsonl", "a/2.jsonl.gz", "a/b/3.jsonl"]),
        ("a/*.jsonl", ["a/1.jsonl"]),
        ("a/**/*.jsonl", ["a/1.jsonl", "a/b/3.jsonl"]),
        ("*/[12].jsonl*", ["a/1.jsonl", "a/2.jsonl.gz"]),
        ("a/{1,2}.*", ["a/1.jsonl", "a/2.jsonl.gz"]),
        ("a/?", ["a/b/3.jsonl"]),
        ("c/x[1].jsonl", ["c/x[1].jsonl"]),
        ("c/d e#%.jsonl", ["c/d e#%.jsonl"]),
    ],
)
def test_paths_folders_and_globs_are_listed(tree: Path, path: str, found: list[str]) -> None:
    assert [os.path.relpath(file.uri, tree) for file in list_files(f"{tree}/{path}")] == found


def test_relative_path_and_file_uri_give_the_same_absolute_path(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert list_files("a/1.jsonl") == list_files(f"file://{tree}/a/1.jsonl") == list_files(f"file:{tree}/a/1.jsonl")
    assert absolute("a/1.jsonl") == str(tree / "a/1.jsonl")


def test_nothing_there_names_the_path(tree: Path) -> None:
    for path in ("nope.jsonl", "a/*.parquet", "nope/*/x"):
        with pytest.raises(RecipeError, match=r"nope|parquet"):
            list_files(f"{tree}/{path}")


def test_folder_that_holds_a_delta_table_is_refused(tree: Path) -> None:
    (tree / "a/table/_delta_log").mkdir(parents=True)
    with pytest.raises(RecipeError, match="a/table"):
        list_files(str(tree / "a"))


def test_unknown_store_is_refused_with_what_works() -> None:
    with pytest.raises(RecipeError, match="s3"):
        list_files("dbfs:/mnt/x.jsonl")


def test_compression_is_found_by_content_where_the_name_is_silent(tmp_path: Path) -> None:
    (tmp_path / "part-0").write_bytes(gzip.compress(b"text"))
    with open_text(str(tmp_path / "part-0")) as stream:
        assert stream.read() == b"text"


def test_files_are_grouped_largest_first_and_evenly() -> None:
    files = [(InputFile(f"f{n}", n, "s"), InputFormat.JSONL) for n in (1, 9, 5, 4, 0, 0)]
    sizes = [[file.n_bytes for file, _ in group] for group in group_by_size(files, 2)]
    assert sizes == [[9, 1, 0], [5, 4, 0]]
    assert [len(group) for group in group_by_size(files, 100)] == [1] * 6
