"""Work in other threads with the caller's Spark settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from pyspark.util import inheritable_thread_target

from prox_spark.spark_driver import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def inherit_thread_settings(work: Callable[Arguments, Result], spark: SparkSession) -> Callable[Arguments, Result]:
    """Return the work with the caller's thread-local Spark settings, such as a notebook's job group for cancelling.

    Call the result once. Each call of this function copies the settings, because Spark also keeps a query's name and
    more in them while the query runs.
    """
    if is_connect(spark):
        return cast(Callable[Arguments, Result], inheritable_thread_target(spark)(work))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark 4 warns that no session was given; Spark 3.5 takes none
        return cast(Callable[Arguments, Result], inheritable_thread_target(work))
