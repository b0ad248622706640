from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from prox_spark.errors import ReasonCode, RecipeError
from prox_spark.places import canonical
from prox_spark.readers import InputFormat, ReadOptions, list_files, listing, read_file

pytestmark = pytest.mark.unit


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def listed(path: str, root: Path) -> list[str]:
    return [os.path.relpath(file.uri, root) for file in list_files(path).files]


def passed_over(path: str, root: Path) -> dict[str, str]:
    return {item.uri[len(str(root)) + 1 :]: item.why for item in list_files(path).passed_over}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make(
        tmp_path,
        "a/1.jsonl",
        "a/2.jsonl.gz",
        "a/b/3.jsonl",
        "a/_SUCCESS",
        "a/.1.jsonl.crc",
        "a/_temporary/0/4.jsonl",
        "a/README.md",
        "c/x[1].jsonl",
        "c/d e#%.jsonl",
        "e[1]/5.jsonl",
        "f/_col=1/6.jsonl",
    )


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", ["a/1.jsonl", "a/2.jsonl.gz", "a/b/3.jsonl"]),
        ("a/", ["a/1.jsonl", "a/2.jsonl.gz", "a/b/3.jsonl"]),
        ("a/*.jsonl", ["a/1.jsonl"]),
        ("a/**/*.jsonl", ["a/1.jsonl", "a/b/3.jsonl"]),
        ("**/3.jsonl", ["a/b/3.jsonl"]),
        ("*/[12].jsonl*", ["a/1.jsonl", "a/2.jsonl.gz"]),
        ("a/{1,2}.*", ["a/1.jsonl", "a/2.jsonl.gz"]),
        ("{a,c}/*.jsonl", ["a/1.jsonl", "c/d e#%.jsonl", "c/x[1].jsonl"]),
        ("a/{b/*,1}.jsonl", ["a/1.jsonl", "a/b/3.jsonl"]),
        ("a/?", ["a/b/3.jsonl"]),
        ("*/b/", ["a/b/3.jsonl"]),
        ("c/x[1].jsonl", ["c/x[1].jsonl"]),
        ("e[1]", ["e[1]/5.jsonl"]),
        ("c/d e#%.jsonl", ["c/d e#%.jsonl"]),
        ("f", ["f/_col=1/6.jsonl"]),
        ("f/*/*.jsonl", ["f/_col=1/6.jsonl"]),
    ],
)
def test_paths_folders_and_globs_are_listed(tree: Path, path: str, found: list[str]) -> None:
    assert listed(f"{tree}/{path}", tree) == found


@pytest.mark.parametrize(
    "path",
    [
        "a/_SUCCESS",
        "a/README.md",
        "a/_temporary/0/4.jsonl",
        "a/_temporary/0/*.jsonl",
        "a/_temporary/*/4.jsonl",
        "a/.1*",
        "*/README.md",
    ],
)
def test_what_the_path_names_itself_is_read_though_it_is_hidden(tree: Path, path: str) -> None:
    (file,) = list_files(f"{tree}/{path}").files
    assert file.n_bytes == 1


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (
            "a",
            {
                "a/.1.jsonl.crc": "hidden",
                "a/_SUCCESS": "hidden",
                "a/_temporary/": "hidden",
                "a/README.md": "documentation",
            },
        ),
        (
            "a/*",
            {
                "a/.1.jsonl.crc": "hidden",
                "a/_SUCCESS": "hidden",
                "a/_temporary/": "hidden",
                "a/README.md": "documentation",
            },
        ),
        ("a/*.jsonl", {}),
        ("a/**/*.jsonl", {"a/_temporary/": "hidden"}),
        ("a/*/*.jsonl", {}),
        ("a/b", {}),
        ("a/{1,README}.*", {"a/README.md": "documentation"}),
    ],
)
def test_what_is_passed_over_is_listed_with_why(tree: Path, path: str, names: dict[str, str]) -> None:
    assert passed_over(f"{tree}/{path}", tree) == names


def test_hidden_file_of_a_glob_is_passed_over_as_shells_do(tmp_path: Path) -> None:
    make(tmp_path, "1.jsonl", "._1.jsonl", "_2.jsonl")
    assert listed(f"{tmp_path}/*.jsonl", tmp_path) == ["1.jsonl"]
    assert passed_over(f"{tmp_path}/*.jsonl", tmp_path) == {"._1.jsonl": "hidden", "_2.jsonl": "hidden"}


