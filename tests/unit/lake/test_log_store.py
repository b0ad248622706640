"""Which log store a lake has, and the JAR of ours."""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.errors import AnalysisException

from prox_spark.config import LakeConfig
from prox_spark.errors import LakeError, RecipeError
from prox_spark.lake import log_store
from prox_spark.lake.log_store import LOG_STORE_JAR, S3_LOG_STORE, find_log_store, name_jar, warn_of_log_store

pytestmark = pytest.mark.unit


class FakeSession:
    """A session that has settings, of its own and of Spark's start, and a catalog that tells a place."""

    def __init__(self, place: str = "", **settings: str) -> None:
        self.conf = dict[str, str]()
        self._started_with = {name.replace("_", "."): value for name, value in settings.items()}
        self._place = place

    @property
    def sparkContext(self) -> FakeSession:
        return self

    def getConf(self) -> dict[str, str]:
        return self._started_with

    def sql(self, statement: str) -> FakeSession:
        assert statement == "DESCRIBE TABLE EXTENDED c.s.documents"
        if not self._place:
            raise AnalysisException("[TABLE_OR_VIEW_NOT_FOUND]")
        return self

    def collect(self) -> list[dict[str, str]]:
        column = {"col_name": "Location", "data_type": "string"}
        return [
            column,
            {"col_name": "# Detailed Table Information", "data_type": ""},
            column | {"data_type": self._place},
        ]


@pytest.fixture(autouse=True)
def classes(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Classes that the JVM lacks."""
    lacking = set[str]()
    monkeypatch.setattr(log_store, "find_class", lambda _, name: None if name in lacking else name)
    return lacking


def find(root: str, **settings: str) -> Any:
    return find_log_store(FakeSession(**settings), root)  # type: ignore[arg-type]


def warn(session: FakeSession, **place: str) -> None:
    warn_of_log_store(session, LakeConfig(**place))  # type: ignore[arg-type]


@pytest.mark.parametrize("root", ["/data/lake", "file:/data/lake", "hdfs://n/lake", "abfss://c@a/lake", "gs://b/lake"])
def test_other_places_have_a_log_store_that_is_safe_by_default(root: str) -> None:
    assert find(root) is None


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
def test_the_default_on_s3_is_safe_for_one_driver_only(scheme: str) -> None:
    store = find(f"{scheme}://b/lake")
    assert not store.is_safe and store.setting == f"spark.delta.logStore.{scheme}.impl"


@pytest.mark.parametrize(
    ("name", "is_safe"),
    [
        (S3_LOG_STORE, True),
        ("io.delta.storage.S3DynamoDBLogStore", True),
        ("io.delta.storage.S3SingleDriverLogStore", False),
        ("io.delta.storage.GCSLogStore", False),
    ],
)
def test_a_log_store_that_is_set_is_judged_by_its_class(name: str, is_safe: bool) -> None:
    assert find("s3a://b/lake", spark_delta_logStore_s3a_impl=name).is_safe == is_safe
    assert find("s3a://b/lake", spark_delta_logStore_class=name).is_safe == is_safe


def test_a_log_store_without_its_jar_is_an_error_that_names_the_jar(classes: set[str]) -> None:
    classes |= {S3_LOG_STORE, "my.Store"}
    with pytest.raises(LakeError, match=rf"not on the class path: add `--jars {LOG_STORE_JAR}` to spark-submit"):
        find("s3a://b/lake", spark_delta_logStore_s3a_impl=S3_LOG_STORE)
    with pytest.raises(LakeError, match=r"spark\.delta\.logStore\.class names my\.Store.* its JAR"):
        find("s3a://b/lake", spark_delta_logStore_class="my.Store")


def test_keys_in_the_place_of_a_lake_are_refused_and_not_shown() -> None:
    with pytest.raises(RecipeError, match="a path holds keys of S3") as caught:
        find("s3a://AKIA:hush@bucket/lake")
    assert "hush" not in str(caught.value)


def test_a_platform_that_shows_no_such_setting_is_not_judged() -> None:
    class FakeSettings:
        def get(self, name: str, default: object) -> str:
            raise AnalysisException("[CONFIG_NOT_AVAILABLE]")

    class FakeConnectSession:
        conf = FakeSettings()

    FakeConnectSession.__module__ = "pyspark.sql.connect.session"
    assert find_log_store(FakeConnectSession(), "s3://b/lake") is None  # type: ignore[arg-type]


def test_a_log_store_that_is_set_after_the_start_does_not_count() -> None:
    session = FakeSession()
    session.conf["spark.delta.logStore.s3a.impl"] = S3_LOG_STORE
    store = find_log_store(session, "s3a://b/lake")  # type: ignore[arg-type]
    assert store is not None and not store.is_safe


def test_databricks_commits_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    assert find("s3://b/lake") is None


def test_a_run_warns_of_the_default_and_says_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "prox_spark"):
        warn(FakeSession(), root="s3a://b/lake")
        warn(FakeSession(), root="/data/lake")
    (record,) = caplog.records
    assert f"spark.delta.logStore.s3a.impl: {S3_LOG_STORE}" in record.getMessage()


def test_a_lake_in_a_catalog_is_judged_by_the_place_of_its_tables(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "prox_spark"):
        warn(FakeSession("s3a://b/web/documents"), catalog="c.s")
        warn(FakeSession("file:/data/web/documents"), catalog="c.s")
        warn(FakeSession(), catalog="c.s")
    (record,) = caplog.records
    assert "at the same time" in record.getMessage() and "s3a://b/web/documents" in record.getMessage()


def test_the_jar_is_added_where_a_setting_names_it() -> None:
    named = {"spark.delta.logStore.s3a.impl": S3_LOG_STORE, "spark.jars": "/a.jar"}
    assert name_jar(named) == {"spark.jars": f"/a.jar,{LOG_STORE_JAR}"}
    assert name_jar({"spark.jars": "/a.jar"}) == {}


def test_the_jar_was_made_of_the_source_beside_it() -> None:
    source = (LOG_STORE_JAR.parent / "S3ConditionalLogStore.java").read_bytes()
    with zipfile.ZipFile(LOG_STORE_JAR) as jar:
        manifest = jar.read("META-INF/MANIFEST.MF").decode()
        assert f"{S3_LOG_STORE.replace('.', '/')}.class" in jar.namelist()
    assert f"Source-SHA-256-Begins: {hashlib.sha256(source).hexdigest()[:40]}" in manifest


def test_the_class_in_the_jar_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    folder = shutil.copytree(LOG_STORE_JAR.parent, tmp_path / "made")
    jars = Path(pyspark.__file__).parent / "jars"
    if not shutil.which("javac") or not any(jars.glob("*delta-storage*.jar")):
        pytest.skip("no Java compiler, or no Delta in this Spark")
    subprocess.run(["bash", folder / "build.sh", jars], check=True)
    with zipfile.ZipFile(LOG_STORE_JAR) as ours, zipfile.ZipFile(folder / LOG_STORE_JAR.name) as made:
        maker = b"Created-By"
        names = [name for name in made.namelist() if name.endswith(".class")]
        said = [
            [line for line in jar.read("META-INF/MANIFEST.MF").splitlines() if maker in line] for jar in (ours, made)
        ]
        if said[0] != said[1]:
            pytest.skip(f"another compiler: {said}")
        assert names and [ours.read(name) for name in names] == [made.read(name) for name in names]
