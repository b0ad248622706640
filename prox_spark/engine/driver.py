"""Facts about engines that the driver has without asking executors. In local mode the driver is the executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from prox_spark.engine.host.executor import Owner, locate_owner_directory
from prox_spark.engine.life.record import read_records
from prox_spark.spark_driver import is_local

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Answers carry the time of the executors' hosts, whose clocks may differ from the driver's by this much.
_CLOCK_SKEW_SECONDS = 3600.0


def find_local_executor(spark: SparkSession) -> Owner | None:
    """Return the JVM whose engines this process can ask: in local mode the driver's own, otherwise None."""
    if not is_local(spark):
        return None
    jvm = spark.sparkContext._jvm
    return Owner.of(psutil.Process(int(jvm.java.lang.ProcessHandle.current().pid()))) if jvm else None


def find_earliest_start(spark: SparkSession) -> float:
    """Return the earliest time (epoch seconds) at which an engine that may still serve this session can have started.

    Executors start and end with their application. In local mode the executor is the driver's JVM, which outlives the
    application in a notebook.
    """
    owner = find_local_executor(spark)
    begun = psutil.Process(owner.pid).create_time() if owner else spark.sparkContext.startTime / 1000
    return begun - _CLOCK_SKEW_SECONDS


def read_engine_ids(owner: Owner | None) -> set[str]:
    """Return the ids of the engines that an executor on this host started last, alive or dead.

    Empty without an executor.
    """
    found = read_records(locate_owner_directory(owner)).values() if owner else ()
    return {record.last_id for record in found if record.last_id}
