"""The requests that a run sends, by the operation of the API."""

from __future__ import annotations

import argparse
from typing import Any

from prox_emr.errors import SubmitError
from prox_emr.serverless import make_client_token
from prox_emr.staging import JOBS, Stage, find_one
from prox_emr.steps import make_job_arguments, make_log_store_settings, make_step
from prox_emr.templates import FOLDER, fill
from prox_spark.config import Recipe

PINS = FOLDER.parent / "requirements" / "gpu.txt"


def find_delta(release: str) -> str:
    """Return the version of Delta's Python package for a release of EMR.

    Raises:
        SubmitError: the release is not known.
    """
    known = fill("releases.json")
    found = next((of["delta"] for prefix, of in known.items() if release.startswith(prefix)), None)
    if found is None or release.startswith("emr-7.0"):  # emr-7.0 has Python 3.9 alone.
        raise SubmitError(
            f"--release {release}: known are emr-7.1.0 and later, {', '.join(list(known)[1:])}; add others to conf/emr/releases.json"
        )
    return str(found)


def make_requests(
    args: argparse.Namespace, recipe: Recipe, arguments: list[str], stage: Stage, region: str
) -> dict[str, Any]:
    """Return the requests. The stage gets the files that they name.

    Args:
        args: the command line.
        recipe: the recipe, checked.
        arguments: those that make the same recipe on the cluster.
        stage: where files go.
        region: AWS region, for the log table.

    Raises:
        SubmitError: the steps can't run there, or a file is missing.
    """
    if "ingest" in args.steps:
        _check_inputs([*args.input, *recipe.input.paths])
    if args.cluster or args.create:
        return _make_cluster_requests(args, arguments, stage, region)
    return _make_serverless_requests(args, recipe, arguments, stage, region)


def _check_inputs(inputs: list[str]) -> None:
    if not inputs:
        raise SubmitError("ingest has no input: give --input, or input.paths in the recipe")
    if local := [path for path in inputs if "://" not in path]:
        raise SubmitError(
            f"the input {local[0]} is a path of this machine: give a URI that the nodes can read, such as s3://bucket/crawl/*.jsonl"
        )


def _make_cluster_requests(args: argparse.Namespace, arguments: list[str], stage: Stage, region: str) -> dict[str, Any]:
    settings = make_log_store_settings(args.log_table, region)
    steps = [
        make_step(
            step,
            job=stage.add(JOBS / f"{step}.py"),
            arguments=make_job_arguments(step, args, arguments),
            settings=settings,
            name=f"prox_spark {step} {args.token}",
        )
        for step in args.steps
    ]
    if args.cluster:
        return {"AddJobFlowSteps": {"JobFlowId": args.cluster, "Steps": steps}}
    request = fill(
        "cluster.json",
        name=f"prox_spark {args.token}",
        token=args.token,
        release=args.release,
        stage=args.stage,
        subnets=args.subnet,
        instance_profile=args.instance_profile,
        service_role=args.service_role,
        gpus=args.gpus,
        gpu_nodes=fill("gpu-nodes.json"),
        bootstrap=stage.add(FOLDER / "bootstrap.sh"),
        wheel=stage.add(find_one(args.dist, "prox_spark-*.whl")),
        pins=stage.add(PINS),
        delta=find_delta(args.release),
    )
    if "refine" not in args.steps:
        instances = request["Instances"]
        instances["InstanceFleets"] = [fleet for fleet in instances["InstanceFleets"] if fleet["Name"] != "gpu"]
    # The cluster ends with its steps, and with the first that fails.
    return {"RunJobFlow": request | {"Steps": [step | {"ActionOnFailure": "TERMINATE_CLUSTER"} for step in steps]}}


def _make_serverless_requests(
    args: argparse.Namespace, recipe: Recipe, arguments: list[str], stage: Stage, region: str
) -> dict[str, Any]:
    if "refine" in args.steps and not recipe.engine.endpoint:
        raise SubmitError(
            "EMR Serverless has no GPUs: set engine.endpoint to a model server, or refine on a cluster (--create)"
        )
    environment = stage.add(find_one(args.dist, "env.tar.gz"))
    jobs = {}
    for step in args.steps:
        job = fill(
            "serverless-job.json",
            application=args.application or "to be created",
            token=make_client_token(args.token, step),
            role=args.role,
            name=f"prox_spark {step} {args.token}",
            job=stage.add(JOBS / f"{step}.py"),
            arguments=make_job_arguments(step, args, arguments),
            environment=environment,
            stage=args.stage,
        )
        properties = job["configurationOverrides"]["applicationConfiguration"][0]["properties"]
        properties |= make_log_store_settings(args.log_table, region)
        jobs[step] = job
    requests = {"StartJobRun": jobs}
    if args.create_application:
        token = make_client_token(args.token, "application")
        requests["CreateApplication"] = fill("serverless-application.json", token=token, release=args.release)
    return requests
