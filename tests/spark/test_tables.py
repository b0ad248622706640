from __future__ import annotations

import json
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.config import LakeConfig, Recipe
from prox_spark.errors import LakeError, RecipeError
from prox_spark.lake.columns import check_partition_columns
from prox_spark.lake.declare import create_table, to_ddl
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.ingest import ingest

pytestmark = pytest.mark.spark

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


@pytest.fixture
def lake(spark: Any, lake_root: str) -> Lake:
    """A lake with the table `quarantine` alone."""
    lake = Lake(spark, LakeConfig(root=lake_root))
    create_table(lake, schemas.QUARANTINE)
    return lake


def findings(spark: Any, *keys: str | None) -> Any:
    rows = spark.createDataFrame([(key,) for key in keys], "quarantine_id string")
    return rows.select(
        *(F.col(n) if n == "quarantine_id" else F.lit(None).alias(n) for n in schemas.QUARANTINE.columns)
    )


def write(path: Path, *records: object) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


# By catalog and by path


ODD = T.StructType(
    [
        T.StructField("it`s", T.StringType(), True, {"comment": "it's a \\ and a \\' and a `"}),
        T.StructField("needed", T.LongType(), False),
        T.StructField("when", T.TimestampType()),
        T.StructField("none", T.DecimalType(20, 3)),
        T.StructField("inner", T.StructType([T.StructField("a b", T.BinaryType(), False, {"comment": "within"})])),
    ]
)


@pytest.mark.parametrize(
    "fields", [*(table.schema for table in schemas.TABLES), ODD], ids=lambda fields: fields.names[0]
)
def test_columns_are_declared_as_they_are(spark: Any, fields: T.StructType) -> None:
    types = spark._jvm.org.apache.spark.sql.types
    declared = types.StructType.fromDDL(to_ddl(fields.fields))
    assert declared.json() == types.DataType.fromJson(fields.json()).json()


