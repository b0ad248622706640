"""`make package` on a cluster without pip: nothing of the project on any path but the archive that spark-submit is given."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import psutil
import pyspark
import pytest
import yaml
from cluster import FAKE_ENGINE, MARK, REPOSITORY, Cluster, find_marked, find_supervisors, standalone, start_job
from short_runs import FEW_PARTITIONS, JAVA_OPTIONS
from tiny_tokenizer import bytes_json
from waiting import wait_until
from weightless import write_weightless

from prox_spark.demo import PAGES

pytestmark = pytest.mark.platform

BASE_PYTHON = Path(os.path.realpath(sys.executable))
SPARK_HOME = Path(pyspark.__file__).parent
N_PAGES = 12
TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 100},
    "chunk": {"template": "plain", "max_chunk_tokens": 600, "max_line_tokens": 200, "max_answer_tokens": 50},
}


@dataclass(frozen=True)
class Package:
    """What `conf/package.sh` made, and what it said."""

    folder: Path
    said: str
    unpacked: Path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package of this checkout, with the FAKE engine installed in its environment where `EXTRAS=gpu` would put vLLM."""
    folder = tmp_path_factory.mktemp("package")
    dist, unpacked = folder / "dist", folder / "driver"
    # Relative, as a user names it, and with a space.
    named = folder / "my dist"
    variables = {
        "VENV": sys.prefix,
        "PYTHON": str(BASE_PYTHON),
        "WITH": str(build_fake_vllm(folder)),
        "DIST": os.path.relpath(named, REPOSITORY),
    }
    # Another version than the checkout's pin, as another Spark needs it.
    said = run_script(**variables, EXTRAS="", DELTA="4.3.1")
    assert said.returncode == 0, said.stderr
    named.rename(dist)
    unpacked.mkdir()
    with tarfile.open(dist / "env.tar.gz") as archive:
        archive.extractall(unpacked, filter="fully_trusted")  # it links to the base Python
    return Package(dist, said.stdout, unpacked)


def run_script(**variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(REPOSITORY / "conf" / "package.sh")]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=400)


def build_fake_vllm(folder: Path) -> Path:
    """Build a wheel with the FAKE engine under the name `vllm`, and with a module that only says that it is installed."""
    source = folder / "fake"
    shutil.copytree(FAKE_ENGINE, source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "vllm_marker.py").touch()
    words = "name='fake-vllm', version='0', packages=['vllm'], py_modules=['vllm_marker']"
    (source / "setup.py").write_text(f"from setuptools import setup\nsetup({words})\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        source,
    ]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare() -> dict[str, str]:
    """The environment of hosts that have Java, Spark and the base Python, and nothing of this project."""
    java = Path(shutil.which("java") or "java").parent
    variables = {"PATH": f"{java}:/usr/bin:/bin", "HOME": os.environ["HOME"], "SPARK_HOME": str(SPARK_HOME)}
    return variables | MARK | {"SPARK_LOCAL_IP": "127.0.0.1", "JAVA_TOOL_OPTIONS": JAVA_OPTIONS}


@pytest.fixture(scope="module")
def cluster_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(bare: dict[str, str], cluster_folder: Path) -> Iterator[Cluster]:
    with standalone(cluster_folder, [{}], 2, bare) as running:
        yield running


@dataclass(frozen=True)
class Seen:
    """An engine's interpreter, and the path on which it finds modules: that of the Python worker that started it."""

    python: str
    path: list[str]


@dataclass(frozen=True)
class Submitter:
    """A user who submits jobs of the package to the cluster."""

    package: Package
    cluster: Cluster
    env: dict[str, str]
    folder: Path
    work: Path

    def submit(self, job: Path, *arguments: str) -> tuple[str, list[Seen]]:
        """Run a job to its end, and remove the folder of its executor as YARN does. Return its output and its engines."""
        settings = {
            "spark.pyspark.python": "./env/bin/python",
            "spark.pyspark.driver.python": str(self.package.unpacked / "bin" / "python"),
            "spark.executor.memory": "1g",
            "spark.ui.enabled": "false",
            **FEW_PARTITIONS,
        }
        options = [part for pair in settings.items() for part in ("--conf", "=".join(pair))]
        archive = f"{self.package.folder / 'env.tar.gz'}#env"
        submit = [SPARK_HOME / "bin" / "spark-submit", "--master", self.cluster.url, "--archives", archive, *options]
        running = start_job([*submit, job, *arguments], self.folder, self.env)
        engines: dict[int, Seen] = {}

        def has_ended() -> bool:
            for engine in find_supervisors():
                with contextlib.suppress(psutil.NoSuchProcess):
                    path = engine.environ()["PYTHONPATH"].split(os.pathsep)
                    engines[engine.pid] = Seen(engine.cmdline()[0], path)
            return running.process.poll() is not None

        wait_until(has_ended, f"{job.name} ends", 900)
        printed = running.wait_for_end()
        for folder in self.work.glob("app-*"):
            shutil.rmtree(folder)
        return printed, list(engines.values())


@pytest.fixture
def user(package: Package, cluster: Cluster, bare: dict[str, str], cluster_folder: Path, tmp_path: Path) -> Submitter:
    return Submitter(package, cluster, bare, tmp_path, cluster_folder / "work-0")


