"""The Databricks bundle: what can be held without a workspace. docs/platforms/databricks.md says what was never run there."""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from fnmatch import fnmatch
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsonschema
import nbformat
import pytest
import yaml
from bundle import DATABRICKS, REPOSITORY, find_references, load_bundle
from databricks.bundles.clusters import Cluster
from databricks.bundles.jobs import ClusterSpec, InitScriptInfo, Job
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume

from prox_spark import cli
from prox_spark.config import Recipe
from prox_spark.demo import PAGES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.platform

TARGETS = {"dev": {"gpu_policy": "0123"}, "prod": {"gpu_policy": "0123", "run_as": "app", "notify": "ops@example.org"}}
POLICY = json.loads((DATABRICKS / "policy.json").read_text(encoding="utf-8"))
INIT = DATABRICKS / "init_engine.sh"
PARAMETER = re.compile(r"\{\{job\.parameters\.(\w+)\}\}")
PARTS = {
    "fixed": {"value"},
    "allowlist": {"values"},
    "blocklist": {"values"},
    "regex": {"pattern"},
    "range": {"minValue", "maxValue"},
    "unlimited": set(),
    "forbidden": set(),
}
# Not of the cluster itself: https://docs.databricks.com/aws/en/admin/clusters/policy-definition, virtual attribute paths.
VIRTUAL = {"cluster_type", "dbus_per_hour"}


