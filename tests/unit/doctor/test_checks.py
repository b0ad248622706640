"""The doctor's checks that need no Spark session, and its command."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from prox_spark.commands import doctor as command
from prox_spark.config import Recipe
from prox_spark.doctor import Check, Status, driver, executor
from prox_spark.doctor.driver import examine_driver
from prox_spark.doctor.executor import look_around
from prox_spark.doctor.lake import judge_log_store
from prox_spark.lake.log_store import S3_LOG_STORE, LogStore

pytestmark = pytest.mark.unit

GOOD = Check("lake", Status.OK, "there")
ODD = Check("log store", Status.WARNING, "of one driver", "set another")
BAD = Check("Java", Status.FAILURE, "none", "install it")


@pytest.fixture(autouse=True)
def _no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have one."""
    monkeypatch.setattr(driver, "find_session", lambda: None)
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)


def find(name: str, recipe: Recipe | None = None) -> Check:
    return next(check for check in examine_driver(recipe or Recipe()) if check.name == name)


@pytest.mark.parametrize(("checks", "status"), [([GOOD], 0), ([GOOD, ODD], 0), ([GOOD, ODD, BAD], 1), ([], 0)])
def test_the_exit_status_is_that_of_the_failures(
    checks: list[Check], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "examine", lambda recipe: checks)
    assert command.main(["--json"]) == status
    assert [check["name"] for check in json.loads(capsys.readouterr().out)] == [check.name for check in checks]


def test_the_table_says_what_to_change(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "examine", lambda recipe: [GOOD, ODD, BAD])
    assert command.main([]) == 1
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("of one driver", "set another", "install it", "1 ok, 1 warning, 1 failure"))


def test_a_recipe_that_is_none_is_a_usage_error() -> None:
    assert command.main(["--set", "nothing.here=1"]) == 2


def test_what_set_up_installed_fits() -> None:
    names = ("Python", "Spark", "Java", "Delta package", "Arrow", "pandas")
    assert {name: find(name).status for name in names} == dict.fromkeys(names, Status.OK)


@pytest.mark.parametrize(
    ("said", "status"),
    [('openjdk version "17.0.1"', "ok"), ('java version "1.8.0_402"', "failure"), ('openjdk version "11"', "failure")],
)
def test_an_old_java_is_a_failure(said: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find("Java").status == status


def test_a_client_of_spark_connect_needs_neither_java_nor_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    monkeypatch.setenv("SPARK_REMOTE", "sc://host")
    assert {"Java", "Delta package"}.isdisjoint(check.name for check in examine_driver(Recipe()))


def test_a_missing_java_is_a_failure_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    check = find("Java")
    assert check.status == "failure" and check.change == "install Java 17 and set JAVA_HOME to it"


@pytest.mark.parametrize(
    ("versions", "name", "status"),
    [
        ({"pyspark": "3.4.1", "delta-spark": "2.4.0"}, "Spark", "failure"),
        ({"pyspark": "4.3.0", "delta-spark": "5.0.0"}, "Spark", "warning"),
        ({"pyspark": "4.1.2", "delta-spark": "4.4.1"}, "Delta package", "warning"),
        ({"pyspark": "3.5.9", "delta-spark": "3.3.3"}, "Delta package", "ok"),
        ({"pyspark": "4.1.2"}, "Delta package", "failure"),
    ],
)
def test_versions_that_do_not_fit_are_found(
    versions: dict[str, str], name: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "find_versions", lambda names: {key: versions[key] for key in names if key in versions})
    monkeypatch.setattr(pyspark, "__version__", versions["pyspark"])
    monkeypatch.setattr(driver, "_has_module", lambda name: False)
    assert find(name).status == status


def test_packages_of_a_platform_that_are_not_installed_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # As under spark-submit on EMR: Spark and Delta are on the path, without the records of an installation.
    monkeypatch.setattr(driver, "find_versions", lambda names: {})
    assert find("Spark").found == pyspark.__version__
    assert find("Delta package").found == "the platform's own"


def test_a_machine_without_spark_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "pyspark.py").write_text("raise ImportError('FAKE: there is none')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    words = [sys.executable, "-m", "prox_spark.cli", "doctor", "--json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert found["Spark"]["found"] == "no pyspark is installed"


def test_no_java_is_looked_for_where_spark_runs_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    assert find("Java").status == "failure"
    monkeypatch.setattr(driver, "find_session", lambda: "a session")
    assert "Java" not in {check.name for check in examine_driver(Recipe())}
    monkeypatch.setattr(driver, "find_session", lambda: None)
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    assert "Java" not in {check.name for check in examine_driver(Recipe())}


def test_an_unknown_refiner_is_a_failure() -> None:
    assert (
        find("refiner", Recipe.parse({"refiners": {"doc": "/no/refiner", "chunk": "/no/refiner"}})).status == "failure"
    )


def test_a_path_that_is_too_long_for_a_socket_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROX_SPARK_RUNTIME", f"/tmp/{'x' * 100}")
    checks = {check.name: check for check in executor._examine_room(look_around())}
    assert checks["socket path"].status == "failure" and "PROX_SPARK_RUNTIME" in checks["socket path"].change


def test_an_engine_that_is_not_installed_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look_around() | {"has_vllm": False, "problem": "", "vllm": {}}
    config = Recipe().engine
    checks = {check.name: check for check in executor._examine_engine(seen, config, can_start=True)}
    assert checks["engine"].status == "failure"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:9/v1", r"^http://127\.0\.0\.1:9/v1 does not answer on .*refused"),
        ("http://me:hush@127.0.0.1:9/v1", r"^http://[^/]*redacted[^/]*@127\.0\.0\.1:9/v1 does not answer"),
        ("http://host:port/v1", "port"),
    ],
)
def test_an_endpoint_where_nothing_answers_a_worker_is_a_failure(url: str, shown: str) -> None:
    config = Recipe.parse({"engine": {"endpoint": url}}).engine
    (check,) = executor._examine_engine(look_around(url), config, can_start=True)
    assert check.status == "failure" and re.search(shown, check.found) and "hush" not in check.found


def test_an_endpoint_that_answers_is_all_that_an_engine_needs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        seen = look_around(url)
    config = Recipe.parse({"engine": {"endpoint": url}}).engine
    (check,) = executor._examine_engine(seen, config, can_start=False)
    assert (check.status, check.found) == ("ok", f"remote, at {url}")


def test_a_gpu_that_is_asked_for_and_not_there_is_a_failure() -> None:
    seen = {"gpus": [], "device": "cuda", "host": "h"}
    assert executor._examine_device(seen, "cuda").status == "failure"
    assert executor._examine_device(seen | {"gpus": ["NVIDIA H100, 81559 MiB"]}, "auto").found.startswith("NVIDIA")


@pytest.mark.parametrize(
    ("name", "refuses", "status"),
    [
        (None, True, "ok"),
        ("io.delta.storage.S3SingleDriverLogStore", True, "warning"),
        (S3_LOG_STORE, True, "ok"),
        (S3_LOG_STORE, False, "failure"),
        ("io.delta.storage.S3DynamoDBLogStore", False, "ok"),
    ],
)
def test_a_log_store_of_one_driver_is_a_warning_and_one_that_does_not_work_a_failure(
    name: str | None, refuses: bool, status: str
) -> None:
    setting = "spark.delta.logStore.s3a.impl"
    found = LogStore(name, setting, is_safe=name != "io.delta.storage.S3SingleDriverLogStore") if name else None
    check = judge_log_store(found, lambda: refuses)
    assert check.status == status and bool(check.change) == (status != "ok")
