"""How Spark computes frames: once for several readers, and by interpreted plans where there are few documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pyspark.storagelevel import StorageLevel

from prox_spark.lake.spark_settings import spark_settings
from prox_spark.spark_driver import can_persist, is_local

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_BATCH_ROWS = 256
# Waves of 1,000 documents are a fifth faster interpreted, those of 20,000 a fifth slower.
_COMPILED_FROM = 5_000
# A plan reads only the keys of the other documents.
_COMPILED_FROM_OTHERS = 100_000
_INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame on the executors' disks for the block, because texts and prompts of a wave are larger than memory."""
    if not can_persist(frame.sparkSession):  # It is computed again for each reader.
        yield frame
        return
    kept = frame.persist(StorageLevel.DISK_ONLY)
    try:
        yield kept
    finally:
        kept.unpersist()


def persist_rows(frame: DataFrame) -> DataFrame:
    """Persist the rows of an input on the executors' disks, and leave memory to what is made of them.

    Spark gathers the rows of a column batch before it writes one. Batches are kept small, because a text may have megabytes.
    They are not compressed, because rows that were just read are read once or twice more.
    """
    of_cache = {
        "spark.sql.inMemoryColumnarStorage.batchSize": str(_BATCH_ROWS),
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
    }
    with spark_settings(frame.sparkSession, of_cache):
        return frame.persist(StorageLevel.DISK_ONLY)


@contextmanager
def persisted_rows(frame: DataFrame) -> Iterator[DataFrame]:
    """Persist the rows of an input for the block, see `persist_rows`."""
    if not can_persist(frame.sparkSession):
        yield frame
        return
    kept = persist_rows(frame)
    try:
        yield kept
    finally:
        with suppress(Exception):  # The JVM may have failed, and this error must not hide that one.
            kept.unpersist()


@contextmanager
def planned_for(spark: SparkSession, n_documents: float, n_others: int = 0) -> Iterator[None]:
    """Let Spark interpret the plans of the block if they are about few documents, in local mode only.

    For few documents, compiling a plan takes longer than running it. A cluster's executors compile for themselves and keep what
    they compiled, and a platform may refuse the settings.

    Args:
        spark: its settings change for the block.
        n_documents: number of documents that are worked on.
        n_others: number of other documents in the lake, some of whose rows are looked through.
    """
    is_large = n_documents >= _COMPILED_FROM or n_others >= _COMPILED_FROM_OTHERS
    if is_large or not is_local(spark):
        yield
        return
    with spark_settings(spark, _INTERPRETED):
        yield
