"""The doctor's checks that need no Spark session, and its command."""

from __future__ import annotations

import json
from pathlib import Path

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
        ({}, "Spark", "failure"),
    ],
)
def test_versions_that_do_not_fit_are_found(
    versions: dict[str, str], name: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "find_versions", lambda names: {key: versions[key] for key in names if key in versions})
    assert find(name).status == status


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


def test_an_endpoint_where_nothing_answers_is_a_failure() -> None:
    config = Recipe.parse({"engine": {"endpoint": "http://127.0.0.1:9/v1"}}).engine
    checks = [*executor._examine_engine({}, config, can_start=True)]
    assert [check.status for check in checks] == ["failure"] and "127.0.0.1:9" in checks[0].found


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
