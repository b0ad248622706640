"""kill -9 in the middle of a refine run on a standalone cluster with two executors.

The engine is a FAKE that takes its time.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from cluster import (
    REPOSITORY,
    Cluster,
    Job,
    find_marked,
    find_supervisors,
    has_word,
    make_executor_settings,
    make_fake_engine_environment,
    standalone,
    start_job,
)
from deltalake import DeltaTable, QueryBuilder
from waiting import wait_until

from prox_spark.engine.wire.health import request
from prox_spark.programs import DocumentStatus

pytestmark = [pytest.mark.faults, pytest.mark.long]

N_DOCUMENTS = 80
FAKE = {"FAKE_ENGINE": json.dumps({"latency": 0.25})}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone(tmp_path_factory.mktemp("kills"), [{}, {}], 1, make_fake_engine_environment(**FAKE)) as running:
        yield running


@pytest.fixture(scope="module")
def ingested(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the ingested documents."""
    folder = tmp_path_factory.mktemp("ingested")
    with (folder / "pages.jsonl").open("w") as pages:
        for number in range(N_DOCUMENTS):
            lines = [f"Line {line} of page {number} says {number * line} words of no importance." for line in range(5)]
            pages.write(json.dumps({"id": f"page-{number}", "text": "\n".join(lines)}) + "\n")
    recipe = write_recipe(folder, "local[2]")
    run_job("ingest.py", folder / "pages.jsonl", recipe=recipe).wait_for_end()
    return folder / "lake"


@pytest.fixture
def lake(ingested: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ingested, tmp_path / "lake"))


def write_recipe(folder: Path, master: str, wave_documents: int = N_DOCUMENTS) -> Path:
    recipe = {
        "lake": {"root": str(folder / "lake")},
        "engine": {"device": "cpu", "max_num_seqs": 2},
        "self_test": {"enabled": False},  # the FAKE's answers would fail it
        "waves": {"documents": wave_documents},
        "spark": {"master": master, "conf": make_executor_settings(1, "512m")},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return folder / "recipe.yaml"


def run_job(name: str, *arguments: Path, recipe: Path) -> Job:
    command = [sys.executable, REPOSITORY / "jobs" / name, *arguments, "--recipe", recipe]
    return start_job(command, recipe.parent, make_fake_engine_environment(**FAKE))


def refine(lake: Path, cluster: Cluster, wave_documents: int = N_DOCUMENTS) -> Job:
    recipe = write_recipe(lake.parent, cluster.url, wave_documents)
    return run_job("refine.py", recipe=recipe)


def n_answered(supervisor: psutil.Process) -> int:
    """Return the number of prompts that an engine has answered; 0 where none is in flight."""
    try:
        metrics = request(f"{supervisor.cwd()}/s", "/metrics") or ""
    except psutil.NoSuchProcess:
        return 0
    numbers = {name: float(value) for name, value in re.findall(r"^\w+:(\w+)\S* (\S+)$", metrics, re.MULTILINE)}
    return int(numbers.get("request_success_total", 0)) if numbers.get("requests_in_flight") else 0


class Middle:
    """A search for engines in the middle of a stage, for several times."""

    def __init__(self) -> None:
        self._before: dict[psutil.Process, int] = {}

    def engine(self) -> psutil.Process:
        """Wait for an engine that has answered some prompts since the last call, and return its supervisor."""
        found: list[psutil.Process] = []

        def look() -> bool:
            now = {supervisor: n_answered(supervisor) for supervisor in find_supervisors()}
            found.extend(engine for engine, n in now.items() if n >= self._before.get(engine, 0) + 5)
            if found:
                self._before = now
            return bool(found)

        wait_until(look, "an engine is at work", 200)
        return found[0]


def kill(processes: list[psutil.Process]) -> None:
    assert processes
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, 10)


def executor(supervisor: psutil.Process) -> list[psutil.Process]:
    words = supervisor.cmdline()
    return [psutil.Process(int(words[words.index("prox_spark.engine.life.supervisor") + 1]))]


def python_workers(supervisor: psutil.Process) -> list[psutil.Process]:
    daemons = [process for process in executor(supervisor)[0].children() if has_word(process, "pyspark.daemon")]
    return [worker for daemon in daemons for worker in daemon.children()]


def server(supervisor: psutil.Process) -> list[psutil.Process]:
    return supervisor.children()


def servers_children(supervisor: psutil.Process) -> list[psutil.Process]:
    return [child for process in supervisor.children() for child in process.children()]


def table(lake: Path, name: str) -> list[dict[str, Any]]:
    # Not `to_pyarrow_table`, which does not support deletion vectors.
    found = QueryBuilder().register("rows", DeltaTable(str(lake / name))).execute("SELECT * FROM rows").read_all()
    return pa.table(found).to_pylist()  # type: ignore[no-any-return]


def check_whole(lake: Path) -> dict[str, Any]:
    """Check that every document is accounted for once and no answer was paid for twice, and return the last run."""
    documents = [row["doc_id"] for row in table(lake, "documents")]
    refined = [row["doc_id"] for row in table(lake, "refined")]
    assert len(documents) == N_DOCUMENTS and sorted(refined) == sorted(documents) and not table(lake, "quarantine")
    keys = [row["generation_key"] for row in table(lake, "generations")]
    assert len(set(keys)) == len(keys) > N_DOCUMENTS
    runs = [row for row in table(lake, "runs") if row["command"] == "refine"]
    run: dict[str, Any] = max(runs, key=lambda row: row["started_at"])
    counts = dict(run["counts"])
    assert (
        run["status"] == "succeeded"
        and counts["documents"] == sum(counts.get(status, 0) for status in DocumentStatus) == N_DOCUMENTS
    )
    return run


def test_a_run_ends_right_after_kill_9_of_every_part_but_the_driver(lake: Path, cluster: Cluster) -> None:
    # Two overlapping waves.
    job, middle = refine(lake, cluster, wave_documents=N_DOCUMENTS // 2), Middle()
    # The executor first, because the answers of its task are lost with it, and with them the record of its engines.
    for part in (executor, python_workers, server, servers_children):
        kill(part(middle.engine()))
    job.wait_for_end()
    wait_until(lambda: not find_marked(but=cluster.daemons), "no process is left", 15)
    run = check_whole(lake)
    # At least the killed ones. A busy host may lose another one.
    assert run["engine_restarts"] >= 2 and run["engine_starts"] >= run["engine_restarts"] + 1


@pytest.mark.parametrize("part", ["JVM", "Python"])
def test_a_run_whose_driver_was_killed_fails_and_the_next_pays_for_the_rest_only(
    lake: Path, cluster: Cluster, part: str
) -> None:
    job, middle = refine(lake, cluster), Middle()
    wait_until(lambda: "chunk stage:" in job.err.read_text(), "the document stage is committed", 200)
    middle.engine()
    python = psutil.Process(job.process.pid)
    if part == "JVM":
        kill(python.children())
        job.wait_for_end(status=1)
        assert job.err.read_text().splitlines()[-1].startswith("prox-spark: the JVM of the Spark driver is gone")
    else:
        python.kill()
        job.wait_for_end(status=-signal.SIGKILL)
    wait_until(lambda: not find_marked(but=cluster.daemons), "no process is left", 15)
    paid = {row["generation_key"] for row in table(lake, "generations")}
    assert len(paid) == N_DOCUMENTS
    refine(lake, cluster).wait_for_end()
    run = check_whole(lake)
    mine = {row["generation_key"] for row in table(lake, "generations") if row["run_id"] == run["run_id"]}
    assert mine and not mine & paid and dict(run["counts"])["generations"] == len(mine)
