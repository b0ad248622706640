"""The doctor's checks that need a session: the lake, the inputs and an executor."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prox_spark.config import LakeConfig, Recipe
from prox_spark.doctor import Check, examine
from prox_spark.doctor.executor import examine_executor
from prox_spark.doctor.lake import examine_lake
from prox_spark.errors import LakeError
from prox_spark.lake.lake import Lake
from prox_spark.lake.log_store import find_log_store, locate_lake
from prox_spark.lake.spark_settings import spark_settings
from prox_spark.pipeline.inputs import find

pytestmark = pytest.mark.spark


def look(spark: Any, root: Path | str) -> dict[str, Check]:
    return {check.name: check for check in examine_lake(spark, LakeConfig(root=str(root)))}


def test_a_lake_that_is_there_can_be_read_and_written(spark: Any, lake: Any, lake_root: str) -> None:
    before = sorted(Path(lake_root).rglob("*"))
    checks = look(spark, lake_root)
    assert {name: check.status for name, check in checks.items()} == dict.fromkeys(
        ("lake", "lake, writing", "log store", "lake tables"), "ok"
    )
    assert checks["lake tables"].found == "documents, generations, refined, runs"
    assert sorted(Path(lake_root).rglob("*")) == before


def test_a_lake_that_is_not_there_yet_is_no_failure_and_is_not_made(spark: Any, tmp_path: Path) -> None:
    checks = look(spark, tmp_path / "new" / "lake")
    assert checks["lake"].found.endswith("is not there yet, its store answers")
    assert {check.status for check in checks.values()} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_lake_where_nothing_can_be_written_is_a_failure(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    checks = look(spark, tmp_path / "file" / "lake")
    assert "failure" in {check.status for check in checks.values()}


@pytest.mark.parametrize("place", ["s3a://bucket/lake", "nowhere://bucket/lake"])
def test_a_store_without_a_connector_is_a_failure(spark: Any, place: str) -> None:
    checks = look(spark, place)
    assert checks["lake"].status == "failure" and "lake tables" not in checks


def test_a_path_without_a_scheme_is_looked_for_where_spark_does(spark: Any, tmp_path: Path) -> None:
    with spark_settings(spark, {"fs.defaultFS": "nowhere://host/"}):
        checks = look(spark, tmp_path / "lake")
    assert checks["lake"].status == "failure" and "nowhere" in checks["lake"].found


@contextmanager
def started_with(spark: Any, name: str, value: str) -> Iterator[None]:
    """Have a setting as if Spark had been started with it."""
    settings = spark.sparkContext._conf
    settings.set(name, value)
    try:
        yield
    finally:
        settings._jconf.remove(name)


def test_a_log_store_that_is_not_on_the_class_path_is_an_error_that_says_what_to_add(spark: Any) -> None:
    with (
        started_with(spark, "spark.delta.logStore.s3a.impl", "my.Store"),
        pytest.raises(LakeError, match=r"my\.Store, which is not on the class path: add `--jars"),
    ):
        Lake(spark, "s3a://bucket/lake")


def test_delta_and_we_ignore_a_log_store_that_is_set_after_the_start(spark: Any, tmp_path: Path) -> None:
    setting = {"spark.delta.logStore.file.impl": "my.Store"}
    with spark_settings(spark, setting):
        spark.range(1).write.format("delta").save(str(tmp_path / "table"))  # Delta would not find the class.
    with spark_settings(spark, {"spark.delta.logStore.s3a.impl": "my.Store"}):
        store = find_log_store(spark, "s3a://bucket/lake")
    assert store is not None and store.name == "io.delta.storage.S3SingleDriverLogStore"


def test_a_catalog_s_log_store_is_judged_by_the_place_of_its_tables(spark: Any, catalog: str) -> None:
    config = LakeConfig(catalog=catalog)
    assert [check.name for check in examine_lake(spark, config)] == ["lake tables"]
    Lake(spark, config).ensure()
    assert locate_lake(spark, config).startswith("file:/")
    assert {check.name: check.status for check in examine_lake(spark, config)} == {
        "lake tables": "ok",
        "log store": "ok",
    }


def test_keys_in_the_lake_s_place_are_refused_by_name(spark: Any) -> None:
    checks = examine(Recipe.parse({"lake": {"root": "s3a://AKIA:hush@bucket/lake"}}))
    assert checks[-1].status == "failure" and "a path holds keys of S3" in checks[-1].found
    assert "hush" not in str(checks)


def test_an_executor_is_looked_at_from_inside(spark: Any) -> None:
    checks = {check.name: check for check in examine_executor(spark, Recipe())}
    assert checks["Python workers"].found.startswith(platform.python_version())
    assert {checks[name].status for name in ("Python workers", "engine", "socket path")} == {"ok"}


def test_all_is_looked_at_in_one_go(spark: Any, lake: Any, lake_root: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    recipe = Recipe.parse({"lake": {"root": lake_root}, "input": {"paths": [str(tmp_path / "a.jsonl")]}})
    checks = {check.name: check for check in examine(recipe)}
    assert checks["inputs"].found == "1 files" and checks["Spark session"].status == "ok"
    assert "failure" not in {check.status for check in checks.values()}


def test_inputs_that_are_not_there_are_a_failure(spark: Any, lake: Any, lake_root: str) -> None:
    recipe = Recipe.parse({"lake": {"root": lake_root}, "input": {"paths": ["/nowhere/*.jsonl"]}})
    checks = {check.name: check for check in examine(recipe)}
    assert checks["inputs"].status == "failure" and "/nowhere" in checks["inputs"].found


def test_checks_before_an_unexpected_error_are_kept(
    spark: Any, lake: Any, lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(find, "find_inputs_of", break_down)
    recipe = Recipe.parse({"lake": {"root": lake_root}, "input": {"paths": ["/data/*.jsonl"]}})
    checks = examine(recipe)
    assert "lake tables" in {check.name for check in checks}
    assert checks[-1].status == "failure" and checks[-1].found == "the checks ended early: the disk is gone"
