from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from prox_spark.errors import LabelError
from prox_spark.labels import Label, read_labels, write_labels
from prox_spark.programs import Operation, OpName

pytestmark = pytest.mark.unit

LABELS = [
    Label("a", "mine", "A page", keep=True, edu=3, format=4),
    Label("a:0-1", "mine", "Menu\nA page", ops=(Operation(OpName.REMOVE_LINES, 0, 0),)),
    Label("b:7-7", "mine", "é", first_line=7, ops=()),
    Label("c", "yours", "A page", keep=False, ops=(Operation(OpName.NORMALIZE, None, None, "ge", ""),)),
]


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.jsonl.gz"])
def test_labels_that_were_written_are_read_back(tmp_path: Path, name: str) -> None:
    assert write_labels(tmp_path / name, LABELS) == len(LABELS)
    assert list(read_labels(tmp_path / name)) == LABELS


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz"])
def test_labels_of_a_store_are_named_by_their_uri(tmp_path: Path, name: str) -> None:
    write_labels(tmp_path / name, LABELS)
    uri = f"s3://bucket/pages/{name}"
    asked = []

    def open_file(place: str) -> Any:
        asked.append(place)
        return pa.OSFile(str(tmp_path / name))

    assert list(read_labels(uri, open_file)) == LABELS and asked == [uri]
    (tmp_path / name).unlink()
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wt") as file:
        file.write('{"text": "a", "keep": true}\n{"text": "b"}\n')
    labels = read_labels(uri, open_file)
    assert next(labels).label_set == "pages-train"
    with pytest.raises(LabelError, match=rf"^{uri}:2 is no label"):
        next(labels)


def test_the_scores_of_a_window_are_kept_with_its_label(tmp_path: Path) -> None:
    row = {"id": "w", "line_start": 3, "window": "[003]Menu\n[004]A page", "edu": 2, "format": 4, "ops": []}
    (tmp_path / "seed.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"id": "v", "line_start": 0}))
    inner, first = read_labels(tmp_path / "seed.jsonl")
    assert (inner.edu, inner.format, inner.keep, inner.first_line) == (2, 4, None, 3)
    assert (first.edu, first.format, first.keep) == (2, 4, True)
