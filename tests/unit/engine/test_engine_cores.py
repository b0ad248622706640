from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from prox_spark.engine.cores import core_list, executor_cores
from prox_spark.engine.executor import Owner, owner_directory

pytestmark = pytest.mark.unit

BACKEND = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Owner]]:
    """Starts processes with the command line of an executor, on a host with cores 0 to 7."""
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    processes: list[subprocess.Popen[bytes]] = []

    def start_one(*arguments: str) -> Owner:
        command = ["sh", "-c", "echo; read _", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout and process.stdout.readline()  # it runs: just before, it has no command line yet
        owner = Owner.of(psutil.Process(process.pid))
        owner_directory(owner).parent.mkdir(exist_ok=True)
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
    claimed = [executor_cores(start(*executor(n))) for n in (3, 1, 4)]
    assert claimed == [[0, 1, 2], [3], [4, 5, 6, 7]]


def test_an_executor_keeps_its_cores(start: Callable[..., Owner]) -> None:
    first, second = start(*executor(2)), start(*executor(2))
    before = [executor_cores(owner) for owner in (first, second)]
    assert [executor_cores(owner) for owner in (second, first)] == before[::-1]


def test_the_cores_of_an_executor_that_is_gone_are_free(start: Callable[..., Owner]) -> None:
    first, second = start(*executor(3)), start(*executor(3))
    assert [executor_cores(first), executor_cores(second)] == [[0, 1, 2], [3, 4, 5]]
    end(first)
    assert executor_cores(start(*executor(4))) == [0, 1, 2, 6]


def test_a_host_that_promises_more_than_it_has_shares_the_least_claimed(start: Callable[..., Owner]) -> None:
    claimed = [executor_cores(start(*executor(5))) for _ in range(2)]
    assert claimed == [[0, 1, 2, 3, 4], [0, 1, 5, 6, 7]]


@pytest.mark.parametrize(
    "arguments",
    [executor(8), executor(64), ("org.apache.spark.deploy.SparkSubmit", "job.py", "--cores", "2"), (BACKEND,)],
    ids=["all", "more than there are", "a driver in local mode", "unknown"],
)
def test_who_has_the_host_to_itself_has_all_cores_and_claims_none(
    start: Callable[..., Owner], arguments: tuple[str, ...]
) -> None:
    assert executor_cores(start(*arguments)) == list(range(8))
    assert executor_cores(start(*executor(2))) == [0, 1]


def test_claims_that_were_cut_off_in_writing_are_none(start: Callable[..., Owner]) -> None:
    owner = start(*executor(2))
    executor_cores(owner)
    (path,) = owner_directory(owner).parent.glob("cores-*.json")
    path.write_text("[[1, 2.5, [0, 1")
    assert executor_cores(owner) == [0, 1]
    assert json.loads(path.read_text()) == [[owner.pid, owner.started, [0, 1]]]


@pytest.mark.parametrize(
    ("cores", "written"),
    [([0, 1], "0-1"), ([4, 5, 6, 7], "4-7"), ([3], "3"), ([0, 2, 4], "0,2,4"), ([1, 2, 7], "1,2,7")],
)
def test_cores_are_written_as_vllm_reads_them(cores: list[int], written: str) -> None:
    assert core_list(cores) == written
