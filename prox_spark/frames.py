"""Frames that are computed once and read several times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pyspark.storagelevel import StorageLevel

from prox_spark.lake.spark_settings import spark_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_BATCH_ROWS = 256


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """Keeps a frame on the executors' disks for the block: texts and prompts of a wave are larger than memory."""
    kept = frame.persist(StorageLevel.DISK_ONLY)
    try:
        yield kept
    finally:
        kept.unpersist()


@contextmanager
def persisted_rows(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep the rows of an input on the executors' disks for the block, and leave their memory to what is written of them.

    Spark gathers the rows of a column batch before it writes one: batches are kept small, for a text may have megabytes. They
    are not compressed: what was just read is read once or twice more.
    """
    of_cache = {
        "spark.sql.inMemoryColumnarStorage.batchSize": str(_BATCH_ROWS),
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
    }
    with spark_settings(frame.sparkSession, of_cache):
        kept = frame.persist(StorageLevel.DISK_ONLY)
    try:
        yield kept
    finally:
        with suppress(Exception):  # the JVM may be what failed; then this error must not hide that one
            kept.unpersist()
