"""Labels out of files and Delta tables."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from moto_s3 import MotoS3, moto_s3, without_aws

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import LabelError
from prox_spark.labels import Label
from prox_spark.lake.spark_settings import spark_settings
from prox_spark.pipeline.annotate import annotate_lake
from prox_spark.pipeline.labels import find_labels
from prox_spark.programs import Operation, OpName

pytestmark = pytest.mark.spark

COLUMNS = "label_id string, label_set string, text string, first_line int, keep boolean"


def write_file(path: Path, n: int) -> str:
    path.write_text("\n".join(json.dumps({"text": f"text {i}", "keep": True}) for i in range(n)))
    return str(path)


@pytest.fixture(scope="module")
def labels_table(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Delta table in the shape of the lake's, with a column more."""
    place = str(tmp_path_factory.mktemp("labels") / "labels")
    operation = ", ".join(f"{field.name}: {field.dataType.simpleString()}" for field in schemas.OPERATION)
    rows = [
        ("1", "ours", "a\nb", 4, None, [("remove_lines", 4, 4, None, None), ("normalize", None, None, "b", "c")], "x"),
        ("2", "ours", "junk", None, False, None, "x"),
        ("3", "ours", "fine", 0, True, [], "x"),
    ]
    frame = spark.createDataFrame(rows, f"{COLUMNS}, ops array<struct<{operation}>>, teacher string")
    frame.coalesce(1).write.format("delta").save(place)
    return place


def test_labels_of_a_table(spark: Any, labels_table: str) -> None:
    ops = (Operation(OpName.REMOVE_LINES, 4, 4), Operation(OpName.NORMALIZE, source_str="b", target_str="c"))
    assert sorted(find_labels(spark, [labels_table]), key=lambda label: label.label_id) == [
        Label("1", "ours", "a\nb", 4, None, ops),
        Label("2", "ours", "junk", 0, False, None),
        Label("3", "ours", "fine", 0, True, ()),
    ]


def test_files_and_tables_come_in_the_order_of_their_places(spark: Any, labels_table: str, tmp_path: Path) -> None:
    found = find_labels(spark, [write_file(tmp_path / "first.jsonl", 2), labels_table])
    assert [label.label_set for label in found] == ["first", "first", "ours", "ours", "ours"]


def test_a_sample_is_drawn_by_its_seed(spark: Any, tmp_path: Path) -> None:
    places = [write_file(tmp_path / "many.jsonl", 50)]

    def drawn(limit: int, seed: int) -> list[str]:
        return [label.label_id for label in find_labels(spark, places, limit, seed)]

    assert drawn(10, 1) == drawn(10, 1) != drawn(10, 2)
    assert len(set(drawn(10, 1))) == 10 and len(drawn(80, 1)) == 50


def test_what_holds_no_labels_is_named(spark: Any, tmp_path: Path, labels_table: str) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    spark.range(1).write.format("delta").save(str(tmp_path / "other"))
    cases = {
        "empty.jsonl": r"no labels in .*empty\.jsonl",
        "nowhere.jsonl": r"can't read labels from .*nowhere\.jsonl",
        "other": r"can't read labels from .*other: .*label_id",
    }
    for name, message in cases.items():
        with pytest.raises(LabelError, match=message):
            find_labels(spark, [str(tmp_path / name)])
    with pytest.raises(LabelError, match=r"can't read labels from no\.such\.table"):
        find_labels(spark, ["no.such.table"])


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoS3]:
    """A store whose keys are Hadoop's only: AWS's own chain finds nothing."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in without_aws({}).items():
        monkeypatch.setenv(name, value)
    with moto_s3("labels") as server:
        yield server


def of_hadoop(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a session for S3A, without those of Spark's start."""
    prefix = "spark.hadoop."
    return {name.removeprefix(prefix): value for name, value in settings.items() if name.startswith(prefix)}


def test_files_on_s3_are_read_with_the_credentials_of_hadoop(spark: Any, store: MotoS3, lake_root: str) -> None:
    lines = b"".join(json.dumps({"text": f"text {n}", "keep": True}).encode() + b"\n" for n in range(3))
    store.put("labels", {"plain.jsonl": lines, "packed.jsonl.gz": gzip.compress(lines)})
    places = ["s3://labels/plain.jsonl", "s3a://labels/packed.jsonl.gz"]
    with spark_settings(spark, of_hadoop(store.settings)):
        found = find_labels(spark, places)
        summary = annotate_lake(spark, Recipe.parse({"lake": {"root": lake_root}}), places)
    assert [label.label_set for label in found] == ["plain"] * 3 + ["packed"] * 3
    assert summary.n_labels == {"plain": 3, "packed": 3}
    origins = spark.read.format("delta").load(f"{lake_root}/labels").select("origin").distinct().collect()
    assert {row["origin"] for row in origins} == set(places)


def test_wrong_keys_for_files_on_s3_are_named_by_their_source_and_not_shown(spark: Any, store: MotoS3) -> None:
    store.put("labels", {"plain.jsonl": b""})
    wrong = {"fs.s3a.access.key": "AKIAWRONGKEYWRONG", "fs.s3a.secret.key": "wrong/secret/key"}
    with (
        spark_settings(spark, of_hadoop(store.settings) | wrong),
        pytest.raises(
            LabelError, match=r"labels from s3://labels/plain.jsonl: .*\(credentials: keys from the"
        ) as caught,
    ):
        find_labels(spark, ["s3://labels/plain.jsonl"])
    assert "AKIAWRONGKEYWRONG" not in str(caught.value) and "wrong/secret/key" not in str(caught.value)


def test_a_place_in_a_store_that_is_neither_is_told_what_a_file_is_called(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"The name of a file of labels ends with \.jsonl, \.json or \.gz"):
        find_labels(spark, [f"file://{tmp_path}/labels"])
