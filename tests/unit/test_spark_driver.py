"""Who asks for what a session of Spark Connect lacks. The real sessions are in tests/platform/test_connect.py."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.errors import AnalysisException

from prox_spark import spark_driver
from prox_spark.errors import ConnectError
from prox_spark.lake.spark_settings import spark_settings

pytestmark = pytest.mark.unit


class FakeConf:
    """Settings of a platform that takes one of them and hides the others."""

    def __init__(self, taken: str) -> None:
        self.values = {taken: "before"}

    def get(self, key: str, default: str | None = None) -> str | None:
        self._check(key)
        return self.values[key]

    def set(self, key: str, value: str) -> None:
        self._check(key)
        self.values[key] = value

    def _check(self, key: str) -> None:
        if key not in self.values:
            raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available.")


def make_session(module: str, conf: Any) -> Any:
    return type("SparkSession", (), {"__module__": module, "conf": conf, "session_id": "the session's"})()


def test_a_setting_that_a_platform_refuses_stays_and_the_others_come_back() -> None:
    conf = FakeConf("spark.sql.shuffle.partitions")
    session = make_session("pyspark.sql.connect.session", conf)
    with spark_settings(session, {"spark.sql.shuffle.partitions": "7", "parquet.block.size": "1"}):
        assert conf.values == {"spark.sql.shuffle.partitions": "7"}
    assert conf.values == {"spark.sql.shuffle.partitions": "before"}


def test_a_setting_that_a_classic_session_refuses_is_an_error() -> None:
    session = make_session("pyspark.sql.session", FakeConf("spark.sql.shuffle.partitions"))
    with pytest.raises(AnalysisException), spark_settings(session, {"parquet.block.size": "1"}):
        pass


def test_a_run_whose_application_is_hidden_has_the_id_of_the_session() -> None:
    session = make_session("pyspark.sql.connect.session", FakeConf("spark.sql.shuffle.partitions"))
    assert spark_driver.find_application_id(session) == "the session's"


@pytest.mark.parametrize("name", ["session", "dataframe"])
def test_sessions_and_frames_of_spark_connect_are_told_apart(name: str) -> None:
    assert spark_driver.is_connect(make_session(f"pyspark.sql.connect.{name}", None))
    assert not spark_driver.is_connect(make_session(f"pyspark.sql.classic.{name}", None))


def test_an_engine_is_refused_over_spark_connect_with_what_to_do() -> None:
    connect, classic = (make_session(f"pyspark.sql.{kind}.session", None) for kind in ("connect", "classic"))
    with pytest.raises(ConnectError, match=r"classic session .* dedicated access mode.*engine\.endpoint"):
        spark_driver.refuse_local_engine(connect, None)
    spark_driver.refuse_local_engine(connect, "https://host/v1")
    spark_driver.refuse_local_engine(classic, None)


@pytest.mark.parametrize(("master", "is_local"), [("local", True), ("local[2]", True), ("local-cluster[1,1,1]", False)])
def test_local_mode_is_told_by_the_master(master: str, is_local: bool) -> None:
    assert spark_driver.is_local_master(master) is is_local
