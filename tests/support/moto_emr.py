"""Amazon EMR as moto plays it, with the states moved by a story: one act for each look of the script under test.

moto leaves steps RUNNING and PENDING for ever, ends a job run at once, and lacks some of the service. What it lacks is added here, as
the API reference describes it: CancelSteps, reasons with codes, failure details, client tokens of job runs.
"""

from __future__ import annotations

import gzip
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.request import Request, urlopen

import boto3
import botocore.loaders
import botocore.session
import pytest
from moto.core.responses import ActionResult
from moto.emr import models as emr_models
from moto.emr.responses import ElasticMapReduceResponse
from moto.emrserverless import models as serverless_models
from moto.server import ThreadedMotoServer

# The server finds a region of EMR in host names alone: here it has the default one.
REGION, ACCOUNT = "us-east-1", "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/prox-spark-job"
SECRET = "wJalrXUtnFEMI/not-a-real-key"


_LOADER = cache(botocore.loaders.create_loader)


class MotoEmr:
    """A moto server in this process, and the story that it plays."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.story: deque[Callable[[Any], object]] = deque()

    @property
    def clusters(self) -> list[Any]:
        return list(emr_models.emr_backends[ACCOUNT][REGION].clusters.values())

    @property
    def cluster(self) -> Any:
        (cluster,) = self.clusters
        return cluster

    @property
    def serverless(self) -> Any:
        return serverless_models.emrserverless_backends[ACCOUNT][REGION]

    @property
    def job_runs(self) -> list[Any]:
        return [run for runs in self.serverless.job_runs.values() for run in runs]

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION, endpoint_url=self.url)

    def check_rights(self, checks: bool) -> None:
        """Check every request by the policies of its user, or none."""
        count = b"0" if checks else b"inf"  # of requests that pass unchecked
        plain = {"Content-Type": "text/plain"}
        urlopen(Request(f"{self.url}/moto-api/reset-auth", count, plain, method="POST"), timeout=30).close()

    def tell(self, *acts: Callable[[Any], object]) -> None:
        """Play these acts, one for each look at the steps or the job run; the last state stays."""
        self.story.extend(acts)

    def write_log(self, uri: str, text: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=gzip.compress(text.encode()))

    def play(self, thing: Any) -> None:
        if self.story:
            self.story.popleft()(thing)


def states(*steps: str, cluster: str = "RUNNING", code: str = "", message: str = "") -> Callable[[Any], None]:
    """An act: the states of the steps and of the cluster, and why the cluster has its state."""

    def act(found: Any) -> None:
        for step, state in zip(found.steps, steps, strict=True):
            step.state = state
        found.state, found.code, found.last_state_change_reason = cluster, code, message

    return act


def job_state(state: str, details: str = "") -> Callable[[Any], None]:
    """An act: the state of a job run."""

    def act(run: Any) -> None:
        run.state, run.state_details = state, details

    return act


@contextmanager
def run_moto_emr(patch: pytest.MonkeyPatch) -> Iterator[MotoEmr]:
    """Run the server, and point boto3 at it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        moto = MotoEmr(f"http://{host}:{port}")
        urlopen(Request(f"{moto.url}/moto-api/reset", method="POST"), timeout=30).close()
        for name, value in {
            "AWS_ENDPOINT_URL": moto.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }.items():
            patch.setenv(name, value)
        # Each session would read the models of the services anew: half of these tests' time.
        patch.setattr(botocore.session, "create_loader", _LOADER)
        _play_at_each_look(moto, patch)
        _add_what_moto_lacks(patch)
        yield moto
    finally:
        server.stop()


def _play_at_each_look(moto: MotoEmr, patch: pytest.MonkeyPatch) -> None:
    list_steps = emr_models.ElasticMapReduceBackend.list_steps
    get_job_run = serverless_models.EMRServerlessBackend.get_job_run

    def look_at_steps(self: Any, cluster_id: str, step_ids: list[str] | None = None, **rest: Any) -> Any:
        if step_ids:  # Without ids it is a search for the steps of an earlier start.
            moto.play(self.clusters[cluster_id])
        return list_steps(self, cluster_id, step_ids, **rest)

    def look_at_run(self: Any, application_id: str, job_run_id: str) -> Any:
        run = get_job_run(self, application_id, job_run_id)
        moto.play(run)
        return run

    patch.setattr(emr_models.ElasticMapReduceBackend, "list_steps", look_at_steps)
    patch.setattr(serverless_models.EMRServerlessBackend, "get_job_run", look_at_run)


def _add_what_moto_lacks(patch: pytest.MonkeyPatch) -> None:
    step_status, cluster_status = emr_models.Step.status.fget, emr_models.Cluster.status.fget
    start_job_run = serverless_models.EMRServerlessBackend.start_job_run

    def describe_step(self: Any) -> dict[str, Any]:
        details = getattr(self, "failure_details", None)
        return step_status(self) | ({"FailureDetails": details} if details else {})

    def describe_cluster(self: Any) -> dict[str, Any]:
        status = cluster_status(self)
        status["StateChangeReason"]["Code"] = getattr(self, "code", None)
        return status

    def cancel_steps(self: Any) -> ActionResult:
        ids = self._get_param("StepIds")
        for step in self.backend.clusters[self._get_param("ClusterId")].steps:
            if step.id in ids:
                step.state = "CANCELLED"
        return ActionResult({"CancelStepsInfoList": [{"StepId": step, "Status": "SUBMITTED"} for step in ids]})

    def start_once(self: Any, application_id: str, client_token: str, **rest: Any) -> Any:
        known = [run for run in self.job_runs.get(application_id, []) if run.client_token == client_token]
        return known[0] if known else start_job_run(self, application_id, client_token, **rest)

    patch.setattr(emr_models.Step, "status", property(describe_step))
    patch.setattr(emr_models.Cluster, "status", property(describe_cluster))
    patch.setattr(ElasticMapReduceResponse, "cancel_steps", cancel_steps, raising=False)
    patch.setattr(serverless_models.EMRServerlessBackend, "start_job_run", start_once)
