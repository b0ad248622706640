"""The DAG in a real Airflow, over a local lake, by the real spark-submit: `dag.test()`, and a scheduler whose task is killed.

The engine is a FAKE, which notes every prompt that it answers.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from airflow_home import AirflowHome
from airflow_services import AirflowServices
from cluster import FAKE_ENGINE, find_marked, find_supervisors, has_word
from deltalake import DeltaTable, QueryBuilder
from short_runs import FEW_PARTITIONS, UNCOMPILED
from waiting import wait_until

pytestmark = pytest.mark.platform

N_DOCUMENTS = 20
NIGHT = "2026-11-03T00:00:00+00:00"


def write_crawl(folder: Path) -> str:
    """Write the pages of a day, and others that the day's run leaves alone. Return the glob of a run's data interval."""
    folder.mkdir()
    for day in ("01", "02"):
        with (folder / f"2026-11-{day}.jsonl").open("w") as pages:
            for number in range(N_DOCUMENTS):
                lines = [
                    f"Line {line} of page {number} says {number * line} words of no importance." for line in range(5)
                ]
                pages.write(json.dumps({"id": f"page-{day}-{number}", "text": "\n".join(lines)}) + "\n")
    return f"{folder}/{{{{ data_interval_start.strftime('%Y-%m-%d') }}}}*.jsonl"


def make_settings(folder: Path, **more: Any) -> dict[str, Any]:
    """Write a recipe and return the settings of a DAG over a lake in a folder. Only its jobs can import prox_spark and the FAKE."""
    recipe = {"name": "night", "engine": {"device": "cpu", "max_num_seqs": 2}, "self_test": {"enabled": False}}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    fake = {"ledger": str(folder / "ledger")} | more.pop("fake", {})
    variables = {"PYTHONPATH": str(FAKE_ENGINE), "FAKE_ENGINE": json.dumps(fake)}
    return {
        "lake": str(folder / "lake"),
        "recipe": str(folder / "recipe.yaml"),
        "input": write_crawl(folder / "crawl"),
        "conf": FEW_PARTITIONS | UNCOMPILED,
        "operator": {"env_vars": variables},
        "retry_seconds": 0,
    } | more


def table(lake: Path, name: str) -> list[dict[str, Any]]:
    # Not `to_pyarrow_table`, which does not support deletion vectors.
    found = QueryBuilder().register("rows", DeltaTable(str(lake / name))).execute("SELECT * FROM rows").read_all()
    return pa.table(found).to_pylist()  # type: ignore[no-any-return]


def read_outcomes(lake: Path) -> dict[str, tuple[str, str]]:
    """Return status and text of every document."""
    rows = table(lake, "refined")
    outcomes = {row["doc_id"]: (row["status"], row["text"]) for row in rows}
    assert len(outcomes) == len(rows) == N_DOCUMENTS
    return outcomes


def read_ledger(folder: Path) -> list[str]:
    ledger = folder / "ledger"
    return ledger.read_text().splitlines() if ledger.exists() else []


def count_tries(ended: dict[str, Any]) -> list[list[Any]]:
    return [ended["tasks"][name] for name in ("ingest", "refine", "summary")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("undisturbed")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    return AirflowHome.create(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module")
def ended(home: AirflowHome, folder: Path) -> list[dict[str, Any]]:
    """How runs of the DAG have ended: one, the same once more, one with a wrong parameter, and one without a data interval."""
    wrong = {"set": ["apply.no_such_field=1"]}
    runs = [("prox_refine", date, conf) for date, conf in ((NIGHT, {}), (NIGHT, {}), (NIGHT, wrong), (None, {}))]
    configured = home.configured(make_settings(folder))
    return configured.run("run_dags.py", *map(json.dumps, runs), seconds=1800)  # type: ignore[no-any-return]


def test_a_run_refines_what_the_data_interval_holds(ended: list[dict[str, Any]], folder: Path) -> None:
    assert ended[0]["state"] == "success" and count_tries(ended[0]) == [["success", 1]] * 3
    assert ended[0]["assets"] == [f"file://{folder}/lake/{name}" for name in ("documents", "refined")]
    assert {name[:8] for name in read_outcomes(folder / "lake")} == {"page-02-"}


def test_the_same_run_once_more_starts_no_engine(ended: list[dict[str, Any]], folder: Path) -> None:
    assert ended[1]["state"] == "success"
    runs = sorted(
        (row for row in table(folder / "lake", "runs") if row["command"] == "refine"), key=lambda row: row["started_at"]
    )
    assert [run["engine_starts"] for run in runs] == [1, 0] and runs[1]["prompt_tokens"] == 0
    answered, paid = read_ledger(folder), table(folder / "lake", "generations")
    assert len(answered) == len(set(answered)) == len(paid) == len({row["generation_key"] for row in paid})


@pytest.mark.parametrize("number", [2, 3], ids=["a field that there is not", "no data interval and no input"])
def test_a_wrong_parameter_is_not_tried_again(ended: list[dict[str, Any]], number: int) -> None:
    assert ended[number]["state"] == "failed"
    assert count_tries(ended[number]) == [["failed", 1], ["upstream_failed", 0], ["upstream_failed", 0]]


@pytest.fixture
def services(home: AirflowHome, tmp_path: Path) -> Iterator[AirflowServices]:
    """A scheduler, a DAG processor and an API server, with a DAG over a lake of its own whose engine takes its time."""
    settings = make_settings(tmp_path, dag_id="killed", schedule=None, retries=3, fake={"latency": 0.3})
    settings["input"] = str(tmp_path / "crawl" / "2026-11-02.jsonl")
    with AirflowServices(home.configured(settings)) as running:
        yield running


def find_drivers() -> list[psutil.Process]:
    """Find the JVMs of spark-submit that run refine."""
    return [p for p in find_marked() if has_word(p, "jobs/refine.py") and p.name() == "java"]


@pytest.mark.long  # three services, and a run that is killed twice
def test_a_run_killed_twice_ends_like_an_undisturbed_one_and_pays_once(
    services: AirflowServices, ended: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    run_id = services.trigger("killed")
    lake = tmp_path / "lake"

    def wait_for_chunk_stage() -> psutil.Process:
        n_before = len(read_ledger(tmp_path))
        services.wait_until(
            lambda: len(read_ledger(tmp_path)) >= max(n_before, N_DOCUMENTS) + 3,
            "the answers of the document stage are written, and some more are given",
            300,
        )
        (driver,) = find_drivers()
        return driver

    # First the process of the task. The driver, which is its child, must end with it.
    driver = wait_for_chunk_stage()
    driver.parent().send_signal(signal.SIGKILL)
    psutil.wait_procs([driver], 30)
    assert not driver.is_running() or driver.status() == psutil.STATUS_ZOMBIE, "the driver outlived its task"
    # Then the driver.
    driver = wait_for_chunk_stage()
    driver.send_signal(signal.SIGKILL)
    psutil.wait_procs([driver], 30)
    wait_until(lambda: not find_supervisors(), "the engine is gone", 60)
    paid, n_answered = {row["generation_key"] for row in table(lake, "generations")}, len(read_ledger(tmp_path))

    assert services.wait_for_end("killed", run_id, seconds=400) == "success", services.read_logs()
    assert services.read_tries("killed", run_id) == {"ingest": 1, "refine": 3, "summary": 1}
    rows = table(lake, "generations")
    answered = read_ledger(tmp_path)[n_answered:]
    assert len(rows) == len({row["generation_key"] for row in rows})
    assert len(paid) >= N_DOCUMENTS and len(answered) == len(set(answered)) == len(rows) - len(paid)
    assert read_outcomes(lake) == read_outcomes(folder / "lake")
