"""Whether Spark compiles its plans: for few documents that takes longer than to run them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prox_spark.engine.driver import is_local
from prox_spark.lake.spark_settings import spark_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Waves of 1,000 documents are a fifth faster interpreted, those of 20,000 a fifth slower.
_COMPILED_FROM = 5_000
# Of the others a plan reads keys, at most.
_COMPILED_FROM_OTHERS = 100_000
_SETTINGS = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


@contextmanager
def planned_for(spark: SparkSession, n_documents: float, n_others: int = 0) -> Iterator[None]:
    """Have the plans of the block interpreted when they are about few documents, in local mode.

    Args:
        spark: its session; settings change for the block.
        n_documents: that are worked on.
        n_others: in the lake, some of whose rows are looked through.

    A cluster's executors compile for themselves and keep what they compiled, and a platform may refuse the settings.
    """
    is_large = n_documents >= _COMPILED_FROM or n_others >= _COMPILED_FROM_OTHERS
    if is_large or not is_local(spark.sparkContext):
        yield
        return
    with spark_settings(spark, _SETTINGS):
        yield
