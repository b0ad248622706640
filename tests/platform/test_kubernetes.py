"""conf/kubernetes against Kubernetes' schemas and the operator's, and what Spark's own Kubernetes client makes of it."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cluster import BIN, REPOSITORY, make_environment
from fake_kubernetes import FakeKubernetes, run_fake_kubernetes
from kubeflow_spark_api.models import SparkV1beta2ScheduledSparkApplication, SparkV1beta2SparkApplication
from pydantic import ValidationError

from prox_spark.config import Recipe

pytestmark = pytest.mark.platform

FOLDER = REPOSITORY / "conf" / "kubernetes"
DOCKERFILE = (REPOSITORY / "conf" / "docker" / "Dockerfile").read_text()
KUBERNETES = "1.34"
MODELS = {
    "SparkApplication": SparkV1beta2SparkApplication,
    "ScheduledSparkApplication": SparkV1beta2ScheduledSparkApplication,
}
# Makes a context as a driver does, and stops it when the executors that its settings ask for have been asked for.
DRIVER = """
import json, sys, urllib.request
from pyspark import SparkContext
from waiting import wait_until

def n_pods():
    with urllib.request.urlopen(f"{sys.argv[1]}/api/v1/namespaces/prox/pods") as answer:
        return len(json.load(answer)["items"])