def write_recipe(folder: Path) -> str:
    refiner = write_weightless(folder / "refiner", context_tokens=1024, tasks=TASKS)
    (folder / "refiner" / "tokenizer.json").write_text(bytes_json())
    parts: dict[str, Any] = {"lake": {"root": str(folder / "lake")}, "self_test": {"enabled": False}}
    parts |= {"refiners": {"doc": refiner, "chunk": refiner}, "engine": {"device": "cpu"}, "name": "packaged"}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(parts))
    return str(folder / "recipe.yaml")


def test_a_lake_is_made_by_the_jobs_of_the_package(user: Submitter, tmp_path: Path) -> None:
    pages, recipe, jobs = tmp_path / "pages.jsonl", write_recipe(tmp_path), user.package.folder / "jobs"
    pages.write_bytes(b"\n".join(PAGES.read_bytes().splitlines()[:N_PAGES]) + b"\n")
    ingested, _ = user.submit(jobs / "ingest.py", str(pages), "--recipe", recipe)
    assert re.search(rf"{N_PAGES} new", ingested)

    refined, engines = user.submit(jobs / "refine.py", "--recipe", recipe)
    assert re.search(rf"refine: {N_PAGES} of {N_PAGES} documents .*1 engine start", refined)
    # The engine is started from the worker's own environment, which lies in the folder of the executor and has gone with it.
    assert len(engines) == 1
    for engine in engines:
        environment = Path(engine.python).parents[1]
        assert environment.is_relative_to(user.work) and environment.name == "env"
        # `.`, which Spark adds, is the engine's own folder there.
        places = (user.work, SPARK_HOME, BASE_PYTHON.parents[1])
        absolute = [path for path in engine.path if Path(path).is_absolute()]
        assert [path for path in absolute if not any(Path(path).is_relative_to(place) for place in places)] == []
    wait_until(lambda: not find_marked(but=user.cluster.daemons), "no engine outlives its executor", 15)
    before = read_statuses(tmp_path / "lake")
    decided = {doc_id for doc_id, status in before.items() if status in ("kept_unchanged", "edited", "dropped_doc")}
    assert len(before) == N_PAGES and len(decided) > N_PAGES / 2 and len(set(before.values())) > 1

    _, engines = user.submit(jobs / "apply.py", "--recipe", recipe, "--set", "apply.drop_threshold=0.0")
    assert engines == []
    after = read_statuses(tmp_path / "lake")
    assert after == {doc_id: "dropped_doc" if doc_id in decided else status for doc_id, status in before.items()}


def read_statuses(lake: Path) -> dict[str, str]:
    """Read the status of each document."""
    rows = deltalake.DeltaTable(str(lake / "refined")).to_pyarrow_table(columns=["doc_id", "status"]).to_pylist()
    return {row["doc_id"]: row["status"] for row in rows}


def test_the_environment_has_its_commands_and_configuration_wherever_it_lies(package: Package, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    package.unpacked.joinpath("bin", "python").resolve(strict=True)
    moved.symlink_to(package.unpacked)
    environment = {"PATH": f"{moved}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}

    def run(*command: str) -> str:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert re.match(r"prox-spark \d", run("prox-spark", "--version"))
    assert "fineweb-edu" in run("prox-spark", "corpora")
    assert list(package.unpacked.glob("lib/python3.*/site-packages/prox_spark/conf/recipes/gpu.yaml"))
    script = next(package.unpacked.glob("lib/python3.*/site-packages/prox_spark/conf/discover_gpus.sh"))
    assert os.access(script, os.X_OK)


def test_it_says_what_it_built_and_how_to_submit_it(package: Package) -> None:
    assert re.search(r"prox_spark-.+\.whl \(\d", package.said)
    assert f"every host needs the base Python {BASE_PYTHON}" in package.said
    commands = re.findall(r"^ +(spark-submit .+?) …$", package.said.replace("\\\n", ""), re.MULTILINE)
    assert len(commands) == 2
    for words in map(shlex.split, commands):
        assert Path(words[words.index("--archives") + 1]).parts[-2:] == ("my dist", "env.tar.gz#env")
        assert "spark.pyspark.python=./env/bin/python" in words
        assert Path(words[words.index("--lake") - 1]).parts[-3:] == ("my dist", "jobs", "refine.py")
    jobs = {job.name for job in (package.folder / "jobs").iterdir()}
    assert jobs == {job.name for job in (REPOSITORY / "jobs").glob("*.py")}


def test_bytecode_in_it_is_used_whatever_the_times_of_the_files(package: Package) -> None:
    (compiled,) = package.unpacked.glob("lib/python3.*/site-packages/prox_spark/__pycache__/cli.*.pyc")
    # PEP 552: 1 is by hash, and 2 that the hash is to be checked.
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 1


def test_a_python_that_is_too_old_or_missing_is_refused_by_name(tmp_path: Path) -> None:
    refused = run_script(VENV=sys.prefix, PYTHON="/nowhere/python3.9", DIST=str(tmp_path / "dist"))
    assert refused.returncode == 1
    assert "PYTHON=/nowhere/python3.9 is no Python 3.11 to 3.13" in refused.stderr


def test_an_extra_that_is_none_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    refused = run_script(VENV=sys.prefix, PYTHON=str(BASE_PYTHON), EXTRAS="gpus,warc", DIST=str(tmp_path / "dist"))
    assert refused.returncode == 1 and not (tmp_path / "dist").exists()
    assert "EXTRAS=gpus,warc: name extras of setup.py, such as EXTRAS=gpu,warc" in refused.stderr