def test_relative_path_and_file_uri_give_the_same_absolute_path(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert list_files("a/1.jsonl") == list_files(f"file://{tree}/a/1.jsonl") == list_files(f"file:{tree}/a/1.jsonl")
    assert canonical("a/1.jsonl") == str(tree / "a/1.jsonl")


def test_nothing_there_names_the_path(tree: Path) -> None:
    for path in ("nope.jsonl", "a/*.parquet", "nope/*/x", "a/1.jsonl/*"):
        with pytest.raises(RecipeError, match=r"nope|parquet|1.jsonl"):
            list_files(f"{tree}/{path}")


def test_bad_glob_is_refused(tree: Path) -> None:
    with pytest.raises(RecipeError, match=r"x\{1"):
        list_files(f"{tree}/x{{1.jsonl")


@pytest.mark.parametrize(
    ("inside", "kind"),
    [("_delta_log/0.json", "Delta"), (".hoodie/hoodie.properties", "Hudi"), ("metadata/v1.metadata.json", "Iceberg")],
)
@pytest.mark.parametrize("table", ["a/table", "a"])
def test_folder_that_holds_a_table_with_deleted_rows_is_refused(tree: Path, inside: str, kind: str, table: str) -> None:
    make(tree, f"{table}/{inside}")
    with pytest.raises(RecipeError, match=f"{kind} table {tree}/{table}"):
        list_files(str(tree / "a"))


def test_unknown_store_is_refused_with_what_works() -> None:
    with pytest.raises(RecipeError, match="s3"):
        list_files("dbfs:/mnt/x.jsonl")


@pytest.mark.parametrize("path", ["a", "a/*", "a/**/*.jsonl", "{a,c}/*.jsonl", "a/.1*", "a/1.jsonl", "f"])
def test_other_stores_are_listed_as_local_folders_are(tree: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = list_files(f"{tree}/{path}")
    store = pafs.SubTreeFileSystem(str(tree.parent), pafs.LocalFileSystem())
    monkeypatch.setattr(listing, "find_filesystem", lambda uri: (store, uri.removeprefix("s3://"), "s3://"))
    there = list_files(f"s3://{tree.name}/{path}")
    assert [f"{tree.parent}/{file.uri[5:]}" for file in there.files] == [file.uri for file in here.files]
    assert [(f"{tree.parent}/{i.uri[5:]}", i.why) for i in there.passed_over] == [
        (i.uri, i.why) for i in here.passed_over
    ]


def rejection_of(path: Path) -> str:
    (only,) = [i for i in read_file(str(path), InputFormat.JSONL, ReadOptions()) if hasattr(i, "reason")]
    assert only.reason is ReasonCode.UNREADABLE_FILE
    return only.message


def test_link_to_nowhere_is_listed_and_its_reader_says_so(tree: Path) -> None:
    link = tree / "a/7.jsonl"
    link.symlink_to("/nowhere/7.jsonl")
    for path in (tree / "a", tree / "a/*.jsonl", link):
        assert [file for file in list_files(str(path)).files if file.uri == str(link) and file.n_bytes == 0]
    assert "link to /nowhere/7.jsonl, which is not there" in rejection_of(link)


def test_link_in_a_circle_is_listed_and_its_reader_says_so(tree: Path) -> None:
    link = tree / "a/7.jsonl"
    link.symlink_to("7.jsonl")
    assert "a/7.jsonl" in listed(str(tree / "a"), tree)
    assert "leads back to itself" in rejection_of(link)


def test_links_to_files_and_folders_are_followed(tree: Path) -> None:
    (tree / "d").mkdir()
    (tree / "d/1.jsonl").symlink_to("../a/1.jsonl")
    (tree / "d/b").symlink_to("../a/b")
    assert listed(str(tree / "d"), tree) == ["d/1.jsonl", "d/b/3.jsonl"]


@pytest.mark.parametrize("target", ["..", ".", "../../a"])
def test_link_to_a_folder_above_is_not_followed_in_circles(tree: Path, target: str) -> None:
    (tree / "a/b/up").symlink_to(target)
    assert listed(str(tree / "a"), tree) == ["a/1.jsonl", "a/2.jsonl.gz", "a/b/3.jsonl"]
    assert passed_over(str(tree / "a"), tree)["a/b/up"] == "a link back to a folder that it lies in"


def test_pipe_is_passed_over_in_a_folder_and_refused_by_name(tree: Path) -> None:
    os.mkfifo(tree / "a/p.jsonl")
    assert passed_over(str(tree / "a"), tree)["a/p.jsonl"] == "a pipe, socket or device"
    with pytest.raises(RecipeError, match="pipe"):
        list_files(str(tree / "a/p.jsonl"))


def test_file_that_went_away_after_it_was_listed_is_a_rejection(tree: Path) -> None:
    (file, *_) = list_files(str(tree / "a")).files
    Path(file.uri).unlink()
    assert "is not there" in rejection_of(Path(file.uri))


def test_file_that_may_not_be_read_is_a_rejection() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "a.jsonl")
        path.write_bytes(b"{}")
        path.chmod(0)
        is_root = os.geteuid() == 0
        try:
            if is_root:
                os.seteuid(65534)
            assert [file.uri for file in list_files(folder).files] == [str(path)]
            assert "may not be read" in rejection_of(path)
        finally:
            if is_root:
                os.seteuid(0)