def test_lake_in_a_catalog_is_ingested_into_twice_and_read_back(spark: Any, catalog: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": 1, "text": "a", "n": 1}, {"id": 2, "text": None})
    recipe = Recipe.parse({"input": {"paths": [path]}, "lake": {"catalog": catalog}})
    first, second = ingest(spark, recipe), ingest(spark, recipe)
    assert (first.n_new, second.n_unchanged) == (1, 1)
    assert first.versions_out == second.versions_out == {"documents": 1, "quarantine": 1}
    lake = Lake(spark, recipe.lake)
    assert [tuple(row) for row in lake.read("documents").select("doc_id", "text", "n").collect()] == [("1", "a", 1)]
    assert lake.read("documents", version=0).isEmpty()
    assert lake.read("runs").count() == 2
    assert spark.table(lake.identifier("quarantine")).count() == 1
    assert set(lake.create_views()) == {table.name for table in schemas.TABLES}
    lake.remove(schemas.DOCUMENTS, lake.read("documents"), ["doc_id"], "run")
    assert lake.read("documents").isEmpty()


@pytest.mark.parametrize("place", ["root", "catalog"])
def test_tables_have_comments_properties_and_partitions(
    spark: Any, request: pytest.FixtureRequest, lake_root: str, place: str
) -> None:
    where = lake_root if place == "root" else request.getfixturevalue("catalog")
    lake = Lake(spark, LakeConfig.model_validate({place: where, "partition_by": ["source", "dump"]}))
    create_table(lake, schemas.DOCUMENTS)
    detail = spark.sql(f"DESCRIBE DETAIL {lake.identifier('documents')}").first()
    assert detail.partitionColumns == ["source", "dump"] and detail.numFiles == 0
    assert detail.properties["delta.enableChangeDataFeed"] == "true"
    assert detail.properties["delta.enableDeletionVectors"] == "true"
    schema = lake.read("documents").schema
    for have, want in zip(schema, schemas.DOCUMENTS.schema, strict=False):
        assert (have.name, have.dataType, have.metadata) == (want.name, want.dataType, want.metadata)
    assert schema["provenance"].dataType["file"].metadata == schemas.PROVENANCE["file"].metadata
    assert schema["dump"].dataType.simpleString() == "string"


def test_lake_is_made_once(spark: Any, lake_root: str) -> None:
    lake = Lake(spark, LakeConfig(root=lake_root))
    lake.ensure()
    lake.ensure()
    assert set(lake.versions().values()) == {0}


@pytest.mark.parametrize("place", ["root", "catalog"])
def test_columns_that_an_older_lake_lacks_are_added_with_their_comments(
    spark: Any, request: pytest.FixtureRequest, lake_root: str, place: str
) -> None:
    where = lake_root if place == "root" else request.getfixturevalue("catalog")
    lake = Lake(spark, LakeConfig.model_validate({place: where}))
    older = T.StructType(schemas.RUNS.schema.fields[:3])
    create_table(lake, schemas.Table("runs", older, schemas.RUNS.key))
    lake.append("runs", spark.createDataFrame([("1", "refine", "succeeded")], older), "1", commit=("1", 0))
    lake.ensure()
    assert lake.read("runs").schema == schemas.RUNS.schema
    have = {field.name: field for field in lake.read("runs").schema}
    assert all(have[want.name].metadata == want.metadata for want in schemas.RUNS.schema)
    assert have["engine_waves"].dataType.jsonValue() == schemas.RUNS.schema["engine_waves"].dataType.jsonValue()
    assert [(row["run_id"], row["engine_waves"]) for row in lake.read("runs").collect()] == [("1", None)]
    lake.ensure()
    assert lake.version("runs") == 2


def test_first_version_of_a_table_that_was_made_of_a_query_has_its_rows(spark: Any, lake_root: str) -> None:
    lake = Lake(spark, LakeConfig(root=lake_root))
    create_table(lake, schemas.RUNS)
    spark.sql(f"CREATE TABLE {lake.identifier('quarantine')} USING delta AS SELECT 'a' AS quarantine_id")
    versions = {table: lake.version(table) for table in ("runs", "quarantine")}
    assert versions == {"runs": 0, "quarantine": 0}
    assert [lake.read(table, version).count() for table, version in versions.items()] == [0, 1]


def test_a_catalog_that_the_session_does_not_know_is_named_with_its_cure(spark: Any) -> None:
    lake = Lake(spark, LakeConfig(catalog="no_catalog.nowhere"))
    for call in (lake.ensure, partial(lake.exists, "documents")):
        with pytest.raises(
            LakeError, match=r"no_catalog\.nowhere.* does not know its catalog.*spark\.sql\.catalog\.NAME"
        ):
            call()


@pytest.mark.parametrize("catalog", ["no_catalog.nowhere", "spark_catalog.web-text"])
def test_schema_that_can_not_be_is_named(spark: Any, catalog: str) -> None:
    name = LakeConfig(catalog=catalog).catalog
    with pytest.raises(LakeError, match=rf"there is no schema {name}, and none can be made: "):
        Lake(spark, LakeConfig(catalog=catalog)).ensure()


@pytest.mark.parametrize(
    ("statement", "kind"),
    [("VIEW {} AS SELECT 1 AS a", "view"), ("TABLE {} USING parquet AS SELECT 1 AS a", "table of format parquet")],
    ids=["view", "parquet"],
)
def test_what_is_no_delta_table_in_a_catalog_is_named(spark: Any, catalog: str, statement: str, kind: str) -> None:
    spark.sql(f"CREATE {statement.format(f'{catalog}.documents')}")
    with pytest.raises(LakeError, match=rf"^{catalog}\.documents is a {kind}, but"):
        Lake(spark, LakeConfig(catalog=catalog)).read("documents")


@pytest.mark.parametrize(
    ("place", "option"),
    [
        ("root", "--lake /none"),
        ("catalog", "--catalog spark_catalog.none"),
        ("catalog", "--catalog 'spark_catalog.`no-ne`'"),
    ],
)
def test_missing_table_names_the_option_of_this_lake(spark: Any, place: str, option: str) -> None:
    lake = Lake(spark, LakeConfig.model_validate({place: shlex.split(option)[1]}))
    with pytest.raises(LakeError, match=f"ingest INPUT {option}`"):
        lake.read("documents")
    with pytest.raises(LakeError, match=f"ingest INPUT {option}`"):
        lake.create_views()


def test_no_lake_is_a_mistake_of_the_recipe(spark: Any) -> None:
    with pytest.raises(RecipeError, match=r"--lake ROOT or --catalog NAME\.SCHEMA"):
        Lake(spark, LakeConfig())


def test_root_with_one_slash_after_its_scheme_is_no_local_folder(spark: Any, tmp_path: Path) -> None:
    create_table(Lake(spark, LakeConfig(root=f"file:{tmp_path}/a`b")), schemas.RUNS)
    assert (tmp_path / "a`b/runs/_delta_log").is_dir()


def test_timestamps_are_instants_whatever_sql_takes_them_for_in_the_session(spark: Any, lake_root: str) -> None:
    lake = Lake(spark, LakeConfig(root=lake_root))
    spark.conf.set("spark.sql.timestampType", "TIMESTAMP_NTZ")
    try:
        lake.ensure()
    finally:
        spark.conf.unset("spark.sql.timestampType")
    assert {field.dataType for field in lake.read("runs").schema} >= {T.TimestampType()}


# Partition columns


@pytest.mark.parametrize("names", [[], ["source"], ["dump"], ["crawl_date", "source"]])
def test_source_and_carried_columns_partition(names: list[str]) -> None:
    check_partition_columns(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["provenance"], "'provenance': it is a column of prox_spark"),
        (["text"], "input_text"),
        (["Status"], "input_Status"),
        (["Source"], "write 'source'"),
        (["crawl date"], "write 'crawl_date'"),
        (["a.b"], "write 'a_b'"),
        (["dump", "Dump"], "named twice"),
        ([""], "empty"),
    ],
)
def test_other_partition_columns_are_a_mistake_of_the_recipe(spark: Any, names: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=rf"lake\.partition_by.*{message}.*accepted are source and columns"):
        check_partition_columns(names)


