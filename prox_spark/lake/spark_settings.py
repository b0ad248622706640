"""Settings of the Spark session that are changed for a moment.

A platform behind Spark Connect may refuse a setting: serverless compute of Databricks has few. It then stays as it is. All settings
that this product changes are for speed, or for the names in a table's history, but no result depends on one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pyspark.errors import PySparkException

from prox_spark.spark_driver import is_connect

LOG: Final = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def spark_settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Change settings of the session for the block, except those that a platform behind Spark Connect refuses."""
    before: dict[str, str | None] = {}
    try:
        for key, value in values.items():
            try:
                found = spark.conf.get(key, None)
                spark.conf.set(key, value)
            except PySparkException as error:
                if not is_connect(spark):
                    raise
                LOG.debug("%s stays as it is: %s", key, error)
            else:
                before[key] = found
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)
