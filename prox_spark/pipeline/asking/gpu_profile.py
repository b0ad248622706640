"""GPU scheduling of the stages that call the engine."""

from __future__ import annotations

import logging
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prox_spark.config import EngineConfig
from prox_spark.spark_driver import is_local_master

if TYPE_CHECKING:
    from pyspark import SparkContext

LOG = logging.getLogger(__name__)
# The default is for ever.
_CACHED_TIMEOUT = "spark.dynamicAllocation.cachedExecutorIdleTimeout"
_CORES = "spark.executor.cores"
_SHARE = "spark.task.resource.gpu.amount"


def make_generation_profile(context: SparkContext, engine: EngineConfig) -> Any | None:
    """Return the resource profile of the generation stages, one for the whole application.

    Stage-level scheduling needs Spark 4.0 and a cluster whose executors have GPUs (`spark.executor.resource.gpu.amount`).
    With dynamic allocation the profile asks for such executors. Without it the executors stay as they are, and the profile
    only says that a generating task takes a share of the GPU.

    Returns:
        A profile that asks, for each task, for `spark.task.resource.gpu.amount`. If that is unset, it asks for the share with
        which every core of an executor (`spark.executor.cores`) feeds its engines. Then only generation takes GPUs. None if
        there is nothing to ask for: without GPUs or with engines that need none, in local mode, and on Spark 3.5, where the
        application's own settings hold.
    """
    return None if engine.device == "cpu" or engine.endpoint else _make_profile(context, engine.tensor_parallel_size)


def count_gpus_per_executor(context: SparkContext) -> int:
    """Return the number of GPUs per executor that Spark schedules; 0 if it schedules none."""
    return int(context.getConf().get("spark.executor.resource.gpu.amount", "0"))


@lru_cache(maxsize=1)
def _make_profile(context: SparkContext, gpus_per_engine: int) -> Any | None:
    conf = context.getConf()
    amount = count_gpus_per_executor(context)
    if not amount:
        return None
    if is_local_master(str(context.master)) or int(context.version.split(".")[0]) < 4:
        LOG.info("stage-level GPU scheduling is not available here: the application's own GPU settings hold")
        return None
    from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests

    n_cores = int(conf.get(_CORES, "1"))
    if gpus_per_engine == 1 and not (conf.get(_CORES, "") or conf.get(_SHARE, "")):
        LOG.warning(
            "only one task feeds each GPU's engine: set %s, so that a task takes one core's share of the GPU, or %s",
            _CORES,
            _SHARE,
        )
    # An engine of several GPUs takes them whole, because Spark gives only one GPU to a task with a fraction.
    even = float(gpus_per_engine) if gpus_per_engine > 1 else 1 / max(1, math.ceil(n_cores / amount))
    share = float(conf.get(_SHARE, str(even)))
    task = TaskResourceRequests().cpus(int(conf.get("spark.task.cpus", "1"))).resource("gpu", share)
    builder = ResourceProfileBuilder().require(task)
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        if not conf.get(_CACHED_TIMEOUT, ""):
            LOG.warning(
                "generation may wait for ever for GPUs of idle executors, because Spark keeps those that hold cached prompts: set "
                "%s (such as 5m; others end after spark.dynamicAllocation.executorIdleTimeout), or make "
                "spark.dynamicAllocation.maxExecutors and the cluster's GPUs enough for the executors of both kinds",
                _CACHED_TIMEOUT,
            )
        script = conf.get("spark.executor.resource.gpu.discoveryScript", "")
        vendor = conf.get("spark.executor.resource.gpu.vendor", "")  # Kubernetes requires it.
        executor = ExecutorResourceRequests().resource("gpu", amount, script, vendor).cores(n_cores)
        builder = builder.require(executor.memory(conf.get("spark.executor.memory", "1g")))
    return builder.build
