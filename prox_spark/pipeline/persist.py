"""Frames that are computed once and read several times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.storagelevel import StorageLevel

from prox_spark.tables import setting

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
def persisted_texts(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame in the executors' memory, as far as that goes, for the block.

    Spark gathers the rows of a column batch before it writes one: batches are kept small, for a text may have megabytes.
    """
    with setting(frame.sparkSession, "spark.sql.inMemoryColumnarStorage.batchSize", str(_BATCH_ROWS)):
        kept = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield kept
    finally:
        kept.unpersist()