context = SparkContext()
wait_until(lambda: n_pods() == 2, "the driver asks for its executors", 60)
context.stop()
"""


def read(name: str) -> list[dict[str, Any]]:
    """Read the objects of a file."""
    return [*yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))]


OBJECTS = [(path.name, part) for path in sorted(FOLDER.glob("*.yaml")) for part in read(path.name)]
APPLICATIONS = [(name, part) for name, part in OBJECTS if part["kind"] in MODELS]
PLAIN = [(name, part) for name, part in OBJECTS if part["kind"] not in MODELS]


def name_object(value: Any) -> str | None:
    return f"{value['kind']} {value['metadata'].get('name', '')}" if isinstance(value, dict) else None


def get_spec(application: Mapping[str, Any]) -> dict[str, Any]:
    """Return the specification of an application, or of those that a schedule makes."""
    spec = application["spec"]
    return spec["template"] if application["kind"] == "ScheduledSparkApplication" else spec  # type: ignore[no-any-return]


def find_unknown(given: Any, kept: Any, path: str = "") -> list[str]:
    """Return the paths of what a model has not kept, because it knows no such field."""
    if isinstance(given, dict) and isinstance(kept, dict):
        missing = [f"{path}.{key}" for key in given if key not in kept]
        return missing + [
            word for key in given if key in kept for word in find_unknown(given[key], kept[key], f"{path}.{key}")
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [
            word for i, pair in enumerate(zip(given, kept, strict=True)) for word in find_unknown(*pair, f"{path}[{i}]")
        ]
    return [] if given == kept else [f"{path}: {given!r} became {kept!r}"]


def check_application(application: dict[str, Any]) -> list[str]:
    model = MODELS[application["kind"]].from_dict(application)
    assert model is not None
    return find_unknown(application, model.to_dict())


@pytest.mark.parametrize(("name", "part"), PLAIN, ids=name_object)
def test_objects_fit_the_schemas_of_kubernetes(name: str, part: dict[str, Any]) -> None:
    assert kubernetes_validate.validate(part, KUBERNETES, strict=True).startswith(KUBERNETES)


@pytest.mark.parametrize(("name", "part"), APPLICATIONS, ids=name_object)
def test_applications_fit_the_operator_s_definition(name: str, part: dict[str, Any]) -> None:
    assert check_application(part) == []


@pytest.mark.parametrize(("name", "part"), APPLICATIONS, ids=name_object)
@pytest.mark.parametrize("role", ["driver", "executor"])
def test_pod_templates_of_applications_fit_the_schemas_of_kubernetes(
    name: str, part: dict[str, Any], role: str
) -> None:
    template = get_spec(part)[role]["template"]
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **template}, KUBERNETES, strict=True)


def test_a_field_that_the_operator_does_not_know_is_found() -> None:
    (application,) = read("refine.yaml")
    application["spec"]["executor"]["gpus"] = 1
    application["spec"]["executor"]["template"]["spec"]["tolerations"][0]["operater"] = "Exists"
    path = ".spec.executor.template.spec.tolerations[0].operater"
    assert sorted(check_application(application)) == [".spec.executor.gpus", path]
    application["spec"]["executor"]["cores"] = "many"
    with pytest.raises(ValidationError):
        check_application(application)


@pytest.mark.parametrize(("name", "part"), APPLICATIONS, ids=name_object)
def test_arguments_make_a_recipe(name: str, part: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = get_spec(part)
    job = find_in_repository(spec["mainApplicationFile"].removeprefix("local://"))
    command = importlib.import_module(f"prox_spark.commands.{job.stem}")
    seen: list[Recipe] = []

    @contextmanager
    def stop(recipe: Recipe) -> Iterator[None]:
        seen.append(recipe)
        raise StopIteration
        yield

    def run_only(run: Any, debug: bool) -> int:
        with pytest.raises((StopIteration, RuntimeError)):
            run()
        return 0

    monkeypatch.setattr(command, "spark_session", stop)
    monkeypatch.setattr(command, "run_command", run_only)
    arguments = [str(find_in_repository(word)) if word.startswith("/opt/") else word for word in spec["arguments"]]
    assert command.main(arguments) == 0
    assert [recipe.lake.root for recipe in seen] == ["s3a://your-bucket/your-lake"]


def find_in_repository(path: str) -> Path:
    """Return the file of the repository that lies at a path of the image."""
    found = re.fullmatch(r"/opt/prox-spark/((?:jobs|conf)/.+)", path)
    assert found, path
    return REPOSITORY / found[1]


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_paths_in_the_image_are_those_of_the_dockerfile(file: Path) -> None:
    assert "COPY jobs /opt/prox-spark/jobs" in DOCKERFILE and re.search(
        r"ln -s .* /opt/prox-spark/conf$", DOCKERFILE, re.M
    )
    text = file.read_text(encoding="utf-8")
    for path in re.findall(r"/opt/prox-spark/[\w./-]+", text):
        assert find_in_repository(path).is_file()
    if "/var/cache" in text:
        assert set(re.findall(r"/var/cache/[\w-]+", text)) == set(re.findall(r"PROX_SPARK_CACHE=(\S+)", DOCKERFILE))
    for user in re.findall(r"runAsUser: (\d+)", text):
        assert f"USER {user}\n" in DOCKERFILE


def find_pods(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the specifications of the pods that an object describes."""
    if part["kind"] in MODELS:
        return [get_spec(part)[role]["template"]["spec"] for role in ("driver", "executor")]
    return [part["spec"]] if part["kind"] == "Pod" else []


@pytest.mark.parametrize(("name", "part"), OBJECTS, ids=name_object)
def test_pods_that_read_models_of_the_hub_have_its_login(name: str, part: dict[str, Any]) -> None:
    for pod in find_pods(part):
        (container,) = pod["containers"]
        caches = [mount for mount in container.get("volumeMounts", []) if mount["name"] == "cache"]
        assert [variable["name"] for variable in container.get("env", [])] == ["HF_TOKEN"] * len(caches)


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_files_name_files_that_are_there(file: Path) -> None:
    for name in re.findall(r"[\w-]+\.(?:conf|yaml)\b", file.read_text(encoding="utf-8")):
        assert (FOLDER / name).is_file() or [*REPOSITORY.glob(f"conf/recipes/{name}")]


