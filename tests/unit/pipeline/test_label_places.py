"""Places of labels that are read without Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from prox_spark.errors import LabelError
from prox_spark.labels import Label, write_labels
from prox_spark.pipeline.labels import read_places

pytestmark = pytest.mark.unit


def test_a_file_may_be_named_by_its_uri(tmp_path: Path) -> None:
    labels = [Label("1", "mine", "A page", keep=True)]
    write_labels(tmp_path / "mine.jsonl.gz", labels)
    uri = f"file://{tmp_path}/mine.jsonl.gz"
    assert read_places([uri]) == {uri: labels}


def test_a_store_whose_files_are_not_read_is_named_with_those_that_are() -> None:
    with pytest.raises(LabelError, match=r"labels from abfss://c@a/x\.jsonl: .* s3://, gs:// and hdfs:// only"):
        read_places(["abfss://c@a/x.jsonl"])


def test_a_file_in_a_bucket_that_can_not_be_asked_is_an_error_that_says_whose_credentials_were_used() -> None:
    with pytest.raises(LabelError, match=r"labels from s3://No_Bucket!/x\.jsonl: .*\(credentials: AWS_\* variables"):
        read_places(["s3://No_Bucket!/x.jsonl"])
