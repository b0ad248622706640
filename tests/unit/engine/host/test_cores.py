from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from prox_spark.engine.host import cores
from prox_spark.engine.host.cores import claim_cores, format_cores
from prox_spark.engine.host.executor import Owner, locate_owner_directory

pytestmark = pytest.mark.unit

BACKEND = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Owner]]:
    """Start processes with the command line of an executor, on a host with cores 0 to 7."""
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    processes: list[subprocess.Popen[bytes]] = []

    def start_one(*arguments: str) -> Owner:
        command = ["sh", "-c", "echo; read _", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout and process.stdout.readline()  # it runs, and so has its command line
        owner = Owner.of(psutil.Process(process.pid))
        locate_owner_directory(owner).parent.mkdir(exist_ok=True)
        return owner

    yield start_one
    for process in processes:
        process.communicate()


def executor(n_cores: int) -> tuple[str, ...]:
    return BACKEND, "--executor-id", "0", "--cores", str(n_cores), "--app-id", "app-1"


def end(owner: Owner) -> None:
    process = psutil.Process(owner.pid)
    process.kill()
    process.wait(10)


def test_executors_of_a_host_have_cores_of_their_own(start: Callable[..., Owner]) -> None:
    claimed = [claim_cores(start(*executor(n))) for n in (3, 1, 4)]
    assert claimed == [[0, 1, 2], [3], [4, 5, 6, 7]]


def test_an_executor_keeps_its_cores(start: Callable[..., Owner]) -> None:
    first, second = start(*executor(2)), start(*executor(2))
    before = [claim_cores(owner) for owner in (first, second)]
    assert [claim_cores(owner) for owner in (second, first)] == before[::-1]


def test_the_cores_of_an_executor_that_is_gone_are_free(start: Callable[..., Owner]) -> None:
    first, second = start(*executor(3)), start(*executor(3))
    assert [claim_cores(first), claim_cores(second)] == [[0, 1, 2], [3, 4, 5]]
    end(first)
    assert claim_cores(start(*executor(4))) == [0, 1, 2, 6]


def test_a_host_that_promises_more_than_it_has_shares_the_least_claimed(start: Callable[..., Owner]) -> None:
    claimed = [claim_cores(start(*executor(5))) for _ in range(2)]
    assert claimed == [[0, 1, 2, 3, 4], [0, 1, 5, 6, 7]]


@pytest.mark.parametrize(
    "arguments",
    [executor(8), executor(64), ("org.apache.spark.deploy.SparkSubmit", "job.py", "--cores", "2"), (BACKEND,)],
    ids=["all", "more than there are", "a driver in local mode", "unknown"],
)
def test_who_has_the_host_to_itself_has_all_cores_and_claims_none(
    start: Callable[..., Owner], arguments: tuple[str, ...]
) -> None:
    assert claim_cores(start(*arguments)) == list(range(8))
    assert claim_cores(start(*executor(2))) == [0, 1]


def test_claims_that_were_cut_off_in_writing_are_none(start: Callable[..., Owner]) -> None:
    owner = start(*executor(2))
    claim_cores(owner)
    (path,) = locate_owner_directory(owner).parent.glob("cores-*.json")
    path.write_text("[[1, 2.5, [0, 1")
    assert claim_cores(owner) == [0, 1]
    assert json.loads(path.read_text()) == [[owner.pid, owner.started, [0, 1]]]


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put this process into cgroups with the given files."""
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "_OWN_CGROUPS", tmp_path / "own")

    def put(own: str, **files: str) -> None:
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name.replace("__", "/").replace("cpu_", "cpu.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return put


V1 = "4:memory:/box\n2:cpu,cpuacct:/box\n"


@pytest.mark.parametrize(
    ("own", "files", "n_cores"),
    [
        ("0::/\n", {"cpu_max": "max 100000\n"}, math.inf),
        ("0::/\n", {"cpu_max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a__cpu_max": "200000 100000\n", "a__b__cpu_max": "max 100000\n"}, 2),
        ("0::/host/path/that/is/not/mounted\n", {"cpu_max": "300000 100000\n"}, 3),
        (V1, {"cpu__cpu_cfs_quota_us": "-1\n", "cpu__cpu_cfs_period_us": "100000\n"}, math.inf),
        (V1, {"cpu__box__cpu_cfs_quota_us": "50000\n", "cpu__box__cpu_cfs_period_us": "100000\n"}, 0.5),
        ("0::/\n", {}, math.inf),
    ],
)
def test_the_smallest_quota_of_a_cgroup_and_those_above_holds(
    own: str, files: dict[str, str], n_cores: float, limit: Callable[..., None]
) -> None:
    limit(own, **files)
    assert cores.read_quota_cores() == n_cores


@pytest.mark.parametrize(
    ("quota", "arguments", "given", "bound", "threads"),
    [
        ("max", ("sh",), None, "0-7", None),
        ("800000", executor(2), None, "0-1", None),
        ("350000", ("sh",), None, "nobind", "3"),
        ("350000", executor(2), None, "nobind", "2"),
        ("50000", ("sh",), None, "nobind", "1"),
        ("350000", ("sh",), "4-7", "4-7", None),
        ("max", executor(2), "nobind", "nobind", "2"),
    ],
)
def test_under_a_quota_threads_are_counted_and_not_bound(
    quota: str,
    arguments: tuple[str, ...],
    given: str | None,
    bound: str,
    threads: str | None,
    start: Callable[..., Owner],
    limit: Callable[..., None],
) -> None:
    limit("0::/\n", cpu_max=f"{quota} 100000\n")
    binding = cores.build_cpu_binding(start(*arguments), given)
    assert (binding["VLLM_CPU_OMP_THREADS_BIND"], binding.get("OMP_NUM_THREADS")) == (bound, threads)


@pytest.mark.parametrize(
    ("numbers", "written"),
    [([0, 1], "0-1"), ([4, 5, 6, 7], "4-7"), ([3], "3"), ([0, 2, 4], "0,2,4"), ([1, 2, 7], "1,2,7")],
)
def test_cores_are_written_as_vllm_reads_them(numbers: list[int], written: str) -> None:
    assert format_cores(numbers) == written
