"""Labels out of files and Delta tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prox_spark import schemas
from prox_spark.errors import LabelError
from prox_spark.labels import Label
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
