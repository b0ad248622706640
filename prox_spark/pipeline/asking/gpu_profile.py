"""GPU scheduling of the stages that call the engine."""

from __future__ import annotations

import logging
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prox_spark.config import EngineConfig
from prox_spark.engine.driver import is_local

if TYPE_CHECKING:
    from pyspark import SparkContext

LOG = logging.getLogger(__name__)
# For ever by default.
_CACHED_TIMEOUT = "spark.dynamicAllocation.cachedExecutorIdleTimeout"
_CORES = "spark.executor.cores"
_SHARE = "spark.task.resource.gpu.amount"


def make_generation_profile(context: SparkContext, engine: EngineConfig) -> Any | None:
    """The resource profile of the generation stages, one for the whole application.

    Stage-level scheduling needs Spark 4.0 and a cluster whose executors have GPUs (`spark.executor.resource.gpu.amount`).
    With dynamic allocation the profile asks for such executors; without it the executors are what they are, and the
    profile only says that a generating task takes a share of the GPU.

    Returns:
        A profile that asks, for each task, for `spark.task.resource.gpu.amount`; where that is unset, for as much as lets
        every core of an executor feed its engines, as `spark.executor.cores` counts them. Then only generation takes GPUs.
        None where there is nothing to ask for: without GPUs or with engines that need none, in local mode, and on Spark 3.5,
        where the application's own settings hold.
    """
    return None if engine.device == "cpu" or engine.endpoint else _make_profile(context, engine.tensor_parallel_size)


def count_gpus_per_executor(context: SparkContext) -> int:
    """As many as Spark schedules; 0 where it schedules none."""
    return int(context.getConf().get("spark.executor.resource.gpu.amount", "0"))


@lru_cache(maxsize=1)
def _make_profile(context: SparkContext, gpus_per_engine: int) -> Any | None:
    conf = context.getConf()
    amount = count_gpus_per_executor(context)
    if not amount:
        return None
    if is_local(context) or int(context.version.split(".")[0]) < 4:
        LOG.info("stage-level GPU scheduling is not available here: the application's own GPU settings hold")
        return None
    from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests

    n_cores = int(conf.get(_CORES, "1"))
    if gpus_per_engine == 1 and not (conf.get(_CORES, "") or conf.get(_SHARE, "")):
        LOG.warning(
            "one task alone feeds each GPU's engine: set %s, so that a task takes the GPU's share of a core, or %s",
            _CORES,
            _SHARE,
        )
    # An engine of several GPUs takes them whole: Spark gives a task with a fraction one GPU only.
    even = float(gpus_per_engine) if gpus_per_engine > 1 else 1 / max(1, math.ceil(n_cores / amount))
    share = float(conf.get(_SHARE, str(even)))
    task = TaskResourceRequests().cpus(int(conf.get("spark.task.cpus", "1"))).resource("gpu", share)
    builder = ResourceProfileBuilder().require(task)
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        if not conf.get(_CACHED_TIMEOUT, ""):
            LOG.warning(
                "generation may wait for ever for GPUs of executors that idle, for Spark keeps those that hold cached prompts: set "
                "%s (such as 5m; others go after spark.dynamicAllocation.executorIdleTimeout), or let "
                "spark.dynamicAllocation.maxExecutors and the cluster's GPUs be enough for the executors of both kinds",
                _CACHED_TIMEOUT,
            )
        script = conf.get("spark.executor.resource.gpu.discoveryScript", "")
        vendor = conf.get("spark.executor.resource.gpu.vendor", "")  # Kubernetes asks for it
        executor = ExecutorResourceRequests().resource("gpu", amount, script, vendor).cores(n_cores)
        builder = builder.require(executor.memory(conf.get("spark.executor.memory", "1g")))
    return builder.build
