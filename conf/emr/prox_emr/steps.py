"""What a step runs: spark-submit with one of our jobs."""

from __future__ import annotations

import argparse
from typing import Any

from prox_emr.templates import fill

_LOG_STORE = "io.delta.storage.S3DynamoDBLogStore"


def make_job_arguments(step: str, args: argparse.Namespace, recipe_arguments: list[str]) -> list[str]:
    """Return the arguments of a job, as `prox-spark` takes them."""
    return [*(args.input if step == "ingest" else []), *recipe_arguments]


def make_log_store_settings(table: str | None, region: str) -> dict[str, str]:
    """Return Spark's settings that keep several drivers on one lake apart; none without a table."""
    if not table:
        return {}
    settings = {f"spark.delta.logStore.{scheme}.impl": _LOG_STORE for scheme in ("s3", "s3a")}
    return settings | {f"spark.{_LOG_STORE}.ddb.tableName": table, f"spark.{_LOG_STORE}.ddb.region": region}


def make_step(step: str, job: str, arguments: list[str], settings: dict[str, str], name: str) -> dict[str, Any]:
    """Return a step of a cluster.

    Args:
        step: ingest, refine or apply; its settings are those of steps.json.
        job: URI of the job's file.
        arguments: those of the job.
        settings: further settings of Spark.
        name: name of the step, by which a later start finds it.
    """
    options = [
        word for key, value in (fill("steps.json")[step] | settings).items() for word in ("--conf", f"{key}={value}")
    ]
    # The driver on the primary node: its messages are then in the log of the step, and no Spot instance takes it away.
    words = ["spark-submit", "--master", "yarn", "--deploy-mode", "client", *options, job, *arguments]
    return {
        "Name": name,
        # Steps of others may wait on a cluster that they share; a later step of ours after a failed one does no harm.
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": words},
    }
