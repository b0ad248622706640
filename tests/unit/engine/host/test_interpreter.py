from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import prox_spark
from prox_spark.engine.host.interpreter import find_engine_python, has_own_environment, isolate
from prox_spark.errors import EngineStartError

pytestmark = pytest.mark.unit


def test_engines_run_in_the_workers_python_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROX_SPARK_ENGINE_PYTHON", raising=False)
    assert find_engine_python() == sys.executable and not has_own_environment()
    monkeypatch.setenv("PROX_SPARK_ENGINE_PYTHON", "/bin/sh")
    assert find_engine_python() == "/bin/sh" and has_own_environment()


def test_a_python_of_an_unpacked_archive_is_found_from_the_engines_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "engine").symlink_to(Path(sys.executable).parent)  # --archives engine.tar.gz#engine
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROX_SPARK_ENGINE_PYTHON", "./engine/python")
    assert find_engine_python() == str(tmp_path / "engine" / "python")


def test_a_python_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROX_SPARK_ENGINE_PYTHON", str(tmp_path / "python"))
    with pytest.raises(EngineStartError, match=r"PROX_SPARK_ENGINE_PYTHON is .*/python.* on every executor") as failure:
        find_engine_python()
    assert failure.value.is_final


def test_an_engine_imports_prox_spark_from_the_worker_and_nothing_else(tmp_path: Path) -> None:
    of_the_worker = {"PYTHONPATH": "/worker/site-packages", "PYTHONHOME": "/worker", "OPENSSL_FORCE_FIPS_MODE": "1"}
    environment = of_the_worker | {"HOME": str(tmp_path)}
    isolate(environment, tmp_path)
    isolate(environment, tmp_path)  # A second start in the same directory.
    assert environment == {"PYTHONPATH": str(tmp_path / "package"), "HOME": str(tmp_path)}
    assert os.listdir(tmp_path / "package") == ["prox_spark"]
    code = "import prox_spark.udfs, sys; print(prox_spark.__file__, *sys.path, sep='\\n')"
    command = [sys.executable, "-S", "-c", code]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert Path(said[0]).resolve() == Path(prox_spark.__file__).resolve()
    assert "/worker/site-packages" not in said


def test_an_archive_of_the_package_is_the_path_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prox_spark, "__file__", "/local/prox_spark.zip/prox_spark/__init__.py")
    environment: dict[str, str] = {}
    isolate(environment, tmp_path)
    assert environment == {"PYTHONPATH": "/local/prox_spark.zip"}