def read_settings(name: str) -> dict[str, str]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("job", ["ingest", "refine"])
def test_operator_spark_submit_and_schedule_ask_for_the_same(job: str) -> None:
    (application,), settings = read(f"{job}.yaml"), read_settings(f"{job}.conf")
    spec = application["spec"]
    assert [get_spec(part) for part in read("nightly.yaml") if job in part["metadata"]["name"]] == [spec]
    for role in ("driver", "executor"):
        (pod,) = read(Path(settings[f"spark.kubernetes.{role}.podTemplateFile"]).name)
        assert {key: pod[key]["labels"] if key == "metadata" else pod[key] for key in ("metadata", "spec")} == {
            "metadata": spec[role]["template"]["metadata"]["labels"],
            "spec": spec[role]["template"]["spec"],
        }
        for field in ("cores", "memory", "memoryOverhead", "instances"):
            assert settings.get(f"spark.{role}.{field}") == (str(spec[role][field]) if field in spec[role] else None)
    assert spec["sparkConf"].items() <= settings.items()
    assert {f"spark.hadoop.{key}": value for key, value in spec["hadoopConf"].items()}.items() <= settings.items()
    assert settings["spark.kubernetes.container.image"] == spec["image"]


@contextmanager
def submit(*words: str | Path, **variables: str) -> Iterator[FakeKubernetes]:
    """Submit to a FAKE API server, as a user would from the root of a checkout, and yield what it was asked for."""
    with run_fake_kubernetes() as api:
        settings = {"spark.kubernetes.submission.waitAppCompletion": "false", "spark.ui.enabled": "false"}
        options = [word for pair in settings.items() for word in ("--conf", "=".join(pair))]
        command = [
            BIN / "spark-submit",
            "--master",
            f"k8s://{api.url}",
            *options,
            *(str(word).format(api.url) for word in words),
        ]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=make_environment(**variables), capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr[-4000:]
        yield api


def test_spark_makes_the_driver_s_pod_of_the_template() -> None:
    job = "local:///opt/prox-spark/jobs/refine.py"
    properties = ("--deploy-mode", "cluster", "--properties-file", "conf/kubernetes/refine.conf")
    with submit(*properties, job, "--lake", "s3a://bucket/lake") as api:
        (pod,) = api.made("pods")
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    assert pod["spec"]["serviceAccountName"] == "prox-spark"
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example.com/prox-spark:0.1.0-gpu"
    assert container["args"][-3:] == [job, "--lake", "s3a://bucket/lake"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert {"name": "cache", "mountPath": "/var/cache/prox-spark"} in container["volumeMounts"]
    # The driver gets the executors' template by a config map.
    (carried,) = [
        made["data"]["podspec-configmap-key"]
        for made in api.made("configmaps")
        if "podspec-configmap-key" in made["data"]
    ]
    assert yaml.safe_load(carried) == read("executor-gpu-pod.yaml")[0]


def test_a_driver_asks_for_executors_with_a_gpu_and_needs_no_more_rights_than_it_has(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    words = (
        "--properties-file",
        "conf/kubernetes/refine.conf",
        "--conf",
        "spark.driver.memory=512m",
        tmp_path / "driver.py",
        "{}",
    )
    with submit(*words, PYTHONPATH=str(REPOSITORY / "tests" / "support")) as api:
        pods = api.made("pods")
    assert len(pods) == 2
    for pod in pods:
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        (container,) = pod["spec"]["containers"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": "1", "memory": f"{48 * 1024}Mi"}
        assert container["resources"]["requests"]["cpu"] == "8"
        assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
        assert [
            variable["name"] for variable in container["env"] if "secretKeyRef" in variable.get("valueFrom", {})
        ] == ["HF_TOKEN"]
        assert pod["spec"]["tolerations"] and pod["spec"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    (role,) = [part for part in read("access.yaml") if part["kind"] == "Role"]
    granted = {(verb, kind) for rule in role["rules"] for verb in rule["verbs"] for kind in rule["resources"]}
    assert {("create", "pods"), ("create", "configmaps")} <= api.asked <= granted
