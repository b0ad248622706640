from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from prox_spark.config import Recipe
from prox_spark.session import spark_session

pytestmark = pytest.mark.spark


def test_a_session_survives_its_use_from_another_thread(spark: Any) -> None:
    # A thread that did not make the session has none that is active.
    used: list[Any] = []

    def use() -> None:
        with spark_session(Recipe.parse({"spark": {"conf": {"spark.sql.shuffle.partitions": "7"}}})) as found:
            used.append(found.range(3).count())

    thread = Thread(target=use)
    thread.start()
    thread.join()
    assert used == [3]
    assert spark.range(2).count() == 2
    assert spark.conf.get("spark.sql.shuffle.partitions") != "7"


def test_the_log_level_of_a_session_that_exists_stays(spark: Any) -> None:
    root = spark._jvm.org.apache.logging.log4j.LogManager.getRootLogger
    level = str(root().getLevel())
    spark.sparkContext.setLogLevel("WARN")
    try:
        with spark_session(Recipe()):
            assert str(root().getLevel()) == "WARN"
    finally:
        spark.sparkContext.setLogLevel(level)


def test_a_jvm_that_does_not_start_is_named_with_its_cure(tmp_path: Path) -> None:
    code = "import sys; from prox_spark.cli import main; sys.exit(main(['sql', '--lake', 'lake', 'SELECT 1']))"
    environment = os.environ | {"JAVA_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Install Java 17 and set JAVA_HOME to it (now {tmp_path})" in done.stderr.splitlines()[-1]
