"""The driver of a Spark session: within reach of this process, or behind Spark Connect.

A session of Spark Connect has no SparkContext, no JVM and no RDDs here. Databricks gives such sessions on serverless compute and
in standard access mode. The rest of the product asks these functions and not the SparkContext, but for the job that starts engines.
"""

from __future__ import annotations

import gc
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from prox_spark.errors import ConnectError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Partitions of a range are as many as the task slots, up to this number.
_MOST_SLOTS = 4096
_APPLICATION = "spark.app.id"
# Python does nothing when it is asked to collect while another thread collects, and waves end side by side.
_COLLECTING = threading.Lock()


def is_connect(what: object) -> bool:
    """Return True if a session or a frame is one of Spark Connect."""
    return "connect" in type(what).__module__.split(".")


def is_local(spark: SparkSession) -> bool:
    """Return True if the JVM of this process's session is the only executor."""
    return not is_connect(spark) and is_local_master(str(spark.sparkContext.master))


def is_local_master(master: str) -> bool:
    """Return True if a master URL is that of local mode."""
    return master == "local" or master.startswith("local[")


def count_slots(spark: SparkSession) -> int:
    """Return the number of tasks that the session runs at once. Over Spark Connect that is a small query."""
    if not is_connect(spark):
        return int(spark.sparkContext.defaultParallelism)
    from pyspark.sql import functions as F

    return max(1, spark.range(_MOST_SLOTS).select(F.spark_partition_id()).distinct().count())


def count_partitions(rows: DataFrame) -> int | None:
    """Return the number of partitions of a frame; None over Spark Connect, which does not tell."""
    return None if is_connect(rows) else int(rows.rdd.getNumPartitions())


def free_plans() -> None:
    """Let the JVM forget the frames that nobody uses any more, with their plans and broadcast tables.

    A Python object of py4j 0.10.9 is in a reference cycle once a method of it was called, so only Python's cyclic collector ends
    it. That runs by numbers of Python objects, which say nothing of the megabytes that the JVM keeps for each.
    """
    with _COLLECTING:
        gc.collect()


def find_application_id(spark: SparkSession) -> str:
    """Return the id of the session's application. Where the platform keeps it to itself, return the id of the session."""
    if not is_connect(spark):
        return str(spark.sparkContext.applicationId)
    from pyspark.errors import PySparkException

    try:
        return spark.conf.get(_APPLICATION, None) or spark.session_id
    except PySparkException:  # Serverless compute of Databricks shows some settings only.
        return spark.session_id


def find_class(spark: SparkSession, name: str) -> Any | None:
    """Return a class of the JVM of a classic session; None if its class path has none of this name."""
    try:
        return cast(Any, spark)._jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(name)
    except Exception as error:
        if hasattr(error, "java_exception"):  # ClassNotFoundException
            return None
        raise


@lru_cache(maxsize=4)
def can_persist(spark: SparkSession) -> bool:
    """Return True if the session keeps frames that are persisted. Serverless compute of Databricks does not."""
    if not is_connect(spark):
        return True
    from pyspark.errors import PySparkException

    try:
        spark.range(1).persist().unpersist()
    except PySparkException:
        return False
    return True


def tag_queries(spark: SparkSession, tag: str) -> None:
    """Tag the queries of this thread from now on."""
    if is_connect(spark):
        spark.addTag(tag)
    else:
        spark.sparkContext.addJobTag(tag)


def cancel_queries(spark: SparkSession, tag: str) -> None:
    """Cancel the running queries with a tag."""
    if is_connect(spark):
        spark.interruptTag(tag)
    else:
        spark.sparkContext.cancelJobsWithTag(tag)


def can_ask(spark: SparkSession, endpoint: str | None) -> bool:
    """Return True if a model can be asked: by an engine on executors, which Spark Connect can't start, or by a remote one.

    Args:
        spark: the session.
        endpoint: `engine.endpoint` of the recipe.
    """
    return bool(endpoint) or not is_connect(spark)


def refuse_local_engine(spark: SparkSession, endpoint: str | None) -> None:
    """Raise an error if an engine is to be started on executors that are behind Spark Connect.

    Args:
        spark: the session.
        endpoint: `engine.endpoint` of the recipe.

    Raises:
        ConnectError: it is.
    """
    if not can_ask(spark, endpoint):
        raise ConnectError(
            "the session is one of Spark Connect, which can't start engines on executors. Refine in a classic session (on Databricks "
            "a cluster in dedicated access mode), or set engine.endpoint to a model server"
        )
