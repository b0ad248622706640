"""The jobs as a platform starts them: plain spark-submit, in local mode and on a standalone cluster."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import deltalake
import psutil
import pytest
from cluster import BIN, REPOSITORY, find_supervisors, make_environment, standalone, start_job
from short_runs import FEW_PARTITIONS
from waiting import wait_until

from prox_spark.demo import PAGES

pytestmark = pytest.mark.platform


def spark_submit(job: str, *arguments: str, options: tuple[str, ...], folder: Path) -> tuple[str, set[int]]:
    """Run a job to its end. Return its output, and the processes that supervised its engines."""
    command = [BIN / "spark-submit", *options, REPOSITORY / "jobs" / job, *arguments]
    running = start_job(command, folder, make_environment())
    seen: set[int] = set()

    def has_ended() -> bool:
        seen.update(engine.pid for engine in find_supervisors())
        return running.process.poll() is not None

    try:
        wait_until(has_ended, f"{job} ends", 900)
    finally:
        running.process.kill()
    return running.wait_for_end(), seen


def write_recipe(path: Path, lake: Path) -> str:
    parts = {"lake": {"root": str(lake)}, "engine": {"device": "cpu"}, "self_test": {"enabled": False}}
    path.write_text(json.dumps({"name": "submit", **parts}))
    return str(path)


def options(master: str) -> tuple[str, ...]:
    settings = {"spark.executor.memory": "1g"} | FEW_PARTITIONS
    return ("--master", master, *(part for pair in settings.items() for part in ("--conf", "=".join(pair))))


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake into which the job has ingested three pages."""
    folder = tmp_path_factory.mktemp("submit")
    pages, lake = folder / "pages.jsonl", folder / "lake"
    pages.write_bytes(b"\n".join(PAGES.read_bytes().splitlines()[:3]) + b"\n")
    recipe = write_recipe(folder / "recipe.yaml", lake)
    taken, _ = spark_submit("ingest.py", str(pages), "--recipe", recipe, options=options("local[2]"), folder=folder)
    assert re.search(r"3 new", taken)
    return lake


@pytest.fixture
def master(where: str, tmp_path: Path) -> Iterator[str]:
    """A Spark master's URL: local mode, or a standalone cluster with one worker of two cores."""
    if where == "local":
        yield "local[2]"
    else:
        with standalone(tmp_path, [{}], 2, make_environment()) as cluster:
            yield cluster.url


@pytest.mark.parametrize("where", [pytest.param("local", marks=pytest.mark.long), "standalone"])
def test_jobs_run_by_spark_submit(master: str, tmp_path: Path, ingested: Path) -> None:
    shutil.copytree(ingested, tmp_path / "lake")
    recipe = write_recipe(tmp_path / "recipe.yaml", tmp_path / "lake")
    done, supervisors = spark_submit("refine.py", "--recipe", recipe, options=options(master), folder=tmp_path)
    assert re.search(r"refine: 3 of 3 documents .* 1 engine start", done), done
    # The master of the command line, and not the recipe's.
    runs = deltalake.DeltaTable(str(tmp_path / "lake" / "runs")).to_pyarrow_table(columns=["command", "application_id"])
    (application,) = [run["application_id"] for run in runs.to_pylist() if run["command"] == "refine"]
    assert application.startswith("local-" if master.startswith("local") else "app-")
    assert len(supervisors) == 1
    _, alive = psutil.wait_procs(find_supervisors(), timeout=15)
    assert not alive, "an engine outlived its executor"
