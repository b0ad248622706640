"""Other readers of the tables: delta-rs, DuckDB, polars and Daft return the rows and types that Spark does."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet
import pytest
from cluster import REPOSITORY
from fake_vllm import use_fake_engine
from tiny_tokenizer import bytes_json
from weightless import write_weightless

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.pipeline.annotate import annotate_lake
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake

pytestmark = pytest.mark.platform

TABLES = [table.name for table in schemas.TABLES]
TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 32, "drop_threshold": 0.8},
    "chunk": {"template": "plain", "max_chunk_tokens": 128, "max_answer_tokens": 16},
}
# An environment of its own, which `make test` sets up: it refuses the pyarrow of ours.
DAFT = REPOSITORY / ".cache" / "daft" / "bin" / "python"
READ_BY_DAFT = """
import sys, daft, pyarrow.parquet
lake, folder, *tables = sys.argv[1:]
for table in tables:
    try:
        rows = daft.read_deltalake(f"{lake}/{table}").to_arrow()
        pyarrow.parquet.write_table(rows, f"{folder}/{table}.parquet")
    except NotImplementedError as error:
        open(f"{folder}/{table}.txt", "w").write(str(error))
"""


@pytest.fixture(scope="module")
def lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake after two rounds: carried columns of many types, partitions, replaced rows, deletion vectors, changes, labels."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "refiner").mkdir()
    (folder / "refiner" / "tokenizer.json").write_text(bytes_json())
    refiner = write_weightless(folder / "refiner", context_tokens=512, tasks=TASKS)
    recipe = Recipe.parse(
        {
            "input": {"paths": [str(folder / "pages.jsonl")]},
            "lake": {"root": str(folder / "lake"), "partition_by": ["dump"]},
            "refiners": {"doc": refiner, "chunk": refiner},
            "engine": {"device": "cpu"},
            "self_test": {"enabled": False},  # the FAKE's answers are no refiner's
        }
    )
    with use_fake_engine(spark):
        for pages in (make_pages(0), make_pages(1)):
            (folder / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
            ingest(spark, recipe)
            refine_lake(spark, recipe)
    (folder / "pairs.jsonl").write_text(
        json.dumps({"raw": "Home\nA sentence of the page.", "clean": "A sentence of the page."})
    )
    annotate_lake(spark, recipe, [str(folder / "pairs.jsonl")])
    return folder / "lake"


def make_pages(round_: int) -> Iterator[dict[str, object]]:
    """Pages of a round: of the first one, the second one changes every other text and brings some."""
    for n in range(12 + 4 * round_):
        lines = [f"Line {line} of page {n} — für 読者, as ordinary as most pages are" for line in range(4)]
        if round_ and n % 2:
            lines.append("A line that came later")
        yield {
            "id": f"doc-{n}",
            "text": "\n".join(lines),
            "dump": ["2026-10", "2026/11", None][n % 3],
            "score": n / 8,
            "shown": n % 2 == 0,
            "meta": {"tags": ["a", None], "level": {"edu": n}},
        }
    yield {"id": "doc-empty", "text": None}


def read_by_delta_rs(path: str, folder: Path) -> pa.Table:
    return pa.table(deltalake.QueryBuilder().register("t", deltalake.DeltaTable(path)).execute("SELECT * FROM t"))


def read_by_pyarrow(path: str, folder: Path) -> pa.Table:
    return deltalake.DeltaTable(path).to_pyarrow_table()


def read_by_duckdb(path: str, folder: Path) -> pa.Table:
    spec = importlib.util.find_spec("duckdb_ext")
    assert spec and spec.submodule_search_locations
    extensions = f"{spec.submodule_search_locations[0]}/extensions"
    with duckdb.connect(config={"extension_directory": extensions}) as connection:
        connection.execute("LOAD delta; SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT * FROM delta_scan('{path}')").fetch_arrow_table()


def read_by_polars(path: str, folder: Path) -> pa.Table:
    return polars.scan_delta(path).collect().to_arrow()


def read_by_daft(path: str, folder: Path) -> pa.Table:
    table = Path(path).name
    if (refusal := folder / f"{table}.txt").exists():
        raise NotImplementedError(refusal.read_text())
    return pa.parquet.read_table(folder / f"{table}.parquet")


READERS = [read_by_delta_rs, read_by_pyarrow, read_by_duckdb, read_by_polars, read_by_daft]
# What these can't read, and what they say.
REFUSED = {("read_by_pyarrow", "documents"): "deletionVectors", ("read_by_daft", "documents"): "deletion vectors"}


@pytest.fixture(scope="module")
def by_daft(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Daft reads of each table, in one process for all of them, or with what it says."""
    assert DAFT.exists(), "make .cache/daft/installed"
    folder = tmp_path_factory.mktemp("daft")
    command = [DAFT, "-c", READ_BY_DAFT, lake, folder, *TABLES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__.removeprefix("read_by_"))
