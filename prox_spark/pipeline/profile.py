"""GPU scheduling of the stages that call the engine."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import SparkContext

LOG = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def generation_profile(context: SparkContext) -> Any | None:
    """The resource profile of the generation stages, one for the whole application.

    Stage-level scheduling needs Spark 4.0 and a cluster whose executors have GPUs (`spark.executor.resource.gpu.amount`).
    With dynamic allocation the profile asks for such executors; without it the executors are what they are, and the
    profile only says that a generating task takes a share of the GPU.

    Returns:
        A profile that asks for `spark.task.resource.gpu.amount` (1 when unset) per task; None where there is nothing to
        ask for: in local mode, without GPUs, and on Spark 3.5, where the application's own settings hold.
    """
    conf = context.getConf()
    amount = float(conf.get("spark.executor.resource.gpu.amount", "0"))
    if not amount:
        return None
    if context.master.startswith("local[") or int(context.version.split(".")[0]) < 4:
        LOG.info("stage-level GPU scheduling is not available here: the application's own GPU settings hold")
        return None
    from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests

    share = float(conf.get("spark.task.resource.gpu.amount", "1"))
    builder = ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource("gpu", share))
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        script = conf.get("spark.executor.resource.gpu.discoveryScript", "")
        executor = ExecutorResourceRequests().resource("gpu", int(amount), script)
        executor = executor.cores(int(conf.get("spark.executor.cores", "1")))
        builder = builder.require(executor.memory(conf.get("spark.executor.memory", "1g")))
    return builder.build
