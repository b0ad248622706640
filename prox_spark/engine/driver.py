"""What the driver can know of engines without asking executors: in local mode it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from prox_spark.engine.host.executor import Owner, locate_owner_directory
from prox_spark.engine.life.record import read_records

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# Answers are dated by the clocks of the executors' hosts.
_CLOCKS_SECONDS = 3600.0


def is_local(context: SparkContext) -> bool:
    """Is the driver's own JVM the only executor."""
    return str(context.master) == "local" or context.master.startswith("local[")


def find_local_executor(spark: SparkSession) -> Owner | None:
    """The JVM whose engines this process may ask: the driver's own, in local mode."""
    if not is_local(spark.sparkContext):
        return None
    jvm = spark.sparkContext._jvm
    return Owner.of(psutil.Process(int(jvm.java.lang.ProcessHandle.current().pid()))) if jvm else None


def find_earliest_start(spark: SparkSession) -> float:
    """Before when no engine was started that may still run for this session, in seconds since the epoch.

    Executors come and go with their application; the driver's JVM, which is the executor in local mode, outlives it in a notebook.
    """
    owner = find_local_executor(spark)
    begun = psutil.Process(owner.pid).create_time() if owner else spark.sparkContext.startTime / 1000
    return begun - _CLOCKS_SECONDS


def read_engine_ids(owner: Owner | None) -> set[str]:
    """Ids of the engines that an executor on this host started last, alive or dead; none without one."""
    found = read_records(locate_owner_directory(owner)).values() if owner else ()
    return {record.last_id for record in found if record.last_id}
