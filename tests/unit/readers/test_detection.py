from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest
import zstandard

from prox_spark.errors import RecipeError
from prox_spark.readers import InputFormat, detect_formats, list_files
from prox_spark.readers.formats import derive_source, find_data_suffix, find_format_by_name

pytestmark = pytest.mark.unit


def formats(path: Path) -> dict[str, InputFormat]:
    found, _ = detect_formats(list_files(str(path)), str(path))
    return {file.uri.rpartition("/")[2]: kind for file, kind in found}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", InputFormat.JSONL),
        ("a.json.gz", InputFormat.JSONL),
        ("a.ndjson.zst", InputFormat.JSONL),
        ("a.jsonl.lz4", InputFormat.JSONL),
        ("a.json.bz2", InputFormat.JSONL),
        ("a.jsonl.xz", InputFormat.JSONL),
        ("a.jl", InputFormat.JSONL),
        ("s3://b/A.JSONL.GZ", InputFormat.JSONL),
        ("a.parquet", InputFormat.PARQUET),
        ("a.pq", InputFormat.PARQUET),
        ("part-0.snappy.parquet", InputFormat.PARQUET),
        ("a.warc", InputFormat.WARC),
        ("a.warc.gz", InputFormat.WARC),
        ("a.warc.zst", InputFormat.WARC),
        ("a.warc.lz4", InputFormat.WARC),
        ("a.warc.wet.gz", InputFormat.WET),
        ("a.wet.zst", InputFormat.WET),
        ("a.wet", InputFormat.WET),
        ("a.csv", None),
        ("part-00000", None),
    ],
)
def test_format_is_told_by_the_name(name: str, kind: InputFormat | None) -> None:
    assert find_format_by_name(name) is kind


WARC = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
WET = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 0\r\n\r\n\r\n\r\n"


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([b'{"text": "x"}\n' * 100_000], InputFormat.JSONL),
        ([b'\xef\xbb\xbf\n{"text": "x"}'], InputFormat.JSONL),
        ([WARC, WARC.replace(b"warcinfo", b"response")], InputFormat.WARC),
        ([WARC, WET], InputFormat.WET),
    ],
)
def test_format_is_told_by_the_content_where_the_name_is_silent(tmp_path: Path, compress, parts, kind) -> None:
    (tmp_path / "part-00000").write_bytes(b"".join(map(compress, parts)))
    assert formats(tmp_path) == formats(tmp_path / "part-00000") == {"part-00000": kind}


def test_parquet_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "df.parquet.gzip").write_bytes(b"PAR1....PAR1")
    (tmp_path / "part-0").write_bytes(b"PAR1....PAR1")
    assert set(formats(tmp_path).values()) == {InputFormat.PARQUET}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"id,text\n1,x\n", ["a.csv"]),
        ("notes.txt", b"to do", ["notes.txt"]),
        ("data.bin", bytes(range(256)), ["data.bin"]),
        ("b.zip", b"PK\x03\x04....", ["b.zip", "ZIP"]),
        ("part-2", '{"text": "x"}'.encode("utf-16"), ["part-2", "iconv"]),
    ],
)
@pytest.mark.parametrize(("data", "glob"), [("a.jsonl.gz", "*.jsonl.gz"), ("d/e/a.jsonl", "**/*.jsonl")])
def test_what_may_be_data_ends_the_run_and_names_the_glob(
    tmp_path: Path, name: str, content: bytes, words: list[str], data: str, glob: str
) -> None:
    (tmp_path / data).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / data).write_bytes(b"{}")
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path, tmp_path / "*"):
        with pytest.raises(RecipeError) as error:
            formats(path)
        assert all(word in str(error.value) for word in [*words, f"'{tmp_path}/{glob}'"])
    assert formats(tmp_path / glob) == {Path(data).name: InputFormat.JSONL}


@pytest.mark.parametrize(
    ("name", "word"), [("a.warc.wat.gz", "WAT"), ("a.csv", "--format"), ("README", "--format"), ("a.arc.gz", "warcio")]
)
def test_named_file_of_no_format_is_refused_with_what_to_pass(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RecipeError, match=word):
        formats(tmp_path / name)


def test_empty_file_of_an_unknown_name_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "done").touch()
    (tmp_path / "a.jsonl").write_bytes(b"{}")
    found, passed_over = detect_formats(list_files(str(tmp_path)), str(tmp_path))
    assert len(found) == 1 and [(Path(i.uri).name, i.why) for i in passed_over] == [("done", "empty")]


def test_link_to_nowhere_of_an_unknown_name_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "part-0").symlink_to("/nowhere")
    assert formats(tmp_path) == {"part-0": InputFormat.JSONL}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("web/pages.jsonl.gz", "pages"),
        ("web/pages.jsonl.lz4", "pages"),
        ("/d/CC-MAIN.warc.wet.gz", "CC-MAIN"),
        ("s3://crawl/2024-22/*/part-?.warc.gz", "2024-22"),
        ("cc-v1.5/", "cc-v1.5"),
        ("*.jsonl", "unknown"),
        ("s3://*", "unknown"),
    ],
)
def test_source_is_the_name_of_the_input(path: str, name: str) -> None:
    assert derive_source(path) == name


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.jsonl.gz", ".jsonl.gz"), ("a.WARC", ".WARC"), ("a.b.parquet", ".parquet"), ("a.gz", "")]
)
def test_suffix_of_data_is_format_and_compression(name: str, suffix: str) -> None:
    assert find_data_suffix(name) == suffix