def test_a_table_is_the_same_in_another_reader(
    spark: Any, lake: Path, request: pytest.FixtureRequest, reader: Callable[[str, Path], pa.Table], table: str
) -> None:
    path, folder = f"{lake}/{table}", request.getfixturevalue("by_daft" if reader is read_by_daft else "tmp_path")
    if refusal := REFUSED.get((reader.__name__, table)):
        with pytest.raises(Exception, match=refusal):
            reader(path, folder)
        return
    want, have = spark.read.format("delta").load(path).toArrow(), reader(path, folder)
    assert describe(have.schema) == describe(want.schema)
    assert rows(have) == rows(want)


def test_the_lake_has_what_readers_stumble_over(spark: Any, lake: Path) -> None:
    logs = {table: (lake / table / "_delta_log").glob("*.json") for table in TABLES}
    text = {table: "".join(path.read_text() for path in sorted(log)) for table, log in logs.items()}
    assert "deletionVector" in text["documents"] and '"MERGE"' in text["documents"]
    assert "changeDataFeed" in text["refined"] and '"MERGE"' in text["refined"]
    assert all(spark.read.format("delta").load(f"{lake}/{table}").count() for table in TABLES)


def test_the_changes_of_refined_are_the_same_in_delta_rs(spark: Any, lake: Path) -> None:
    path = f"{lake}/refined"
    want = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(path)
    have = pa.table(deltalake.DeltaTable(path).load_cdf(starting_version=1))
    columns = ["doc_id", "text", "removed", "meta", "dump", "_change_type", "_commit_version"]
    assert rows(have.select(columns)) == rows(want.select(columns).toArrow())
    assert {"insert", "update_preimage", "update_postimage"} == set(have["_change_type"].to_pylist())


def describe(schema: pa.Schema) -> dict[str, str]:
    """Names and types, as far as two readers may not differ: not in names of list items, offsets of 64 bits, or spellings of UTC."""
    return {field.name: _describe(field.type) for field in schema}


def _describe(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name}: {_describe(field.type)}' for field in kind)}>"
    if pa.types.is_map(kind):
        # polars has no maps.
        return f"list<struct<key: {_describe(kind.key_type)}, value: {_describe(kind.item_type)}>>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{_describe(kind.value_type)}>"
    if pa.types.is_dictionary(kind):
        return _describe(kind.value_type)
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}]{' UTC' if kind.tz in ('UTC', 'Etc/UTC', '+00:00') else kind.tz}"
    return str(kind).removeprefix("large_").replace("string_view", "string")


def rows(table: pa.Table) -> list[str]:
    """Rows in an order of their own, with maps as readers without maps have them."""
    columns = sorted(table.column_names)
    return sorted(repr([(name, _plain(row[name])) for name in columns]) for row in table.to_pylist())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        is_pair = value.keys() == {"key", "value"}
        return (value["key"], value["value"]) if is_pair else {name: _plain(value[name]) for name in sorted(value)}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [_plain(item) for item in value]
        # The entries of a map have no order.
        return sorted(items, key=repr) if items and isinstance(items[0], tuple) else items
    if hasattr(value, "astimezone"):
        return value.timestamp()
    return value
