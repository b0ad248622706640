"""Settings of a session, and which session is whose. The real one is in tests/spark/test_session.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pyspark
import pytest
from pyspark import SparkContext
from pyspark.errors import PySparkValueError
from pyspark.sql import SparkSession

from prox_spark.config import Recipe
from prox_spark.errors import ConnectError, ProxSparkError
from prox_spark.session import (
    DELTA_PACKAGES,
    build_session,
    find_session,
    make_laptop_settings,
    spark_session,
)

pytestmark = pytest.mark.unit

OPTIONS = "spark.driver.defaultJavaOptions"
PACKAGES = "spark.jars.packages"
WITH_DELTA = {"spark.jars": "/opt/delta-spark.jar"}


class FakeSession:
    """A session, its context and their builder in one, which remembers what it is asked for."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        self.log_level: str | None = None
        self.is_stopped = False

    @property
    def sparkContext(self) -> FakeSession:
        return self

    def setLogLevel(self, level: str) -> None:
        self.log_level = level

    def stop(self) -> None:
        self.is_stopped = True

    def appName(self, name: str) -> FakeSession:
        return self

    def master(self, master: str) -> FakeSession:
        return self

    def config(self, key: str, value: str) -> FakeSession:
        self.settings[key] = value
        return self

    def getOrCreate(self) -> FakeSession:
        return self


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeSession:
    """The session that pyspark builds in a process without one, of a Spark without Delta."""
    session = FakeSession()
    monkeypatch.setattr(SparkSession, "builder", session)
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)
    monkeypatch.setattr(SparkContext, "_ensure_initialized", lambda: None)
    monkeypatch.setattr("prox_spark.session._is_gone", lambda spark: False)
    monkeypatch.setenv("PYSPARK_PYTHON", "python")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    for name in ("PYSPARK_GATEWAY_PORT", "DATABRICKS_RUNTIME_VERSION", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    give(monkeypatch)
    return session


def give(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Let spark-submit, or nobody, have given settings."""
    monkeypatch.setattr(pyspark, "SparkConf", lambda: settings)


def test_a_laptop_s_jvm_has_a_collector_and_room_for_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_TOOL_OPTIONS", raising=False)
    options = make_laptop_settings(Recipe())[OPTIONS].split()
    assert "-XX:+UseParallelGC" in options
    # With the first compiler alone the JVM reserves 48 MB, and stops compiling when these are full.
    assert "-XX:ReservedCodeCacheSize=240m" in options


@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", None])
def test_a_collector_that_the_user_has_named_is_the_only_one(
    variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe()
    if variable:
        monkeypatch.setenv(variable, "-Xss4m -XX:+UseG1GC")
    else:
        recipe = Recipe.parse({"spark": {"conf": {"spark.driver.extraJavaOptions": "-XX:+UseZGC"}}})
    options = make_laptop_settings(recipe)[OPTIONS]
    assert "UseParallelGC" not in options
    assert "TieredStopAtLevel" in options


def test_a_local_session_of_ours_logs_errors_only(fake: FakeSession) -> None:
    build_session(Recipe())
    assert fake.log_level == "ERROR"


@pytest.mark.parametrize("master", ["local[2]", "yarn", "spark://host:7077"])
def test_the_log_of_spark_submit_is_left_as_it_is(
    fake: FakeSession, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    give(monkeypatch, **{"spark.master": master}, **WITH_DELTA)
    build_session(Recipe())
    assert fake.log_level is None


def test_the_log_of_a_cluster_is_left_as_it_is(fake: FakeSession) -> None:
    build_session(Recipe.parse({"spark": {"master": "spark://host:7077"}}))
    assert fake.log_level is None


def test_the_log_of_a_session_that_exists_is_left_as_it_is(fake: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkContext, "_active_spark_context", fake)
    build_session(Recipe())
    assert fake.log_level is None


def test_a_session_of_ours_is_stopped(fake: FakeSession) -> None:
    with spark_session(Recipe()):
        assert not fake.is_stopped
    assert fake.is_stopped


def test_a_session_that_exists_is_used_as_it_is_and_goes_on(fake: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a thread that did not make the session: none is active there.
    monkeypatch.setattr(SparkContext, "_active_spark_context", fake)
    monkeypatch.setattr(SparkSession, "_instantiatedSession", fake)
    with spark_session(Recipe()) as spark:
        assert spark is fake
    assert not fake.is_stopped and fake.settings == {}


def test_a_context_without_a_session_gets_one_with_delta(fake: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkContext, "_active_spark_context", fake)
    monkeypatch.setattr(SparkSession, "_instantiatedSession", None)
    with spark_session(Recipe()):
        assert "DeltaSparkSessionExtension" in fake.settings["spark.sql.extensions"]
    assert not fake.is_stopped


def test_a_build_of_delta_is_added_where_there_is_none(fake: FakeSession) -> None:
    build_session(Recipe())
    assert fake.settings[PACKAGES] in DELTA_PACKAGES.values()


def test_no_build_of_delta_is_fetched_where_the_recipe_names_its_jars(fake: FakeSession) -> None:
    build_session(Recipe.parse({"spark": {"conf": WITH_DELTA}}))
    assert PACKAGES not in fake.settings


def test_another_package_of_delta_is_not_taken_for_delta_itself(fake: FakeSession) -> None:
    package = "io.delta:delta-storage-s3-dynamodb:4.4.0"
    build_session(Recipe.parse({"spark": {"conf": {PACKAGES: package}}}))
    own, delta = fake.settings[PACKAGES].split(",")
    assert own == package and delta in DELTA_PACKAGES.values()


def test_an_unknown_spark_is_named_with_those_that_are_known(
    fake: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyspark, "__version__", "4.3.0")
    with pytest.raises(ProxSparkError, match=r"pyspark 4\.3\.0; there are builds for Spark 3\.5, 4\.0, 4\.1, 4\.2\."):
        build_session(Recipe())


def test_a_spark_that_is_too_old_is_refused(fake: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyspark, "__version__", "3.4.1")
    give(monkeypatch, **WITH_DELTA)
    with pytest.raises(ProxSparkError, match=r"Spark 3\.4\.1 is too old: use Spark 3\.5,"), spark_session(Recipe()):
        pass


@pytest.mark.parametrize(("version", "is_warned"), [("4.3.0", True), ("4.1.2", False), ("3.5.2-amzn-1", False)])
def test_a_spark_that_has_not_been_tried_is_warned_of(
    fake: FakeSession,
    version: str,
    is_warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pyspark, "__version__", version)
    give(monkeypatch, **WITH_DELTA)
    with spark_session(Recipe()):
        pass
    assert (f"Spark {version} has not been tried" in caplog.text) == is_warned


def test_an_unknown_spark_is_used_where_delta_is_on_its_class_path(
    fake: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyspark, "__version__", "4.3.0")
    give(monkeypatch, **WITH_DELTA)
    build_session(Recipe())
    assert PACKAGES not in fake.settings


def test_an_unknown_spark_is_used_with_a_package_of_the_recipe(
    fake: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyspark, "__version__", "4.3.0")
    package = "io.delta:delta-spark_4.3_2.13:5.0.0"
    build_session(Recipe.parse({"spark": {"conf": {PACKAGES: package}}}))
    assert fake.settings[PACKAGES] == package


def test_a_server_of_spark_connect_that_does_not_answer_is_named(
    fake: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # Nobody listens there.
        port = held.getsockname()[1]
        monkeypatch.setenv("SPARK_REMOTE", f"sc://127.0.0.1:{port}/;user_id=me;token=secret")
        with pytest.raises(ConnectError, match=rf"answers at 127\.0\.0\.1:{port}: ") as caught, spark_session(Recipe()):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "host:15002", "sc://host:port", "sc://host:port/;token=secret"])
def test_what_is_no_url_of_spark_connect_is_named_by_its_variable(
    url: str, fake: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise PySparkValueError(f"[INVALID_CONNECT_URL] {url}")

    monkeypatch.setattr(fake, "getOrCreate", refuse)
    monkeypatch.setenv("SPARK_REMOTE", url)
    with (
        pytest.raises(ConnectError, match=r"^SPARK_REMOTE is no URL of Spark Connect: write sc://HOST:PORT") as caught,
        spark_session(Recipe()),
    ):
        pass
    assert "secret" not in str(caught.value)


def test_spark_connect_of_an_older_spark_is_refused(fake: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prox_spark.spark_versions.VERSION", (3, 5))
    monkeypatch.setenv("SPARK_REMOTE", "sc://host")
    with pytest.raises(ConnectError, match=r"use Spark 4\.0 or later"), spark_session(Recipe()):
        pass


def test_a_process_without_a_session_has_none(fake: FakeSession) -> None:
    assert find_session() is None
