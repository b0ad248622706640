"""What the generation stages ask Spark for. No context is there."""

from __future__ import annotations

import logging

import pytest

from prox_spark.config import EngineConfig
from prox_spark.pipeline.asking.gpu_profile import make_generation_profile

pytestmark = pytest.mark.unit

GPUS = {
    "spark.executor.resource.gpu.vendor": "nvidia.com",
    "spark.executor.resource.gpu.amount": "1",
    "spark.executor.cores": "4",
}
DYNAMIC = GPUS | {"spark.dynamicAllocation.enabled": "true"}
TIMEOUT = "spark.dynamicAllocation.cachedExecutorIdleTimeout"


class FakeContext:
    """Of an application with these settings on a cluster; it is its own configuration."""

    master = "spark://host:7077"
    version = "4.1.2"

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings

    def getConf(self) -> FakeContext:
        return self

    def get(self, name: str, default: str) -> str:
        return self._settings.get(name, default)


@pytest.mark.parametrize(
    ("extra", "is_warned"),
    [({}, True), ({"spark.executor.cores": "4"}, False), ({"spark.task.resource.gpu.amount": "0.25"}, False)],
    ids=str,
)
def test_executors_of_nobody_knows_how_many_cores_are_warned_of(
    extra: dict[str, str], is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    context = FakeContext({"spark.executor.resource.gpu.amount": "1"} | extra)
    with caplog.at_level(logging.WARNING):
        assert make_generation_profile(context, EngineConfig(device="cuda"))  # type: ignore[arg-type]
        # Tasks of an engine of two GPUs take both, be there more cores or not.
        several = EngineConfig(device="cuda", tensor_parallel_size=2)
        assert make_generation_profile(FakeContext(context._settings), several)  # type: ignore[arg-type]
    assert ["spark.executor.cores" in record.getMessage() for record in caplog.records] == [True] * is_warned


@pytest.mark.parametrize(
    ("settings", "is_warned"), [(GPUS, False), (DYNAMIC, True), (DYNAMIC | {TIMEOUT: "5m"}, False)], ids=str
)
def test_who_may_wait_for_ever_for_gpus_is_warned_once_and_told_the_setting(
    settings: dict[str, str], is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    context = FakeContext(settings)
    with caplog.at_level(logging.WARNING):
        profiles = [make_generation_profile(context, EngineConfig(device="cuda")) for _ in range(3)]  # type: ignore[arg-type]
    assert profiles[0] is not None and profiles[0] is profiles[2]
    if settings is not GPUS:
        assert profiles[0].executorResources["gpu"].vendor == "nvidia.com", "Kubernetes makes no pod without it"
    assert [TIMEOUT in record.getMessage() for record in caplog.records] == [True] * is_warned
