"""The wheel: one name in it, which no folder of a user can shadow and which shadows none of theirs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cluster import BIN, FAKE_ENGINE, REPOSITORY, make_environment
from short_runs import FEW_PARTITIONS

from prox_spark.demo import PAGES

pytestmark = pytest.mark.platform

PARTS = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "prox_spark", "udfs", "conf")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built in a copy as a zip archive of the repository is unpacked: with files in place of links."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    for link in (folder / "prox_spark").iterdir():
        if link.is_symlink():
            target = os.readlink(link)
            link.unlink()
            link.write_text(target)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(command, cwd=folder, check=True)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with what the wheel installs."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of a Spark shop: it has jobs and udfs of its own, which say so when they are imported."""
    for name in ("jobs", "udfs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise ImportError('the {name} of the shop was imported')\n")
    (tmp_path / "pages.jsonl").write_bytes(b"\n".join(PAGES.read_bytes().splitlines()[:3]) + b"\n")
    parts = {"input": {"paths": ["pages.jsonl"]}, "lake": {"root": "lake"}, "self_test": {"enabled": False}}
    engine = {"device": "cpu"}
    (tmp_path / "recipe.yaml").write_text(json.dumps({"name": "shop", **parts, "engine": engine}))
    return tmp_path


def run(shop: Path, path: list[str], *command: str | Path) -> str:
    environment = make_environment(PYTHONPATH=os.pathsep.join([*path, str(FAKE_ENGINE)]))
    done = subprocess.run([*command], cwd=shop, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_one_name_and_all_that_messages_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {re.sub(r"-.*\.dist-info$", "", name.split("/")[0]) for name in names} == {"prox_spark"}
    conf = ["discover_gpus.sh", "adapt/web-135m.yaml", "recipes/cpu.yaml", "recipes/gpu.yaml", "corpora/fineweb.yaml"]
    assert [name for name in conf if f"prox_spark/conf/{name}" not in names] == []
    assert "prox_spark/udfs/generate.py" in names and "prox_spark/demo/pages.jsonl" in names


def test_corpora_are_found_in_what_the_wheel_installs(shop: Path, installed: Path) -> None:
    assert "fineweb-edu" in run(shop, [str(installed)], sys.executable, "-m", "prox_spark.cli", "corpora")


@pytest.mark.parametrize("path", [[], ["."]], ids=["python -m", "PYTHONPATH=."])
def test_a_run_beside_folders_called_jobs_and_udfs(shop: Path, installed: Path, path: list[str]) -> None:
    def prox_spark(*arguments: str) -> str:
        command = (sys.executable, "-m", "prox_spark.cli", *arguments, "--recipe", "recipe.yaml")
        return run(shop, [*path, str(installed)], *command)

    assert re.search(r"3 new", prox_spark("ingest"))
    assert re.search(r"refine: 3 of 3 documents", prox_spark("refine"))


def test_spark_submit_beside_folders_called_jobs_and_udfs(shop: Path, installed: Path) -> None:
    settings = (part for pair in FEW_PARTITIONS.items() for part in ("--conf", "=".join(pair)))
    submit = [BIN / "spark-submit", "--master", "local[2]", *settings]

    def job(name: str) -> str:
        job = REPOSITORY / "jobs" / f"{name}.py"
        return run(shop, [".", str(installed)], *submit, job, "--recipe", "recipe.yaml")

    assert re.search(r"3 new", job("ingest"))
    assert re.search(r"refine: 3 of 3 documents", job("refine"))
