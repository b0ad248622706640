"""GPU scheduling of the stages that call the engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)


def generation_profile(spark: SparkSession) -> Any | None:
    """The resource profile of a generation stage.

    Stage-level scheduling needs Spark 4.0 and a cluster whose executors have GPUs (`spark.executor.resource.gpu.amount`).

    Returns:
        A ResourceProfile that asks for the GPU share of `spark.task.resource.gpu.amount` per task; None where there is
        nothing to ask for: in local mode, without GPUs, and on Spark 3.5, where the application's own settings hold.
    """
    conf = spark.sparkContext.getConf()
    amount = conf.get("spark.executor.resource.gpu.amount")
    if amount is None or float(amount) == 0:
        return None
    if spark.sparkContext.master.startswith("local[") or int(spark.version.split(".")[0]) < 4:
        LOG.info("stage-level GPU scheduling is not available here: the application's own GPU settings hold")
        return None
    from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests

    executor = ExecutorResourceRequests().resource(
        "gpu",
        int(amount),
        conf.get("spark.executor.resource.gpu.discoveryScript", ""),
        conf.get("spark.executor.resource.gpu.vendor", ""),
    )
    if cores := conf.get("spark.executor.cores"):
        executor = executor.cores(int(cores))
    if memory := conf.get("spark.executor.memory"):
        executor = executor.memory(memory)
    task = TaskResourceRequests().cpus(1).resource("gpu", float(conf.get("spark.task.resource.gpu.amount", "1")))
    return ResourceProfileBuilder().require(executor).require(task).build
