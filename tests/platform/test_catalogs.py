"""A lake in a Hive metastore with Derby, and its tables for clients of JDBC: Spark's Thrift server, asked by PyHive."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cluster import BIN, Job, make_environment, make_fake_engine_environment, start_job
from pyhive import hive
from short_runs import FEW_PARTITIONS, UNCOMPILED
from waiting import wait_until

from prox_spark import schemas
from prox_spark.demo import PAGES

pytestmark = pytest.mark.platform

N_PAGES = 12
COMMANDS = {
    "ingest": "ingest",
    "ingest again": "ingest --catalog spark_catalog.prox_web",
    "refine": "refine",
    "refine again": "refine",
    "apply": "apply --set apply.drop_threshold=0.3",
    "compare": "compare --with apply.semantics=reference",
    "sql": 'sql --output csv "SELECT count(*), count(DISTINCT doc_id) FROM refined"',
}
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hive")


@pytest.fixture(scope="module")
def metastore(folder: Path) -> dict[str, str]:
    """Spark's settings for a metastore in a folder."""
    return {
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder}/metastore;create=true",
        **FEW_PARTITIONS,
        **UNCOMPILED,
    }


@pytest.fixture(scope="module")
def printed(folder: Path, metastore: dict[str, str]) -> dict[str, str]:
    """What commands printed, on a lake in the schema `prox_web`, which was not there before."""
    (folder / "pages.jsonl").write_bytes(b"\n".join(PAGES.read_bytes().splitlines()[:N_PAGES]) + b"\n")
    parts = {
        "input": {"paths": [str(folder / "pages.jsonl")]},
        "lake": {"catalog": "prox_web"},
        "engine": {"device": "cpu"},
        "self_test": {"enabled": False},  # the FAKE's answers are no refiner's
        "spark": {"conf": metastore},
    }
    (folder / "recipe.yaml").write_text(json.dumps({"name": "hive", **parts}))
    script = Path(__file__).parent / "commands_in_one_session.py"
    command = [sys.executable, script, folder / "recipe.yaml", *COMMANDS.values()]
    out = start_job(command, folder, make_fake_engine_environment()).wait_for_end()
    return dict(zip(COMMANDS, re.split(r"^== .*\n", out, flags=re.MULTILINE)[1:], strict=True))


def test_a_lake_in_a_hive_metastore_takes_every_command(printed: dict[str, str]) -> None:
    assert f"{N_PAGES} new" in printed["ingest"]
    assert f"0 new, 0 changed, {N_PAGES} unchanged" in printed["ingest again"]
    assert re.search(rf"refine: {N_PAGES} of {N_PAGES} documents .* 1 engine start", printed["refine"])
    assert "refine: nothing new" in printed["refine again"]
    assert re.search(rf"apply: {N_PAGES} of {N_PAGES} documents .* no engine", printed["apply"])
    assert f"compare: {N_PAGES} documents" in printed["compare"]
    assert printed["sql"].splitlines()[1] == f"{N_PAGES},{N_PAGES}"


@pytest.fixture(scope="module")
def cursor(folder: Path, metastore: dict[str, str], printed: dict[str, str]) -> Iterator[Any]:
    """A client of Spark's Thrift server over the metastore."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = (part for pair in {**DELTA, **metastore}.items() for part in ("--conf", "=".join(pair)))
    server = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
    address = {"hive.server2.thrift.port": port, "hive.server2.thrift.bind.host": "127.0.0.1"}
    words = (part for name, value in address.items() for part in ("--hiveconf", f"{name}={value}"))
    command = [BIN / "spark-submit", "--master", "local[2]", *settings, "--class", server, "spark-internal", *words]
    (folder / "server").mkdir()
    job = start_job(command, folder / "server", make_environment())
    try:
        with closing(_connect(job, port)) as connection:
            yield connection.cursor()
    finally:
        job.process.kill()
        job.process.wait()


def _connect(job: Job, port: int) -> Any:
    def listens() -> bool:
        assert job.process.poll() is None, job.err.read_text()[-3000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
        return False

    wait_until(listens, "the Thrift server listens", 300)
    return hive.connect("127.0.0.1", port=port, username="reader")


def ask(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return cursor.fetchall() if cursor.description else []


def test_clients_of_jdbc_read_the_tables_by_name(cursor: Any) -> None:
    assert [name for _, name, _ in ask(cursor, "SHOW TABLES IN prox_web")] == sorted(t.name for t in schemas.TABLES)
    statuses = dict(ask(cursor, "SELECT status, count(*) FROM prox_web.refined GROUP BY status"))
    assert sum(statuses.values()) == N_PAGES and statuses["edited"] > 1
    spans = "SELECT doc_id, recipe_fingerprint, inline(removed) FROM prox_web.refined"
    programs = "prox_web.programs USING (doc_id, recipe_fingerprint, chunk_index)"
    removed = ask(cursor, f"SELECT ops[op_index].op FROM ({spans}) JOIN {programs}")
    assert removed and set(removed) == {("remove_lines",)}


def test_clients_of_jdbc_read_the_tables_by_path_and_register_them(cursor: Any, folder: Path) -> None:
    path = folder / "warehouse" / "prox_web.db" / "refined"
    assert ask(cursor, f"SELECT count(*) FROM delta.`{path}`") == [(N_PAGES,)]
    ask(cursor, "CREATE SCHEMA elsewhere")
    ask(cursor, f"CREATE TABLE elsewhere.refined USING delta LOCATION '{path}'")
    assert ask(cursor, "SELECT count(*) FROM elsewhere.refined WHERE text IS NOT NULL") == [(N_PAGES,)]
