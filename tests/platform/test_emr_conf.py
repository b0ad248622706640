"""The files of conf/emr: what boto3's models, IAM, our own parsers and bash say of them."""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.s3.models import s3_backends
from moto_emr import ACCOUNT, ROLE, MotoEmr, job_state, run_moto_emr, states
from prox_emr.arguments import RELEASE, STEPS, parse_arguments
from prox_emr.clients import send_once
from prox_emr.errors import SubmitError
from prox_emr.main import check_requests, main
from prox_emr.progress import format_seconds
from prox_emr.recipes import load_recipe
from prox_emr.requests import make_requests
from prox_emr.staging import Stage
from prox_emr.templates import FOLDER, fill

from prox_spark import cli
from prox_spark.commands.arguments import add_input_arguments, add_recipe_arguments, make_recipe
from prox_spark.config import Recipe

pytestmark = pytest.mark.platform

ROOT = Path(__file__).parents[2]
POLICIES = sorted((FOLDER / "iam").glob("*.json"))
STUBS = {
    "sudo": 'exec "$@"',
    "aws": 'cp "$WHEEL" "${@: -1}"',  # whatever it is that is fetched
    "dnf": 'echo "dnf $*" >> "$CALLS"; [ "$1 $2" != "install -y" ] || [ "$3" != nvidia-open ] || echo 580.95.05 > "$DRIVER"',
    "nvidia-smi": 'if [ -s "$DRIVER" ]; then cat "$DRIVER"; else echo "no devices were found"; exit 6; fi',
    "mountpoint": "exit 1",
    "mount": 'echo "mount $*" >> "$CALLS"',
    "modprobe": 'echo "modprobe $*" >> "$CALLS"',
    "python3.11": 'mkdir -p "$3/bin"; cp "$STUBS/env-python" "$3/bin/python"',
    "env-python": 'case "$1" in -m) echo "pip ${*: 4} index=${PIP_INDEX_URL:-}" >> "$CALLS" ;; -c) echo "$CONF" ;; esac',
}
# Vendor and class of devices, as the kernel has them.
NETWORK, DISPLAY, GPU = ("0x1d0f", "0x020000"), ("0x1d0f", "0x030000"), ("0x10de", "0x030200")


@pytest.fixture
def dist(tmp_path: Path) -> str:
    (tmp_path / "prox_spark-1.0-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "env.tar.gz").write_bytes(b"environment")
    return str(tmp_path)


def make(dist: str, *arguments: str) -> dict[str, Any]:
    """The requests of a command line, which uploads nothing."""
    args = parse_arguments(
        ["--stage", "s3://bucket/prox", "--dist", dist, "--input", "s3://bucket/crawl/*.jsonl.zst", *arguments]
    )
    recipe, words = load_recipe(args.recipe, args.set, args.lake, args.input)
    return make_requests(args, recipe, words, Stage(args.stage), "eu-west-1")


NEW = ["--create", "--subnet", "subnet-1", "--subnet", "subnet-2", "--instance-profile", "prox-spark-job"]
PLACES = {
    "new": NEW,
    "running": ["--cluster", "j-1"],
    "serverless": ["--create-application", "--role", ROLE, "--set", "engine.endpoint=https://llm.example.org/v1"],
}
GPU_RECIPE = ["--recipe", str(ROOT / "conf" / "recipes" / "gpu.yaml"), "--lake", "s3://bucket/lake"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("table", [[], ["--log-table", "prox_spark_delta_log"]], ids=["", "--log-table"])
def test_every_request_is_valid_by_boto3s_model(dist: str, place: str, table: list[str]) -> None:
    requests = make(dist, *STEPS, *PLACES[place], *GPU_RECIPE, *table)
    check_requests(requests)
    assert "${" not in json.dumps(requests)
    assert json.dumps(requests).count('"prox_spark_delta_log"') + json.dumps(requests).count(
        "=prox_spark_delta_log"
    ) == (3 if table else 0)


def test_an_edit_that_the_api_does_not_know_is_refused(dist: str) -> None:
    requests = make(dist, "refine", *NEW, *GPU_RECIPE)
    requests["RunJobFlow"]["Instances"]["InstanceFleets"][2]["TargetSpotCapacity"] = "two"
    requests["RunJobFlow"]["Logs"] = "s3://bucket"
    with pytest.raises(SubmitError, match=r"(?s)valid RunJobFlow.*Logs.*TargetSpotCapacity"):
        check_requests(requests)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "${nmae}"}', r"cluster.json names \$\{nmae\}"),
        ('{"name": }', r"cluster.json can't be read: Expecting"),
    ],
)
def test_an_edit_that_can_not_be_filled_in_is_told_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    import prox_emr.templates as templates

    (tmp_path / "cluster.json").write_text(text)
    monkeypatch.setattr(templates, "FOLDER", tmp_path)
    with pytest.raises(SubmitError, match=message):
        fill("cluster.json", name="nightly")


