"""Programs to text in Spark; what comes out of a batch is tested without it, in tests/unit/udfs/test_execute.py."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.config import ApplyConfig
from prox_spark.pipeline.applying.execute import execute_programs, gather_chunks
from prox_spark.spark_versions import VERSION, with_arrow_column
from prox_spark.udfs.programs import CHUNK
from prox_spark.udfs.words import count_words_or_null

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("semantics", ["strict", "reference"])
def test_texts_go_through_one_udf_and_are_not_shuffled(spark: Any, semantics: str) -> None:
    nothing = F.lit(None)
    identity = (F.col("id").cast("string").alias("doc_id"), F.lit("sha").alias("content_sha256"))
    ops = F.array(F.struct(F.lit("remove_lines"), F.lit(1), F.lit(1), nothing, nothing))
    fields = F.struct(F.lit(0), F.lit(0), F.lit(3), nothing, ops, F.array()).cast(CHUNK)
    programs = spark.range(5).select(*identity, fields.alias("chunk")).select("doc_id", "content_sha256", "chunk.*")
    documents = spark.range(6).select(*identity, F.repeat(F.lit("some words in a line\n"), 20).alias("text"))
    done = execute_programs(documents, gather_chunks(programs), ApplyConfig(drop_threshold=0.5, semantics=semantics))
    found = {
        row["doc_id"]: (row["text"].count("\n"), row["words_before"], row["words_after"]) for row in done.collect()
    }
    assert found == {**dict.fromkeys("01234", (19, 100, 95)), "5": (20, 100, 100)}
    plan = done._jdf.queryExecution().executedPlan().toString().partition("== Initial Plan ==")[0]
    assert plan.count("ArrowEvalPython" if VERSION >= (4, 1) else "MapInArrow") == 1
    # The one shuffle gathers the programs of a document; the documents are joined where they are.
    assert plan.count("Exchange hashpartitioning") == 1 and plan.count("BroadcastHashJoin") == 1


def test_words_of_a_column_are_counted_and_null_stays(spark: Any) -> None:
    frame = spark.createDataFrame([("a b",), ("中文",), ("",), (None,)], "text string")
    counted = with_arrow_column(frame, "n", count_words_or_null, T.LongType(), F.col("text"))
    assert [row["n"] for row in counted.collect()] == [2, 2, 0, None]
