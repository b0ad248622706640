"""GPU scheduling without a GPU: workers announce addresses, a real standalone cluster hands them out, a fake engine takes them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import BIN, Cluster, find_marked, make_fake_engine_environment, standalone, start_job
from waiting import wait_until

pytestmark = pytest.mark.platform

JOB = Path(__file__).parent / "gpu_job.py"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers on this host, four cores each: one announces the GPUs 0 and 1, the other 2 and 3."""
    folder = tmp_path_factory.mktemp("gpus")
    workers = []
    for addresses in ('"0","1"', '"2","3"'):
        script = folder / f"discover{len(workers)}.sh"
        script.write_text(f"""#!/bin/sh\necho '{{"name": "gpu", "addresses": [{addresses}]}}'\n""")
        script.chmod(0o755)
        gpu = "spark.worker.resource.gpu"
        workers.append({f"{gpu}.amount": "2", f"{gpu}.discoveryScript": str(script)})
    with standalone(folder, workers, 4, make_fake_engine_environment(FAKE_ENGINE='{"latency": 0.3}')) as running:
        yield running


@pytest.fixture(scope="module")
def tasks(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the tasks of an application say that has two executors of four slots and two GPUs each; it has ended well."""
    settings = {
        "spark.executor.cores": "4",
        "spark.executor.memory": "512m",
        "spark.executor.resource.gpu.amount": "2",
        # As the operator of a host may have it: Spark's addresses count within this.
        "spark.executorEnv.CUDA_VISIBLE_DEVICES": "7,6,5,4",
        "spark.ui.enabled": "false",
        # All slots take part: tasks are given out when both executors are there.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.locality.wait": "0",
    }
    options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    command = [BIN / "spark-submit", "--master", cluster.url, *options, JOB]
    said = start_job(command, tmp_path_factory.mktemp("job"), make_fake_engine_environment()).wait_for_end(seconds=300)
    wait_until(lambda: not find_marked(but=cluster.daemons), "no process is left", 15)
    return json.loads(said)  # type: ignore[no-any-return]


def by(tasks: list[dict[str, Any]], *names: str) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Tasks with the same values together."""
    groups = defaultdict(list)
    for task in tasks:
        groups[tuple(task[name] for name in names)].append(task)
    return groups


def test_the_slots_of_an_executor_share_its_engine_and_no_other(tasks: dict[str, list[dict[str, Any]]]) -> None:
    executors = by(tasks["cpu"], "executor")
    assert [len(by(slots, "python_worker")) for slots in executors.values()] == [4, 4]
    assert [len(by(slots, "engine")) for slots in executors.values()] == [1, 1]
    assert len(by(tasks["cpu"], "engine")) == 2
    assert all(task["engines"] == [task["engine"]] for task in tasks["cpu"])


def test_an_executor_with_two_gpus_has_an_engine_on_each(tasks: dict[str, list[dict[str, Any]]]) -> None:
    assert all(task["engines"] == [task["engine"]] and len(task["gpus"]) == 1 for task in tasks["cuda"])
    engines = by(tasks["cuda"], "engine")
    assert [len(by(slots, "executor", "CUDA_VISIBLE_DEVICES")) for slots in engines.values()] == [1, 1, 1, 1]
    assert [len(by(slots, "python_worker")) for slots in engines.values()] == [2, 2, 2, 2]
    assert len(by(tasks["cuda"], "executor")) == 2


def test_an_engine_is_given_the_device_of_its_tasks_alone(tasks: dict[str, list[dict[str, Any]]]) -> None:
    devices = {(task["gpus"][0], task["CUDA_VISIBLE_DEVICES"]) for task in tasks["cuda"]}
    assert devices == {("0", "7"), ("1", "6"), ("2", "5"), ("3", "4")}
    assert len(by(tasks["cuda"], "CUDA_VISIBLE_DEVICES", "executor")) == 4
