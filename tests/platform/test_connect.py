"""Spark Connect: a server in a process of its own, without plug-ins of Delta, and the commands as its clients."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow.parquet as pq
import pytest
from cluster import BIN, REPOSITORY, make_environment
from deltalake import DeltaTable
from fake_vllm import use_fake_engine
from short_runs import FEW_PARTITIONS, UNCOMPILED
from tiny_tokenizer import bytes_json
from waiting import wait_until
from weightless import write_weightless

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.pipeline.apply import apply_lake
from prox_spark.pipeline.compare import compare_settings
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake
from prox_spark.report.summaries import describe_comparison
from prox_spark.session import make_laptop_settings

pytestmark = pytest.mark.platform

LIMITED = Path(__file__).with_name("limited_connect.py")
TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 32, "drop_threshold": 0.99},
    "chunk": {"template": "plain", "max_chunk_tokens": 64, "max_answer_tokens": 16},
}
OTHERS = "apply.drop_threshold=0.4"
# What differs between two runs that did the same.
OF_RUN = {"run_id", "ingested_at", "documents_version"}


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with two slots."""
    port, log = find_port(), tmp_path_factory.mktemp("server") / "log"
    settings = make_laptop_settings(Recipe()) | FEW_PARTITIONS | UNCOMPILED
    del settings["spark.driver.defaultJavaOptions"]  # The environment has them.
    settings |= {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    options = [part for pair in settings.items() for part in ("--conf", "=".join(pair))]
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    command = [BIN / "spark-submit", "--master", "local[2]", *options, "--class", server, "spark-internal"]
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, env=make_environment(PYTHONPATH=str(REPOSITORY)), stdout=words, stderr=words, cwd=log.parent
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, f"the server listens, see {log}", 120)
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages, one of them broken, and a refiner without weights."""
    made = tmp_path_factory.mktemp("connect")
    lines = [
        json.dumps(
            {"id": f"p{n}", "text": f"Home | About\n{n} is an ordinary page of more than ten words, as most are"}
        )
        for n in range(6)
    ]
    (made / "pages.jsonl").write_text("\n".join([*lines, "{broken"]))
    (made / "refiner").mkdir()
    (made / "refiner" / "tokenizer.json").write_text(bytes_json())
    write_weightless(made / "refiner", context_tokens=256, tasks=TASKS)
    return made


def make_recipe(folder: Path, lake: Path, **apply: Any) -> Recipe:
    refiner = str(folder / "refiner")
    return Recipe.parse(
        {
            "input": {"paths": [str(folder / "pages.jsonl")]},
            "lake": {"root": str(lake)},
            "refiners": {"doc": refiner, "chunk": refiner},
            "engine": {"device": "cpu"},
            "self_test": {"enabled": False},
            "apply": apply,
        }
    )


@pytest.fixture(scope="module")
def refined(spark: Any, folder: Path) -> Path:
    """A lake that a classic session has refined."""
    recipe = make_recipe(folder, folder / "classic")
    ingest(spark, recipe)
    with use_fake_engine(spark):
        refine_lake(spark, recipe)
    shutil.copytree(folder / "classic", folder / "for-connect")
    shutil.copytree(folder / "classic", folder / "for-limited")
    return folder / "classic"


@pytest.fixture(scope="module")
def applied(spark: Any, folder: Path, refined: Path) -> Path:
    """That lake, to which a classic session has applied another threshold."""
    apply_lake(spark, make_recipe(folder, refined, drop_threshold=0.4))
    return refined


def call(remote: str, *words: str | Path, status: int = 0, program: tuple[str | Path, ...] = ()) -> tuple[str, str]:
    """Run a command as a client and return what it prints on stdout and stderr."""
    command = [*(program or (BIN / "prox-spark",)), *words]
    env = make_environment(SPARK_REMOTE=remote, PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Picked up JAVA")]
    return done.stdout, "\n".join(errors)


call_limited = partial(call, program=(sys.executable, LIMITED))


def set_up(folder: Path) -> list[str]:
    """The options that name the refiner."""
    refiner = folder / "refiner"
    values = (f"refiners.doc={refiner}", f"refiners.chunk={refiner}", "self_test.enabled=false", "engine.device=cpu")
    return [part for value in values for part in ("--set", value)]


def to(endpoint: str) -> list[str]:
    """The options that name a remote engine."""
    return ["--set", f"engine.endpoint={endpoint}"]


def read_rows(spark: Any, lake: Path, table: str, without: set[str] = OF_RUN) -> list[str]:
    """The rows of a table as a classic session reads them, without what is of the run."""
    rows = spark.read.format("delta").load(str(lake / table)).drop(*without).collect()
    return sorted(json.dumps(row.asDict(recursive=True), default=str, sort_keys=True) for row in rows)


def show_table(lake: Path, table: schemas.Table) -> tuple[Any, ...]:
    """What describes a table: names, types and comments of its own columns, partitions and properties."""
    found = DeltaTable(lake / table.name)
    columns = [field for field in json.loads(found.schema().to_json())["fields"] if field["name"] in table.columns]
    return columns, found.metadata().partition_columns, found.metadata().configuration


DERIVED = [schemas.PROGRAMS.name, schemas.REFINED.name, schemas.QUARANTINE.name]


def test_ingest_makes_the_tables_that_a_classic_session_makes(
    remote: str, spark: Any, folder: Path, refined: Path
) -> None:
    lake = folder / "ingested"
    printed, _ = call(remote, "ingest", folder / "pages.jsonl", "--lake", lake)
    assert re.search(r"6 new.*\n.*1 in quarantine: 1 invalid_record", printed), printed
    for table in ("documents", "quarantine"):
        assert read_rows(spark, lake, table) == read_rows(spark, refined, table) != []
    for made in schemas.TABLES:
        assert show_table(lake, made) == show_table(refined, made)
    (run,) = DeltaTable(lake / "runs").to_pyarrow_table(columns=["application_id"]).to_pylist()
    assert run["application_id"].startswith("local-")


def test_apply_and_compare_do_what_they_do_in_a_classic_session(
    remote: str, spark: Any, folder: Path, applied: Path
) -> None:
    lake = folder / "for-connect"
    printed, _ = call(remote, "apply", "--lake", lake, *set_up(folder), "--set", OTHERS)
    assert "6 of 6 documents" in printed
    for table in DERIVED:
        assert read_rows(spark, lake, table) == read_rows(spark, applied, table)
    assert any('"dropped_doc"' in row for row in read_rows(spark, lake, "refined"))
    shown, _ = call(remote, "compare", "--lake", lake, *set_up(folder), "--with", "apply.semantics=reference")
    a, b = make_recipe(folder, lake), make_recipe(folder, lake, semantics="reference")
    assert shown.split() == describe_comparison(compare_settings(spark, a, b)).split()


def test_nothing_depends_on_settings_or_kept_frames_that_serverless_compute_lacks(
    remote: str, spark: Any, folder: Path, applied: Path
) -> None:
    lake = folder / "for-limited"
    pages = {"p0": "Another page in place of the first, of more than ten words", "p9": "A page more"}
    lines = [json.dumps({"id": doc_id, "text": text}) for doc_id, text in pages.items()]
    (folder / "more.jsonl").write_text("\n".join(lines))
    printed, told = call_limited(remote, "ingest", folder / "more.jsonl", "--lake", lake)
    assert "1 new, 1 changed, 0 unchanged" in printed
    assert {"persist", "parquet.block.size"} <= set(told.splitlines()[-1].split())
    texts = dict(spark.read.format("delta").load(str(lake / "documents")).select("doc_id", "text").collect())
    assert len(texts) == 7 and texts.items() >= pages.items()
    # No model was asked about the two.
    printed, _ = call_limited(remote, "apply", "--lake", lake, *set_up(folder), "--set", OTHERS)
    assert re.search(r"waiting +2\b", printed), printed
    for table in ("programs", "refined"):
        others = [[row for row in read_rows(spark, root, table) if '"p0"' not in row] for root in (lake, applied)]
        assert others[0] == others[1] != []


def test_sql_prints_rows_in_every_format(remote: str, refined: Path) -> None:
    query = "SELECT doc_id, n_words, provenance FROM documents ORDER BY doc_id LIMIT 2"
    printed, _ = call(remote, "sql", "--lake", refined, "--output", "json", query)
    assert [json.loads(line)["doc_id"] for line in printed.splitlines()] == ["p0", "p1"]
    table, _ = call(remote, "sql", "--lake", refined, query)
    assert "p1" in table and "(2 rows)" in table


def test_an_engine_on_executors_is_refused_in_one_line(remote: str, folder: Path, refined: Path) -> None:
    _, told = call(remote, "refine", "--lake", refined, *set_up(folder), status=1)
    assert re.fullmatch(r"prox-spark: the session is one of Spark Connect, .* engine\.endpoint to a model server", told)


def test_doctor_looks_at_a_worker_of_the_server(remote: str, folder: Path, refined: Path, endpoint: str) -> None:
    words = ["doctor", folder / "pages.jsonl", "--json", "--lake", refined, *set_up(folder)]
    checks = {check["name"]: check for check in json.loads(call(remote, *words)[0])}
    assert {"Java", "Delta package", "lake, writing"}.isdisjoint(checks)
    assert checks["Spark session"]["found"].startswith("Spark Connect")
    assert checks["engine"]["status"] == "warning" and checks["log store"]["status"] == "ok"
    assert checks["inputs"]["found"] == "1 files" and checks["lake tables"]["found"].startswith(
        "documents, generations"
    )
    checks = {check["name"]: check for check in json.loads(call(remote, *words, *to(endpoint))[0])}
    assert checks["engine"]["found"] == f"remote, at {endpoint}"


def test_labels_are_imported(remote: str, folder: Path) -> None:
    (folder / "labels.jsonl").write_text(json.dumps({"text": "A page", "keep": True}))
    printed, _ = call(remote, "annotate", "--import", folder / "labels.jsonl", "--lake", folder / "labelled")
    assert "1 labels imported into the set labels" in printed


def test_errors_of_the_server_are_one_line(remote: str, refined: Path) -> None:
    _, told = call(remote, "sql", "--lake", refined, "SELECT nothing FROM documents", status=1)
    assert re.fullmatch(r"prox-spark: AnalysisException: \[UNRESOLVED_COLUMN.*\(--debug shows where\)", told)
    _, told = call(remote, "sql", "--lake", refined, "SELECT raise_error('so it is')", status=1)
    assert re.fullmatch(r"prox-spark: .*so it is.*", told)


def test_programs_are_induced(remote: str, folder: Path) -> None:
    (folder / "pairs.jsonl").write_text(json.dumps({"id": "a", "raw": "Home\nSome text.\nBack", "clean": "Some text."}))
    printed, _ = call(remote, "induce", folder / "pairs.jsonl", "--output", folder / "programs.parquet")
    assert re.search(r"1 of 1|1 exact|exact", printed), printed
    (row,) = pq.read_table(folder / "programs.parquet").to_pylist()
    assert row["exact"] and [op["op"] for op in row["ops"]] == ["remove_lines"] * 2


class Model(BaseHTTPRequestHandler):
    """A FAKE model server, which keeps every document and chunk."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        scores = dict(zip(asked.get("logprob_token_ids", ()), (-0.1, -3.0), strict=False))
        top = {f"token_id:{token}": score for token, score in scores.items()}
        choice = {"text": "keep_chunk()", "finish_reason": "stop", "logprobs": {"top_logprobs": [top]}}
        body = json.dumps({"choices": [choice], "usage": {"completion_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The URL of the FAKE model server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_refine_asks_a_remote_engine(remote: str, folder: Path, refined: Path, endpoint: str) -> None:
    lake = folder / "asked"
    shutil.copytree(refined, lake)
    shutil.rmtree(lake / "generations")
    words = [*to(endpoint), "--set", "waves.documents=3", "--set", "apply.min_words=0"]
    printed, told = call(remote, "refine", "--lake", lake, *set_up(folder), *words)
    assert re.search(r"refine: 6 of 6 documents", printed), printed
    assert "doc stage wave 1 of 2" in told and "Traceback" not in told