@pytest.fixture(params=TARGETS, ids=list(TARGETS))
def bundle(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load_bundle(request.param, **TARGETS[request.param])


def tasks_of(bundle: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for job in bundle["resources"]["jobs"].values():
        for task in job["tasks"]:
            yield job, task


def command_of(job: dict[str, Any], task: dict[str, Any], **values: str) -> list[str]:
    """The words of a task with the parameters of a run put in, as Databricks does it."""
    defaults = {parameter["name"]: parameter["default"] for parameter in job["parameters"]} | values
    return [PARAMETER.sub(lambda m: defaults[m[1]], word) for word in task["python_wheel_task"]["parameters"]]


def fields_of(model: type) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(model)}


# The bundle itself


def test_resources_are_what_databricks_own_models_take(bundle: dict[str, Any]) -> None:
    models = {"jobs": Job, "schemas": Schema, "volumes": Volume}
    for kind, resources in bundle["resources"].items():
        for resource in resources.values():
            models[kind].from_dict(resource)  # It refuses fields that it does not know.


def test_the_models_refuse_a_field_that_is_wrong(bundle: dict[str, Any]) -> None:
    job = bundle["resources"]["jobs"]["refine"]
    job["tasks"][0]["max_retry"] = job["tasks"][0].pop("max_retries")
    with pytest.raises(ValueError, match="max_retry"):
        Job.from_dict(job)


def test_every_reference_names_something(bundle: dict[str, Any]) -> None:
    assert find_references(bundle) == set()


@pytest.mark.parametrize("variable", ["run_as", "notify"])
def test_production_needs_an_owner_and_an_address(variable: str) -> None:
    given = {name: value for name, value in TARGETS["prod"].items() if name != variable}
    with pytest.raises(KeyError, match=variable):
        load_bundle("prod", **given)


def test_the_bundle_fits_the_schema_of_the_command_line() -> None:
    """`databricks bundle schema`, where that is installed, or a file of it in PROX_SPARK_BUNDLE_SCHEMA."""
    file = os.environ.get("PROX_SPARK_BUNDLE_SCHEMA")
    if not file and not shutil.which("databricks"):
        pytest.skip("there is no databricks command and PROX_SPARK_BUNDLE_SCHEMA is not set")
    command = ["databricks", "bundle", "schema"]
    text = (
        Path(file).read_text() if file else subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    # Python's regular expressions have no Unicode classes; none of our names needs it.
    text = text.replace(r"[\\p{L}\\p{N}]", "[A-Za-z0-9]").replace(r"\\p{L}", "[A-Za-z]")
    validator = jsonschema.Draft202012Validator(json.loads(text))
    for path in (DATABRICKS / "databricks.yml", *(DATABRICKS / "resources").glob("*.yml")):
        errors = [f"{path.name} {error.json_path}" for error in validator.iter_errors(yaml.safe_load(path.read_text()))]
        assert errors == []


def test_files_that_the_bundle_names_are_there(bundle: dict[str, Any]) -> None:
    wheels = {library["whl"] for _, task in tasks_of(bundle) for library in task.get("libraries", [])}
    environments = [e for job in bundle["resources"]["jobs"].values() for e in job.get("environments", [])]
    wheels |= {file for environment in environments for file in environment["spec"]["dependencies"]}
    version = importlib.metadata.version("prox-spark")
    built = str(REPOSITORY / "dist" / f"prox_spark-{version}-py3-none-any.whl")
    assert wheels and all(fnmatch(built, wheel) for wheel in wheels)
    assert "--wheel-dir dist" in bundle["artifacts"]["wheel"]["build"]
    assert (DATABRICKS / bundle["artifacts"]["wheel"]["path"]).resolve() == REPOSITORY
    recipes = {
        p["default"] for job in bundle["resources"]["jobs"].values() for p in job["parameters"] if p["name"] == "recipe"
    }
    assert {Path(recipe).name for recipe in recipes} == {"recipe.yml"} and (DATABRICKS / "recipe.yml").exists()


def test_tasks_name_clusters_and_environments_of_their_job(bundle: dict[str, Any]) -> None:
    for job, task in tasks_of(bundle):
        clusters = {cluster["job_cluster_key"] for cluster in job.get("job_clusters", [])}
        environments = {environment["environment_key"] for environment in job.get("environments", [])}
        assert task.get("job_cluster_key") in clusters or task.get("environment_key") in environments
        assert {before["task_key"] for before in task.get("depends_on", [])} <= {t["task_key"] for t in job["tasks"]}


def test_a_failure_is_a_failure_of_the_run_and_is_told(bundle: dict[str, Any]) -> None:
    for job, task in tasks_of(bundle):
        # A run is judged by its last tasks: one that runs after failures hides them.
        assert task.get("run_if", "ALL_SUCCESS") == "ALL_SUCCESS"
        assert all("@" in address for address in job["email_notifications"]["on_failure"])


def test_nobody_but_the_owner_starts_runs(bundle: dict[str, Any]) -> None:
    levels = {grant["level"] for job in bundle["resources"]["jobs"].values() for grant in job["permissions"]}
    assert levels == {"CAN_VIEW"}


def test_nobody_else_may_change_what_runs_in_production() -> None:
    # Everyone in a workspace may write to /Workspace/Shared.
    workspace = load_bundle("prod", **TARGETS["prod"])["target"]["workspace"]
    assert workspace["root_path"] == "/Workspace/Users/app/.bundle/prox_spark/prod"


def test_the_schedule_runs_in_production_alone() -> None:
    states = {target: load_bundle(target, **given)["resources"]["jobs"]["refine"] for target, given in TARGETS.items()}
    assert {target: job["schedule"]["pause_status"] for target, job in states.items()} == {
        "dev": "PAUSED",
        "prod": "UNPAUSED",
    }
    assert all(job["max_concurrent_runs"] == 1 and job["queue"]["enabled"] for job in states.values())


def test_nothing_of_the_bundle_is_in_the_wheel() -> None:
    """`conf` is a package with data; its patterns take neither the bundle nor its policy."""
    patterns = re.findall(r'"prox_spark\.conf": \[(.+)\]', (REPOSITORY / "setup.py").read_text())[0]
    files = [str(path.relative_to(REPOSITORY / "conf")) for path in DATABRICKS.rglob("*") if path.is_file()]
    assert [
        file
        for file in files
        for pattern in re.findall(r'"(.+?)"', patterns)
        if Path(file).match(pattern) and file.count("/") == pattern.count("/")
    ] == []


# The commands


def test_every_task_is_a_command_that_our_parser_takes(bundle: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATABRICKS)
    for job, task in tasks_of(bundle):
        name, *_ = words = command_of(job, task, recipe="recipe.yml")
        monkeypatch.setattr(import_module(f"prox_spark.commands.{name}"), "run_command", lambda *_, **__: 0)
        assert cli.main(words) == 0
        overrides = [value for option, value in pairwise(words) if option == "--set"]
        recipe = Recipe.load("recipe.yml", overrides=overrides)
        assert recipe.engine.device == "cuda" and recipe.apply.drop_threshold is None


def test_every_task_calls_the_entry_point_that_raises(bundle: dict[str, Any]) -> None:
    for _, task in tasks_of(bundle):
        wheel = task["python_wheel_task"]
        found = importlib.metadata.distribution(wheel["package_name"]).entry_points.select(name=wheel["entry_point"])
        assert [entry.value for entry in found] == ["prox_spark.cli:run_task"]


def call_as_databricks(
    job: dict[str, Any], task: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **values: str
) -> str:
    """Call a task as the wrapper of Databricks' command line does: the entry point as a function, its output in a buffer."""
    wheel = task["python_wheel_task"]
    entries = importlib.metadata.distribution(wheel["package_name"]).entry_points
    (entry,) = (entry for entry in entries if entry.name == wheel["entry_point"])
    monkeypatch.setattr(sys, "argv", [wheel["package_name"], *command_of(job, task, **values)])
    with redirect_stdout(io.StringIO()) as said:
        assert entry.load()() is None
    return said.getvalue()


def test_ingest_and_summary_run_in_the_session_that_is_there(
    spark: SparkSession, catalog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = load_bundle("dev", **TARGETS["dev"])["resources"]["jobs"]
    tasks = {task["task_key"]: task for task in jobs["refine"]["tasks"]}
    (tmp_path / "some.jsonl").write_bytes(b"\n".join(PAGES.read_bytes().splitlines()[:3]) + b"\n")
    values = {"catalog": catalog, "recipe": str(DATABRICKS / "recipe.yml"), "input": str(tmp_path / "*.jsonl")}
    assert "3 new" in call_as_databricks(jobs["refine"], tasks["ingest"], monkeypatch, **values)
    counts = call_as_databricks(jobs["refine"], tasks["summary"], monkeypatch, **values)
    assert re.search(r"runs\s+ingest succeeded\s+1", counts)
    with pytest.raises(cli.TaskError, match="apply ended with exit status 2"):
        call_as_databricks(jobs["apply"], jobs["apply"]["tasks"][0], monkeypatch, **values | {"drop_threshold": "7"})
    assert spark.range(1).count() == 1
    look_at_tables(spark, catalog, monkeypatch)


# The notebook


def read_cells() -> list[str]:
    notebook = nbformat.read(DATABRICKS / "refine.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and not cell.source.startswith("%")]


def test_the_notebook_installs_what_a_variable_of_python_names() -> None:
    cells = [cell.source for cell in nbformat.read(DATABRICKS / "refine.ipynb", as_version=4).cells]
    (place,) = (number for number, cell in enumerate(cells) if cell.startswith("%pip"))
    # `$name` in a magic is a variable of the notebook; a widget of that name is none.
    (name,) = re.findall(r"\$(\w+)", cells[place])
    assert re.search(rf"^{name} = ", "\n".join(cells[:place]), re.MULTILINE)


def look_at_tables(spark: SparkSession, catalog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the cells of the notebook that need no engine; `display` collects the rows."""
    widgets = SimpleNamespace(text=lambda *_: None, get=lambda _: catalog)
    runtime = SimpleNamespace(spark=spark, dbutils=SimpleNamespace(widgets=widgets))
    monkeypatch.setitem(sys.modules, "databricks.sdk", SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", runtime)
    monkeypatch.chdir(DATABRICKS)
    shown: list[list[Any]] = []
    names: dict[str, Any] = {"display": lambda frame: shown.append(frame.collect())}
    for cell in read_cells():
        if "refined" not in {node.id for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)}:
            exec(compile(cell, "cell", "exec"), names)
    statuses, runs, reasons = shown
    assert (statuses, reasons) == ([], []) and [row["command"] for row in runs] == ["ingest"]


# The policy


def test_the_policy_holds_rules_over_attributes_that_clusters_have() -> None:
    attributes = fields_of(ClusterSpec) | fields_of(Cluster)
    for path, rule in POLICY.items():
        first, *rest = path.split(".")
        assert first in VIRTUAL or first in attributes, path
        if first == "init_scripts":
            assert rest[0].isdigit() and rest[1] in fields_of(InitScriptInfo), path
        assert PARTS[rule["type"]] <= rule.keys() - {"type"}, path
        assert rule.keys() <= {"type", "defaultValue", "isOptional", "hidden"} | PARTS[rule["type"]], path


def keeps(rule: Mapping[str, Any], value: Any) -> bool:
    if value is None:
        return bool(rule.get("isOptional"))
    kind = rule["type"]
    if kind == "range":
        return bool(rule["minValue"] <= value <= rule["maxValue"])
    checks = {
        "fixed": lambda: value == rule["value"],
        "allowlist": lambda: value in rule["values"],
        "regex": lambda: re.fullmatch(rule["pattern"], value),
    }
    return bool(checks[kind]())


def look_up(cluster: Mapping[str, Any], path: str) -> Any:
    first, _, rest = path.partition(".")
    if first in ("spark_conf", "spark_env_vars", "custom_tags"):
        return cluster.get(first, {}).get(rest)
    found: Any = cluster
    for part in path.split("."):
        found = found[int(part)] if isinstance(found, list) else (found or {}).get(part)
    return found


def test_the_gpu_cluster_keeps_the_policy(bundle: dict[str, Any]) -> None:
    (cluster,) = (
        cluster["new_cluster"]
        for cluster in bundle["resources"]["jobs"]["refine"]["job_clusters"]
        if cluster["job_cluster_key"] == "gpu"
    )
    assert [
        path for path, rule in POLICY.items() if path not in VIRTUAL and not keeps(rule, look_up(cluster, path))
    ] == []
    assert not keeps(POLICY["data_security_mode"], "USER_ISOLATION")


def test_the_share_of_the_gpu_is_that_of_a_core(bundle: dict[str, Any]) -> None:
    clusters = bundle["resources"]["jobs"]["refine"]["job_clusters"]
    (conf,) = (cluster["new_cluster"]["spark_conf"] for cluster in clusters if cluster["job_cluster_key"] == "gpu")
    share = float(conf["spark.task.resource.gpu.amount"])
    assert share * int(conf["spark.executor.cores"]) == 1.0


# The init script


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder of programs as a GPU node has them: nvidia-smi, and a Python whose pip brings a `uv` that writes down its calls."""
    programs = tmp_path / "bin"
    programs.mkdir()
    write_program(programs / "nvidia-smi", "printf '%s\\n' \"${DRIVER:-580.95.05}\" 580.95.05")
    uv = f"""
        printf 'uv %s | index %s fips %s\\n' "$*" "${{UV_DEFAULT_INDEX:-}}" "${{OPENSSL_FORCE_FIPS_MODE-unset}}" >> {tmp_path}/calls
        [ "$1" != venv ] || {{ mkdir -p "${{@: -1}}/bin"; cp {programs}/engine "${{@: -1}}/bin/python"; }}
    """
    write_program(programs / "uv", uv)
    write_program(programs / "engine", "echo init_engine.sh: vLLM and torch")
    base = f"""
        case "$1" in
            -m) mkdir -p "${{TOOLS:?}}/bin"; cp {programs}/uv "$TOOLS/bin/uv"; printf 'pip %s\\n' "$*" >> {tmp_path}/calls ;;
            -V) echo Python 3.10.12 ;;
            *) exit "${{IS_OLD:-0}}" ;;
        esac
    """
    write_program(programs / "python", base)
    return tmp_path


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\nset -eu\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def initialise(node: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    engine = node / "disk" / "engine"
    environment = {
        "PATH": f"{node / 'bin'}:/usr/bin:/bin",
        "PROX_SPARK_BASE_PYTHON": str(node / "bin" / "python"),
        "PROX_SPARK_ENGINE_PYTHON": str(engine / "bin" / "python"),
        "TOOLS": f"{engine}.tools",
    }
    return subprocess.run(["bash", INIT], env=environment | variables, capture_output=True, text=True, timeout=60)


def calls(node: Path) -> str:
    file = node / "calls"
    return file.read_text() if file.exists() else ""


def test_the_init_script_makes_an_environment_of_its_own(node: Path) -> None:
    done = initialise(node, PIP_INDEX_URL="https://index.example.org/simple", OPENSSL_FORCE_FIPS_MODE="1")
    assert done.returncode == 0, done.stderr
    pip, venv, install = calls(node).splitlines()
    assert re.search(rf"--no-deps --target {node}/disk/engine\.tools .*uv==", pip)
    assert venv.startswith(f"uv venv --quiet --clear --python {node}/bin/python {node}/disk/engine ")
    assert f"--python {node}/disk/engine/bin/python" in install and "vllm==0.32.0" in install
    assert "index https://index.example.org/simple fips unset" in install


def test_the_init_script_installs_once_and_again_for_other_versions(node: Path) -> None:
    initialise(node)
    first = calls(node)
    assert "is there" in initialise(node).stdout and calls(node) == first
    (node / "gpu.txt").write_text("torch==2.13.0\n")
    done = initialise(node, PROX_SPARK_ENGINE_CONSTRAINTS=str(node / "gpu.txt"))
    assert done.returncode == 0 and f"--constraint {node}/gpu.txt" in calls(node)[len(first) :]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DRIVER": "550.54.15"}, "driver is 550.54.15, and vLLM with CUDA 13 needs 580: take a newer runtime"),
        ({"IS_OLD": "1"}, "Python 3.11 or newer is needed, Python 3.10.12 is there"),
        ({"PROX_SPARK_BASE_PYTHON": "/nowhere"}, "there is no Python at /nowhere"),
        ({"PROX_SPARK_ENGINE_CONSTRAINTS": "/nowhere"}, "CONSTRAINTS is /nowhere, which can't be read"),
    ],
)
def test_the_init_script_says_what_to_change(node: Path, variables: dict[str, str], said: str) -> None:
    done = initialise(node, **variables)
    assert done.returncode == 1 and said in done.stderr and calls(node) == ""


def test_an_old_driver_may_have_nvidias_compatibility_package(node: Path) -> None:
    assert initialise(node, DRIVER="550.54.15", VLLM_ENABLE_CUDA_COMPATIBILITY="1").returncode == 0


def test_a_node_without_a_gpu_gets_nothing(node: Path) -> None:
    (node / "bin" / "nvidia-smi").unlink()
    done = initialise(node, DB_IS_DRIVER="TRUE")
    assert done.returncode == 0 and "nothing to install" in done.stdout and calls(node) == ""


def test_the_pins_of_the_init_script_are_those_of_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", lambda **words: given.update(words))
    monkeypatch.chdir(REPOSITORY)
    path = REPOSITORY / "setup.py"
    exec(compile(path.read_text(), str(path), "exec"), {"__file__": str(path), "__name__": "setup"})
    (packages,) = re.findall(r"PACKAGES=\((.*?)\n\)", INIT.read_text(), re.DOTALL)
    assert re.findall(r'"(.+?)"', packages) == [*given["extras_require"]["gpu"], *given["install_requires"]]
    (uv,) = re.findall(r'^UV="(.+)"$', INIT.read_text(), re.MULTILINE)
    assert uv in (REPOSITORY / "conf" / "requirements" / "cpu.txt").read_text().splitlines()


def test_the_gpu_cluster_tells_the_script_and_the_engine_the_same_place(bundle: dict[str, Any]) -> None:
    clusters = {c["job_cluster_key"]: c["new_cluster"] for c in bundle["resources"]["jobs"]["refine"]["job_clusters"]}
    (default,) = re.findall(r'engine="\$\{PROX_SPARK_ENGINE_PYTHON:-(.+)\}"', INIT.read_text())
    assert clusters["gpu"]["spark_env_vars"]["PROX_SPARK_ENGINE_PYTHON"] == default
    (script,) = (script["volumes"]["destination"] for script in clusters["gpu"]["init_scripts"])
    assert Path(script).name == INIT.name