def test_steps_that_need_no_gpu_get_no_gpu_nodes(dist: str) -> None:
    request = make(dist, "ingest", "apply", *NEW, *GPU_RECIPE)["RunJobFlow"]
    assert [fleet["Name"] for fleet in request["Instances"]["InstanceFleets"]] == ["driver", "cpu"]


def job_words(requests: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each step with the arguments of its job."""
    for step, run in requests.get("StartJobRun", {}).items():
        yield step, run["jobDriver"]["sparkSubmit"]["entryPointArguments"]
    for step in requests.get("RunJobFlow", requests.get("AddJobFlowSteps", {})).get("Steps", []):
        words = step["HadoopJarStep"]["Args"]
        (place,) = (n for n, word in enumerate(words) if word.endswith(".py"))
        yield Path(words[place]).stem, words[place + 1 :]


@pytest.mark.parametrize("place", PLACES)
def test_the_jobs_take_their_arguments_and_make_the_same_recipe(
    dist: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(dist) / "recipe.yaml"
    file.write_text(
        "name: nightly 'crawl'\nlake: {root: s3://bucket/lake, partition_by: [source]}\nrefiners:\n"
        "spark: {conf: {spark.sql.shuffle.partitions: 400, spark.some.text: 'a: b'}}\n"
        "apply: {drop_threshold: 0.5}\nwaves: {documents: 200000}\ninput: {text_column: 'yes', paths: [s3://bucket/a b/*.jsonl]}\n"
    )
    requests = make(dist, *STEPS, *PLACES[place], "--recipe", str(file), "--set", "apply.drop_threshold=0.7")
    seen = dict(job_words(requests))
    assert list(seen) == list(STEPS)
    override = ["engine.endpoint=https://llm.example.org/v1"] if place == "serverless" else []
    expected = Recipe.load(file, overrides=["apply.drop_threshold=0.7", *override]).model_dump()
    for step, words in seen.items():
        parser = argparse.ArgumentParser()
        if step == "ingest":
            add_input_arguments(parser)
        add_recipe_arguments(parser)
        found = make_recipe(parser.parse_args(words)).model_dump()
        if step == "ingest":
            assert found["input"]["paths"].pop() == "s3://bucket/crawl/*.jsonl.zst"
        assert found == expected
        monkeypatch.setattr(import_module(f"prox_spark.commands.{step}"), "run_command", lambda *_, **__: 0)
        assert cli.main([step, *words]) == 0


def test_values_that_read_as_themselves_stand_without_quotes(dist: str) -> None:
    words = dict(job_words(make(dist, "refine", *NEW, *GPU_RECIPE)))["refine"]
    assert "refiners.doc=gair-prox/web-doc-refining-lm" in words and "waves.documents=200000" in words


def test_refining_alone_takes_gpus_and_no_more_than_there_are() -> None:
    settings = fill("steps.json")
    assert set(settings) == set(STEPS)
    gpu = {step: [key for key in of if "resource.gpu" in key] for step, of in settings.items()}
    assert gpu["ingest"] == gpu["apply"] == [] and len(gpu["refine"]) == 3
    refine = settings["refine"]
    share = float(refine["spark.task.resource.gpu.amount"])
    # As many tasks as cores fit on the GPU, and not one more.
    assert int(float(refine["spark.executor.resource.gpu.amount"]) / share) == int(refine["spark.executor.cores"])


def configuration(request: dict[str, Any], name: str) -> dict[str, str]:
    (found,) = (part for part in request["Configurations"] if part["Classification"] == name)
    return found["Properties"]  # type: ignore[no-any-return]


def test_bootstrap_and_cluster_agree_on_paths(dist: str) -> None:
    request = make(dist, "refine", *NEW, *GPU_RECIPE)["RunJobFlow"]
    script = (FOLDER / "bootstrap.sh").read_text()
    home, data, cgroups = (
        re.search(rf"\$\{{{name}:-(.*?)\}}", script)[1]  # type: ignore[index]
        for name in ("PROX_HOME", "PROX_DATA", "PROX_CGROUPS")
    )
    spark = configuration(request, "spark-defaults")
    assert spark["spark.pyspark.python"] == f"{home}/env/bin/python"
    assert fill("steps.json")["refine"]["spark.executor.resource.gpu.discoveryScript"] == f"{home}/discover_gpus.sh"
    assert (ROOT / "conf" / "discover_gpus.sh").exists()
    assert spark["spark.executorEnv.PROX_SPARK_CACHE"].startswith(f"{data}/")
    assert configuration(request, "yarn-site")["yarn.nodemanager.user-home-dir"] == f"{data}/home"
    assert json.dumps(fill("gpu-nodes.json")).count(f'"{cgroups}"') == 2
    delta = {"spark.sql.extensions", "spark.sql.catalog.spark_catalog", "spark.jars"}
    serverless = fill(
        "serverless-job.json",
        **dict.fromkeys(("application", "token", "role", "name", "job", "arguments", "environment", "stage"), "x"),
    )["configurationOverrides"]["applicationConfiguration"][0]["properties"]
    assert {key: serverless[key] for key in delta} == {key: spark[key] for key in delta}


def test_yarn_looks_for_gpus_on_the_nodes_that_have_some(dist: str) -> None:
    """A node manager with the GPU plugin and without nvidia-smi does not start."""
    request = make(dist, "refine", *NEW, *GPU_RECIPE)["RunJobFlow"]
    assert [key for key in configuration(request, "yarn-site") if "gpu" in key or "plugin" in key] == []
    assert configuration(request, "yarn-site")["yarn.resource-types"] == "yarn.io/gpu"
    assert "DominantResourceCalculator" in json.dumps(configuration(request, "capacity-scheduler"))
    for fleet in request["Instances"]["InstanceFleets"]:
        for kind in fleet["InstanceTypeConfigs"]:
            has_plugin = "yarn.nodemanager.resource-plugins" in json.dumps(kind.get("Configurations", []))
            assert has_plugin is kind["InstanceType"].startswith("g")


def test_gpu_nodes_repeat_what_the_cluster_tells_yarn(dist: str) -> None:
    """It does not matter then whether EMR merges the properties of a cluster with those of an instance type."""
    of_cluster = configuration(make(dist, "refine", *NEW, *GPU_RECIPE)["RunJobFlow"], "yarn-site")
    of_node = configuration({"Configurations": fill("gpu-nodes.json")}, "yarn-site")
    assert of_cluster.items() <= of_node.items()


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoEmr]:
    with run_moto_emr(monkeypatch) as running:
        running.client("s3").create_bucket(Bucket="bucket")
        yield running


def test_the_release_knows_every_instance_type(moto: MotoEmr, dist: str) -> None:
    emr = moto.client("emr")
    assert RELEASE in emr.list_release_labels()["ReleaseLabels"]
    known, marker = set(), {}
    while True:
        page = emr.list_supported_instance_types(ReleaseLabel=RELEASE, **marker)
        known |= {kind["Type"] for kind in page["SupportedInstanceTypes"]}
        if not page.get("Marker"):
            break
        marker = {"Marker": page["Marker"]}
    fleets = make(dist, "refine", *NEW, *GPU_RECIPE)["RunJobFlow"]["Instances"]["InstanceFleets"]
    assert {kind["InstanceType"] for fleet in fleets for kind in fleet["InstanceTypeConfigs"]} <= known


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_iam_takes_the_policy(moto: MotoEmr, path: Path) -> None:
    document = path.read_text()
    iam = moto.client("iam")
    if path.stem.endswith("trust"):
        iam.create_role(RoleName="role", AssumeRolePolicyDocument=document)
    else:
        iam.create_policy(PolicyName="policy", PolicyDocument=document)
    for statement in json.loads(document)["Statement"]:
        actions = statement["Action"]
        assert not any("*" in action for action in ([actions] if isinstance(actions, str) else actions))
        assert statement.get("Resource") != "*" or statement["Sid"] in ("CreateTaggedClusters", "FindClusters")


# What is not called by its name: HEAD is GetObject, `--tags` of a new thing is an action of its own, roles are passed.
_IMPLIED = {
    "s3:HeadObject": {"s3:GetObject"},
    "s3:PutObject": {"s3:PutObject", "s3:AbortMultipartUpload"},
    "elasticmapreduce:RunJobFlow": {"elasticmapreduce:RunJobFlow", "elasticmapreduce:AddTags", "iam:PassRole"},
    "emr-serverless:CreateApplication": {"emr-serverless:CreateApplication", "emr-serverless:TagResource"},
}


def test_the_submitter_may_do_what_the_script_does_and_nothing_else(
    moto: MotoEmr, dist: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()

    def note(service: str, operation: str) -> None:
        name = {"EMR": "elasticmapreduce", "EMR Serverless": "emr-serverless", "S3": "s3"}[service]
        called.update(_IMPLIED.get(f"{name}:{operation}", {f"{name}:{operation}"}))

    import botocore.client

    make_call = botocore.client.BaseClient._make_api_call
    monkeypatch.setattr(
        botocore.client.BaseClient,
        "_make_api_call",
        lambda self, operation, request: (
            note(str(self.meta.service_model.service_id), operation),
            make_call(self, operation, request),
        )[1],
    )

    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    def run(*arguments: str) -> None:
        work = ["--stage", "s3://bucket/prox", "--lake", "s3://bucket/lake", "--dist", dist, "--poll-seconds", "0.001"]
        main([*work, "--log-wait-seconds", "0", "--cancel-on-interrupt", "--input", "s3://bucket/a.jsonl", *arguments])

    moto.tell(states("FAILED"))
    run("apply", *NEW, "--token", "first")
    run("ingest", "apply", "--cluster", moto.cluster.id, "--token", "second", "--no-wait")
    moto.tell(states("COMPLETED", "FAILED", "PENDING"))
    run("ingest", "apply", "--cluster", moto.cluster.id, "--token", "second")
    import prox_emr.main as script

    run("apply", "--create-application", "--role", ROLE)
    moto.tell(job_state("FAILED"))
    run("apply", "--application", moto.job_runs[0].application_id, "--role", ROLE)
    monkeypatch.setattr(script, "wait_for_end", lambda *_: interrupt(None))
    run("apply", "--application", moto.job_runs[0].application_id, "--role", ROLE)
    run("apply", *NEW)

    allowed: set[str] = set()
    for statement in json.loads((FOLDER / "iam" / "submitter.json").read_text())["Statement"]:
        allowed |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    assert called == allowed


def documented_commands() -> list[list[str]]:
    """The arguments of every `submit.py` command in the documentation."""
    page = (ROOT / "docs" / "platforms" / "emr.md").read_text().replace("\\\n", " ")
    return [shlex.split(line)[2:] for line in page.splitlines() if line.startswith("python conf/emr/submit.py")]


@pytest.mark.parametrize("words", documented_commands(), ids=" ".join)
def test_a_command_of_the_documentation_makes_valid_requests(dist: str, words: list[str]) -> None:
    check_requests(make(dist, *words, "--dist", dist))


def test_the_documentation_has_the_releases_that_the_script_takes() -> None:
    page = (ROOT / "docs" / "platforms" / "emr.md").read_text()
    rows = dict(re.findall(r"^\| \[?(emr-[\w.-]+)[^|]*\| ([^|]*)", page, re.MULTILINE))
    assert RELEASE in rows and all(any(row.startswith(prefix) for row in rows) for prefix in fill("releases.json"))
    for row, spark in rows.items():
        known = next(of["spark"] for prefix, of in fill("releases.json").items() if row.startswith(prefix))
        assert spark.startswith(known)


@pytest.mark.parametrize(("release", "delta"), [("emr-7.14.0", "3.3.2"), ("emr-spark-8.1.0", "4.2.0")])
def test_the_nodes_get_the_delta_of_their_release(dist: str, release: str, delta: str) -> None:
    (action,) = make(dist, "refine", *NEW, *GPU_RECIPE, "--release", release)["RunJobFlow"]["BootstrapActions"]
    assert action["ScriptBootstrapAction"]["Args"][-1] == delta


@pytest.mark.parametrize("release", ["emr-6.15.0", "emr-7.0.0", "emr-9.0.0"])
def test_a_release_without_our_python_or_not_known_is_refused(dist: str, release: str) -> None:
    with pytest.raises(SubmitError, match=f"--release {release}: known are emr-7.1.0 and later"):
        make(dist, "refine", *NEW, *GPU_RECIPE, "--release", release)


@pytest.fixture
def submitter(moto: MotoEmr, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A user with the submitter's policy, whose requests moto checks by it; yields a session of that user."""
    policy = json.loads((FOLDER / "iam" / "submitter.json").read_text().replace("BUCKET", "bucket"))
    for statement in policy["Statement"]:
        if not json.dumps(statement["Action"]).count("s3:"):  # moto knows resources of S3 only
            statement["Resource"] = "*"
    iam = moto.client("iam")
    iam.create_user(UserName="submitter")
    iam.put_user_policy(UserName="submitter", PolicyName="policy", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="submitter")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    moto.client("s3").put_object(Bucket="bucket", Key="lake/refined/part-0.parquet", Body=b"")
    moto.check_rights(True)
    yield boto3.Session()
    moto.check_rights(False)


def test_with_the_submitters_rights_a_run_works_and_the_lake_stays_closed(
    moto: MotoEmr, submitter: Any, dist: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(cluster: Any) -> None:
        states("FAILED")(cluster)
        key = f"prox/logs/{cluster.id}/steps/{cluster.steps[0].id}/stderr.gz"
        s3_backends[ACCOUNT]["aws"].put_object("bucket", key, gzip.compress(b"prox-spark: no lake\n"))

    moto.tell(states("RUNNING"), fail)
    work = ["--stage", "s3://bucket/prox", "--lake", "s3://bucket/lake", "--dist", dist, "--poll-seconds", "0.001"]
    assert main(["apply", *work, *NEW]) == 1
    assert capsys.readouterr().err.endswith("prox-spark: no lake\n")
    with pytest.raises(ClientError, match="AccessDenied"):
        submitter.client("s3").get_object(Bucket="bucket", Key="lake/refined/part-0.parquet")


@pytest.fixture
def node(tmp_path: Path) -> Any:
    """Runs the bootstrap action on a node that has what is given, and returns what it did."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name, text in STUBS.items():
        (stubs / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (stubs / name).chmod(0o755)
    wheel = tmp_path / "fetched"
    wheel.write_bytes(b"wheel")
    calls, driver = tmp_path / "calls", tmp_path / "driver"

    def run(
        *arguments: str, devices: tuple[tuple[str, str], ...] = (NETWORK, DISPLAY), has_driver: str = ""
    ) -> tuple[subprocess.CompletedProcess[str], str]:
        for number, (vendor, kind) in enumerate(devices):
            device = tmp_path / "pci" / f"0000:00:0{number}.0"
            device.mkdir(parents=True)
            (device / "vendor").write_text(f"{vendor}\n")
            (device / "class").write_text(f"{kind}\n")
        calls.write_text("")
        driver.write_text(has_driver)
        environment = {
            "PATH": f"{stubs}:/usr/bin:/bin",
            "STUBS": str(stubs),
            "CALLS": str(calls),
            "DRIVER": str(driver),
            "WHEEL": str(wheel),
            "CONF": str(ROOT / "conf"),
            **{f"PROX_{name.upper()}": str(tmp_path / name) for name in ("home", "data", "cgroups", "pci")},
        }
        command = ["bash", FOLDER / "bootstrap.sh", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return done, calls.read_text()

    return run


WHEEL = ["s3://bucket/prox/code/abc/prox_spark-1.0-py3-none-any.whl", "s3://bucket/prox/code/def/gpu.txt", "3.3.2"]


def test_a_node_without_a_gpu_gets_no_vllm(node: Any, tmp_path: Path) -> None:
    done, calls = node(*WHEEL)
    assert done.returncode == 0, done.stderr
    packages, delta = calls.splitlines()
    assert re.search(
        r" --constraint \S+/gpu\.txt \S+/prox_spark-1\.0-py3-none-any\.whl\[warc\] huggingface_hub ", packages
    )
    assert delta.endswith(" --no-deps delta-spark==3.3.2 index=")
    script = tmp_path / "home" / "discover_gpus.sh"
    assert script.read_bytes() == (ROOT / "conf" / "discover_gpus.sh").read_bytes() and script.stat().st_mode & 0o111
    assert (tmp_path / "data" / "cache").stat().st_mode & 0o7777 == 0o1777


def test_a_gpu_node_with_a_driver_gets_vllm_and_cgroups(node: Any) -> None:
    done, calls = node(*WHEEL, devices=(NETWORK, GPU), has_driver="580.65.06")
    assert done.returncode == 0, done.stderr
    assert "whl[gpu,warc] " in calls and "mount -t cgroup -o devices" in calls and "dnf" not in calls


@pytest.mark.parametrize("has_driver", ["", "535.104.12"], ids=["no driver", "an old driver"])
def test_a_gpu_node_gets_the_driver_that_vllm_needs(node: Any, has_driver: str) -> None:
    done, calls = node(*WHEEL, devices=(GPU,), has_driver=has_driver)
    assert done.returncode == 0, done.stderr
    assert "dnf module enable -y nvidia-driver:580-open" in calls
    installed = calls.index("dnf install -y nvidia-open\n")
    assert installed < calls.index("modprobe -r ") < calls.index("modprobe nvidia\n")


def test_a_driver_that_does_not_run_is_told_with_the_words_of_nvidia_smi(node: Any, tmp_path: Path) -> None:
    (tmp_path / "stubs" / "dnf").write_text("#!/bin/sh\n")
    done, calls = node(*WHEEL, devices=(GPU,))
    assert done.returncode == 1 and "pip" not in calls
    assert "nvidia-smi does not run with driver 580: no devices were found. Its open kernel module needs" in done.stderr


def test_packages_come_from_the_index_that_is_given(node: Any) -> None:
    _, calls = node(*WHEEL, "https://packages.example.org/simple")
    assert calls.count("index=https://packages.example.org/simple\n") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the first argument must be the wheel of prox_spark"),
        (["s3://bucket/env.tar.gz"], "the first argument must be the wheel of prox_spark"),
        (WHEEL[:1], "the second argument must be a file of pins"),
        (WHEEL[:2], "the third the version of delta-spark"),
    ],
)
def test_a_bootstrap_without_its_arguments_says_what_it_needs(node: Any, arguments: list[str], message: str) -> None:
    done, calls = node(*arguments)
    assert done.returncode == 1 and message in done.stderr and not calls


def test_a_timeout_after_the_request_was_taken_finds_what_it_made() -> None:
    sent = []

    def send() -> str:
        sent.append(1)
        raise ReadTimeoutError(endpoint_url="https://elasticmapreduce.example.org")

    found = iter([None, "j-1"])
    assert send_once(send, lambda: next(found), "token", pause=0) == "j-1"
    assert len(sent) == 1


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (245, "4 min 05 s"), (3720, "1 h 02 min")])
def test_durations_are_written_as_people_write_them(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
