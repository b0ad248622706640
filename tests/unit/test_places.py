from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prox_spark.places import (
    absolute,
    can_be_listed,
    canonical,
    find_filesystem,
    is_folder_with,
    is_table_name,
    literal,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("lake", f"{os.getcwd()}/lake"),
        ("/data/../lake/", "/lake"),
        ("~/lake", f"{Path.home()}/lake"),
        ("file:/x", "file:/x"),
        ("file:///x", "file:///x"),
        ("dbfs:/mnt/x", "dbfs:/mnt/x"),
        ("s3a://bucket/x", "s3a://bucket/x"),
    ],
)
def test_local_paths_become_absolute_and_uris_stay(path: str, expected: str) -> None:
    assert absolute(path) == expected


@pytest.mark.parametrize("path", ["file:/x/a.jsonl", "file:///x/a.jsonl", "/x/a.jsonl", "/x/y/../a.jsonl"])
def test_tables_keep_one_spelling_of_a_local_file(path: str) -> None:
    assert canonical(path) == "/x/a.jsonl"


@pytest.mark.parametrize("uri", ["s3a://bucket/x/../a.jsonl", "dbfs:/mnt/a.jsonl"])
def test_tables_keep_uris_of_stores_as_they_are(uri: str) -> None:
    assert canonical(uri) == uri


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main.web", True),
        ("main.lake.documents", True),
        ("`my cat`.web.pages", True),
        ("web", False),
        ("a.b.c.d", False),
        ("pages.jsonl", False),
        ("pages.json.gz", False),
        ("data/web.pages", False),
        ("s3://web.pages", False),
    ],
)
def test_names_of_two_or_three_parts_are_those_of_tables(name: str, expected: bool) -> None:
    assert is_table_name(name) is expected


def test_a_file_of_this_machine_is_no_table_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("web.pages").touch()
    assert not is_table_name("web.pages")


def test_a_delta_table_is_told_by_its_log(tmp_path: Path) -> None:
    (tmp_path / "table/_delta_log").mkdir(parents=True)
    assert is_folder_with(str(tmp_path / "table"), "_delta_log")
    assert is_folder_with(f"file://{tmp_path}/table/", "_delta_log")
    assert not is_folder_with(str(tmp_path), "_delta_log")


def test_a_folder_in_an_unknown_store_holds_nothing_that_can_be_seen() -> None:
    assert not is_folder_with("abfss://container@account/table", "_delta_log")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("data", True), ("s3a://bucket/x", True), ("hdfs://host/x", True), ("abfss://c@a/x", False), ("dbfs:/x", False)],
)
def test_local_paths_and_known_stores_can_be_listed(path: str, expected: bool) -> None:
    assert can_be_listed(path) is expected


def test_an_unknown_store_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^abfss:// is not among s3, .* with --format given$"):
        find_filesystem("abfss://container@account/x")


@pytest.mark.parametrize(
    ("path", "expected"), [("a*?", r"a\*\?"), ("[b]", r"\[b\]"), ("{a,b}", r"\{a,b\}"), ("a\\", r"a\\"), ("a b", "a b")]
)
def test_a_literal_path_matches_itself_only(path: str, expected: str) -> None:
    assert literal(path) == expected


def test_places_know_neither_spark_nor_readers() -> None:
    code = "import sys, prox_spark.places; print([n for n in sys.modules if n.startswith(('pyspark', 'prox_spark.'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['prox_spark.errors', 'prox_spark.logins', 'prox_spark.places']"


def test_the_lake_knows_no_reader() -> None:
    lake = Path(__file__).parents[2] / "prox_spark/lake"
    assert not [path.name for path in lake.glob("*.py") if "prox_spark.readers" in path.read_text(encoding="utf-8")]