def test_partition_column_that_can_not_be_makes_no_lake(spark: Any, lake_root: str) -> None:
    with pytest.raises(RecipeError, match="partition_by"):
        Lake(spark, LakeConfig(root=lake_root, partition_by=["text"])).ensure()
    assert not Path(lake_root).exists()


# Commits


def test_remove_deletes_the_rows_that_match_and_says_which_run_did(lake: Lake, spark: Any) -> None:
    lake.insert_new(schemas.QUARANTINE, findings(spark, "a", "b", None), "r1")
    lake.remove(schemas.QUARANTINE, findings(spark, "a", "a", None, "x"), ["quarantine_id"], "r2")
    assert [row.quarantine_id for row in lake.read("quarantine").collect()] == ["b"]
    commit = spark.sql(f"DESCRIBE HISTORY {lake.identifier('quarantine')} LIMIT 1").first()
    assert json.loads(commit.userMetadata) == {"run_id": "r2"}


@pytest.mark.parametrize("own", [None, "of the user"])
def test_user_metadata_of_the_session_is_as_before(lake: Lake, spark: Any, own: str | None) -> None:
    if own:
        spark.conf.set(USER_METADATA, own)
    try:
        lake.insert_new(schemas.QUARANTINE, findings(spark, "a"), "r1")
        assert spark.conf.get(USER_METADATA, None) == own
    finally:
        spark.conf.unset(USER_METADATA)


class FakeRefusal(Exception):
    """An error of Delta with a condition."""

    def getCondition(self) -> str:
        return str(self)


def test_small_files_stay_where_unity_catalog_joins_them_itself(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(condition: str) -> None:
        def join_files(*_: object) -> None:
            raise FakeRefusal(condition)

        monkeypatch.setattr(lake._operations, "join_files", join_files)

    refuse("DELTA_UNSUPPORTED_CATALOG_MANAGED_TABLE_OPERATION")
    lake.compact("quarantine", "r1")
    refuse("DELTA_TABLE_NOT_FOUND")
    with pytest.raises(FakeRefusal):
        lake.compact("quarantine", "r1")
