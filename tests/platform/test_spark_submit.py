"""The jobs as a platform starts them: plain spark-submit, in local mode and on a standalone cluster."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from prox_spark.demo import PAGES

pytestmark = pytest.mark.platform

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


# Handed down to every process that these tests start; other tests may have engines of their own at the same time.
MARK = {"PROX_SPARK_TEST_RUN": uuid.uuid4().hex}


def environment() -> dict[str, str]:
    return os.environ | MARK | {"PYSPARK_PYTHON": sys.executable, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def spark_submit(job: str, *arguments: str, options: tuple[str, ...]) -> tuple[str, set[int]]:
    """Runs a job to its end. Returns what it printed, and the processes that supervised its engines."""
    command = [str(BIN / "spark-submit"), *options, str(REPOSITORY / "jobs" / job), *arguments]
    seen: set[int] = set()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, env=environment(), stdout=out, stderr=err)
        deadline = time.monotonic() + 400
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{command} runs and runs"
            seen |= {engine.pid for engine in engines()}
            time.sleep(1)
        printed, errors = ((stream.seek(0), stream.read())[1] for stream in (out, err))
    assert process.returncode == 0, f"{' '.join(command)}\n{printed[-3000:]}\n{errors[-6000:]}"
    return printed, seen


def write_recipe(path: Path, lake: Path) -> str:
    path.write_text(json.dumps({"name": "submit", "lake": {"root": str(lake)}, "engine": {"device": "cpu"}}))
    return str(path)


def engines() -> list[psutil.Process]:
    """The engines that these tests have started."""
    found = psutil.process_iter(["cmdline", "environ"])
    ours = [p for p in found if MARK.items() <= (p.info["environ"] or {}).items()]
    return [p for p in ours if "prox_spark.engine.supervisor" in " ".join(p.info["cmdline"] or [])]


def options(master: str) -> tuple[str, ...]:
    settings = (
        "spark.executor.memory=1g",
        "spark.sql.shuffle.partitions=2",
        "spark.databricks.delta.snapshotPartitions=2",
    )
    return ("--master", master, *(part for setting in settings for part in ("--conf", setting)))


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with three pages, taken up by the job."""
    folder = tmp_path_factory.mktemp("submit")
    pages, lake = folder / "pages.jsonl", folder / "lake"
    pages.write_bytes(b"\n".join(PAGES.read_bytes().splitlines()[:3]) + b"\n")
    recipe = write_recipe(folder / "recipe.yaml", lake)
    taken, _ = spark_submit("ingest.py", str(pages), "--recipe", recipe, options=options("local[2]"))
    assert re.search(r"3 new", taken)
    return lake


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[str]:
    """A Spark standalone cluster out of the pip package: a master and a worker with two cores. Yields its URL."""
    import pyspark

    spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    log = (tmp_path / "cluster.log").open("w")
    processes = []

    def start(name: str, *arguments: str) -> None:
        command = [
            str(spark_class),
            f"org.apache.spark.deploy.{name}",
            "--host",
            "127.0.0.1",
            "--webui-port",
            "0",
            *arguments,
        ]
        processes.append(subprocess.Popen(command, env=environment(), stdout=log, stderr=log, cwd=tmp_path))

    start("master.Master", "--port", str(port))
    start("worker.Worker", "--cores", "2", "--memory", "2g", "--work-dir", str(tmp_path / "work"), url)
    try:
        deadline = time.monotonic() + 60
        while "Successfully registered with master" not in (tmp_path / "cluster.log").read_text():
            assert time.monotonic() < deadline, (tmp_path / "cluster.log").read_text()[-3000:]
            time.sleep(0.2)
        yield url
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)
        log.close()


@pytest.mark.parametrize("where", ["local", "standalone"])
def test_jobs_run_by_spark_submit(where: str, tmp_path: Path, ingested: Path, request: pytest.FixtureRequest) -> None:
    master = "local[2]" if where == "local" else request.getfixturevalue("standalone")
    shutil.copytree(ingested, tmp_path / "lake")
    recipe = write_recipe(tmp_path / "recipe.yaml", tmp_path / "lake")
    done, supervisors = spark_submit("refine.py", "--recipe", recipe, options=options(master))
    assert re.search(r"refine: 3 of 3 documents .* 1 engine start", done), done
    assert len(supervisors) == 1
    _, alive = psutil.wait_procs(engines(), timeout=15)
    assert not alive, "an engine outlived its executor"
