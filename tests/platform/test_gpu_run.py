"""The benchmark that is made for a GPU, where there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cluster import REPOSITORY, make_environment

pytestmark = pytest.mark.platform


def gpu_run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "gpu_run.py"), *arguments]
    env = make_environment(PYTHONPATH=str(REPOSITORY), **variables)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.long  # a cluster and two engines, one after the other
def test_its_dry_run_measures_all_that_a_run_does() -> None:
    done = gpu_run("--dry-run")
    assert done.returncode == 0, done.stderr[-6000:]
    for said in ("ingest", "both stages, prox_spark", "both stages, plain LLM", "Share of the peak", "steps of"):
        assert said in done.stdout, f"{said}\n{done.stdout}\n{done.stderr[-3000:]}"


def test_without_a_gpu_it_says_so_and_is_no_failure() -> None:
    done = gpu_run(PATH="/nowhere")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no GPU here" in done.stdout
