from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prox_spark.config import InputConfig
from prox_spark.errors import RecipeError
from prox_spark.pipeline.inputs.find import Inputs, find_inputs, find_inputs_at_once
from prox_spark.readers import InputFormat, PassedOver, ReadOptions, Record, read_file

pytestmark = pytest.mark.unit

CASES = Path(__file__).parents[3] / "data" / "cases"


def find(*paths: Path | str, **options: str) -> Inputs:
    return find_inputs(InputConfig(paths=[*map(str, paths)], **options))


def list_names(inputs: Inputs) -> list[str]:
    return sorted(
        Path(uri).name for uri in [file.uri for file, _ in inputs.files] + [u for t in inputs.tables for u in t.files]
    )


def list_passed_over(inputs: Inputs) -> dict[str, str]:
    return {Path(item.uri).name: item.why for item in inputs.passed_over}


def read_ids(inputs: Inputs) -> list[str | None]:
    records = [item for file, kind in inputs.files for item in read_file(file.uri, kind, ReadOptions())]
    return sorted(record.doc_id for record in records if isinstance(record, Record))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """The case folder-with-bystanders. Its .gitattributes would mean something to git here."""
    shutil.copytree(CASES / "folder-with-bystanders", tmp_path, dirs_exist_ok=True)
    (tmp_path / "hf-parquet/.gitattributes").write_text("*.parquet filter=lfs\n")
    return tmp_path


PARQUET = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
METADATA = {"dataset_info.json": "about the data", "state.json": "about the data"}


@pytest.mark.parametrize("options", [{}, {"format": "parquet"}])
def test_dataset_of_parquet_is_read_as_it_was_downloaded(dataset: Path, options: dict[str, str]) -> None:
    inputs = find(dataset / "hf-parquet", **options)
    assert list_names(inputs) == PARQUET and not inputs.files
    assert list_passed_over(inputs) == {
        "README.md": "documentation",
        ".gitattributes": "hidden",
        "dataset_infos.json": "about the data",
    }
    assert list_names(find(dataset / "hf-parquet/data/*.parquet")) == PARQUET


@pytest.mark.parametrize("options", [{}, {"format": "jsonl"}])
def test_dataset_of_json_lines_is_read_as_it_was_downloaded(dataset: Path, options: dict[str, str]) -> None:
    inputs = find(dataset / "jsonl", **options)
    assert read_ids(inputs) == ["j0", "j1", "j2", "k0", "k1", "k2"]
    assert list_passed_over(inputs) == METADATA | {
        "._part-0.jsonl": "hidden",
        "part-2.jsonl.gz.incomplete": "unfinished",
    }


@pytest.mark.parametrize(
    ("globs", "found", "passed"),
    [
        (["*.jsonl"], ["j0", "j1", "j2"], {"._part-0.jsonl": "hidden"}),
        (["part-[01].*", "*.json"], ["j0", "j1", "j2", "k0", "k1", "k2"], METADATA),
        (["part-?.jsonl*"], ["j0", "j1", "j2", "k0", "k1", "k2"], {"part-2.jsonl.gz.incomplete": "unfinished"}),
        # What is named is read, and was not passed over then.
        (["part-0.jsonl", "part-0.*", "._part-0.jsonl"], ["j0", "j1", "j2"], {}),
        (["._*.jsonl", "*.jsonl"], ["j0", "j1", "j2"], {}),
    ],
)
def test_globs_pass_over_hidden_files_and_bystanders(
    dataset: Path, globs: list[str], found: list[str], passed: dict[str, str]
) -> None:
    inputs = find(*(dataset / "jsonl" / glob for glob in globs))
    assert read_ids(inputs) == found and list_passed_over(inputs) == passed


def test_nothing_but_bystanders_is_an_error(dataset: Path) -> None:
    shutil.copytree(dataset / "jsonl", dataset / "meta", ignore=shutil.ignore_patterns("*part-*"))
    for path in (dataset / "jsonl/*.json", dataset / "meta"):
        with pytest.raises(
            RecipeError, match=r"2 files passed over: dataset_info\.json, state\.json \(about the data\)"
        ):
            find(path)


def test_wat_files_beside_others_are_passed_over_and_refused_alone(tmp_path: Path) -> None:
    for name in ("CC-0.warc.gz", "CC-0.warc.wat.gz", "CC-0.warc.wet.gz"):
        (tmp_path / name).write_bytes(b"x")
    inputs = find(tmp_path)
    assert [kind for _, kind in inputs.files] == [InputFormat.WARC, InputFormat.WET]
    assert inputs.passed_over == (PassedOver(f"{tmp_path}/CC-0.warc.wat.gz", "WAT, without text"),)
    for path in ("*.wat.gz", "CC-0.warc.wat.gz"):
        with pytest.raises(RecipeError, match="WAT"):
            find(tmp_path / path)


def test_parquet_beside_json_lines_is_refused_with_a_glob_for_each(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.jsonl.gz"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RecipeError) as error:
        find(tmp_path)
    assert f"'{tmp_path}/*.parquet', '{tmp_path}/*.jsonl.gz'" in str(error.value)
    with pytest.raises(RecipeError, match="Run ingest once for each"):
        find(tmp_path / "a.parquet", tmp_path / "b.jsonl.gz")


@pytest.mark.parametrize("path", ["hf-parquet/data/*.parquet", "jsonl/part-0.jsonl"])
def test_file_that_two_paths_match_is_one_input(dataset: Path, path: str) -> None:
    once, twice = find(dataset / path), find(dataset / path, (dataset / path).parent)
    assert set(list_names(once)) <= set(list_names(twice)) and len(list_names(twice)) == len(set(list_names(twice)))


def test_link_to_nowhere_beside_data_is_one_rejection(dataset: Path) -> None:
    (dataset / "jsonl/part-9.jsonl").symlink_to("/nowhere")
    inputs = find(dataset / "jsonl")
    rejections = [
        item.message
        for file, kind in inputs.files
        for item in read_file(file.uri, kind, ReadOptions())
        if hasattr(item, "reason")
    ]
    assert len(read_ids(inputs)) == 6 and len(rejections) == 1 and "/nowhere, which is not there" in rejections[0]


@pytest.mark.parametrize(("name", "n_documents"), [("long-28.jsonl.zst", 5), ("part-00000", 9)])
@pytest.mark.parametrize("options", [{}, {"format": "jsonl"}])
def test_zstd_of_long_windows_and_skippable_frames_is_read(
    name: str, n_documents: int, options: dict[str, str]
) -> None:
    assert len(read_ids(find(CASES / "zst-long-window" / name, **options))) == n_documents


@pytest.mark.parametrize(
    ("paths", "beside", "is_at_once"),
    [
        (["{folder}/a.jsonl"], {}, True),
        (["{folder}/a.jsonl"], {".jsonl": ".quality.jsonl"}, True),
        (["s3a://crawl/a.jsonl"], {}, False),
        (["{folder}/a.jsonl", "s3://crawl/a.jsonl"], {}, False),
        (["{folder}/a.jsonl"], {"{folder}": "s3a://crawl/quality"}, False),
    ],
)
def test_inputs_are_found_before_spark_starts_unless_its_settings_may_hold_the_keys(
    tmp_path: Path, paths: list[str], beside: dict[str, str], is_at_once: bool
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    others = {key.format(folder=tmp_path): value for key, value in beside.items()}
    config = InputConfig.model_validate(
        {
            "paths": [path.format(folder=tmp_path) for path in paths],
            "beside": [{"column": "quality", "path": others}] if others else [],
        }
    )
    assert (find_inputs_at_once(config) is not None) == is_at_once
