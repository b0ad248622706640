"""Runs on a cluster of EC2 instances."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from prox_emr.clients import Clients, look_for, send_once
from prox_emr.errors import SubmitError
from prox_emr.logs import normalise_uri, read_tail
from prox_emr.progress import Look, say

# Clusters that are older are not looked for by their token.
_REMEMBERED = timedelta(days=7)
_ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
_GONE = ("TERMINATING", *_ENDED)
_GOOD, _BAD = "COMPLETED", ("FAILED", "CANCELLED", "INTERRUPTED")
_WAITS = ("PENDING", "CANCEL_PENDING")


class ClusterRun:
    """Steps on a cluster, new or not, that are submitted once and then watched."""

    def __init__(self, clients: Clients, args: argparse.Namespace, request: dict[str, Any]) -> None:
        """Args: request is that of RunJobFlow with its steps, or of AddJobFlowSteps."""
        self._clients, self._args, self._request = clients, args, request
        self._cluster_id: str = args.cluster or ""
        self._step_ids: list[str] = []
        self._log_uri = ""
        self._trouble: Callable[[], Iterator[str]] = lambda: iter(())

    @property
    def is_submitted(self) -> bool:
        """True if there is something that runs: steps, or the cluster that was created for them."""
        return bool(self._step_ids or (self._args.create and self._cluster_id))

    def submit(self) -> None:
        """Create the cluster with its steps, or add them to one; what a start with the same token made is taken up.

        Raises:
            SubmitError: EMR refuses, or the cluster is gone.
        """
        pause = min(self._args.poll_seconds, 2)
        if self._args.create:
            self._cluster_id = self._find_cluster() or send_once(
                self._create, self._find_cluster, self._args.token, pause
            )
        cluster = self._describe()
        if not self._args.create and cluster["Status"]["State"] in _GONE:
            raise SubmitError(
                f"cluster {self._cluster_id} is {cluster['Status']['State']}: choose one that runs, or use --create"
            )
        self._log_uri = normalise_uri(cluster["LogUri"]) if cluster.get("LogUri") else ""
        self._step_ids = self._find_steps() or (
            # A new cluster has its steps from its start: they are never added a second time.
            self._wait_for_steps(pause)
            if self._args.create
            else send_once(self._add_steps, self._find_steps, self._args.token, pause)
        )
        say(f"cluster {self._cluster_id}, steps {', '.join(self._step_ids)}, token {self._args.token}")
        region = self._clients.region
        say(
            f"console: https://{region}.console.aws.amazon.com/emr/home?region={region}#/clusterDetails/{self._cluster_id}"
        )
        say(
            f"logs: {self._log_uri}/{self._cluster_id}/"
            if self._log_uri
            else "logs: the cluster has no log folder in S3"
        )

    def look(self) -> Look:
        """Look at steps and cluster once."""
        steps, status = self._list_steps(), self._describe()["Status"]
        if status["State"] in _ENDED:  # Between the two looks a step may have ended well, and the cluster with it.
            steps = self._list_steps()
        states = [step["Status"]["State"] for step in steps]
        told = ", ".join(f"{step['Name'].split()[1]} {state}" for step, state in zip(steps, states, strict=True))
        line = f"{told}; cluster {status['State']}"
        if all(state == _GOOD for state in states):
            return Look(line, is_over=True, is_good=True)
        failed = next((step for step in steps if step["Status"]["State"] in _BAD), None)
        reason = status.get("StateChangeReason", {})
        # With a cluster that dies its steps are cancelled: then the cluster's reason is the cause.
        is_cluster = status["State"] in _GONE and reason.get("Code") not in ("STEP_FAILURE", "ALL_STEPS_COMPLETED")
        if failed is not None and not (is_cluster and failed["Status"]["State"] == "CANCELLED"):
            self._trouble = lambda: self._explain_step(failed, steps)
        elif status["State"] in _ENDED:
            self._trouble = lambda: self._explain_cluster(status["State"], reason)
        else:
            return Look(line)
        return Look(line, is_over=True)

    def explain(self) -> Iterator[str]:
        """Yield lines on why the run did not end well, after `look` found that."""
        return self._trouble()

    def cancel(self) -> None:
        """End what was submitted: the cluster that was created for it, or the steps alone."""
        if self._args.create:
            self._clients.emr.terminate_job_flows(JobFlowIds=[self._cluster_id])
        else:
            # SEND_INTERRUPT, the default, leaves time to the job: it commits what it has.
            self._clients.emr.cancel_steps(ClusterId=self._cluster_id, StepIds=self._step_ids)

    def describe_cancelling(self) -> str:
        """Return the command that cancels the run."""
        if self._args.create:
            return f"aws emr terminate-clusters --cluster-ids {self._cluster_id}"
        return f"aws emr cancel-steps --cluster-id {self._cluster_id} --step-ids {' '.join(self._step_ids)}"

    def _create(self) -> str:
        return str(self._clients.emr_once.run_job_flow(**self._request)["JobFlowId"])

    def _add_steps(self) -> list[str]:
        steps = self._request["Steps"]
        return list(self._clients.emr_once.add_job_flow_steps(JobFlowId=self._cluster_id, Steps=steps)["StepIds"])

    def _find_cluster(self) -> str | None:
        """Return the cluster that has the name of this run."""
        pages = self._clients.emr.get_paginator("list_clusters").paginate(CreatedAfter=datetime.now(UTC) - _REMEMBERED)
        name = self._request["Name"]
        return next((cluster["Id"] for page in pages for cluster in page["Clusters"] if cluster["Name"] == name), None)

    def _wait_for_steps(self, pause: float) -> list[str]:
        found = look_for(self._find_steps, pause)
        if found is None:
            raise SubmitError(
                f"{self._cluster_id} has the token {self._args.token} and none of these steps: give another token"
            )
        return found

    def _find_steps(self) -> list[str] | None:
        """Return this run's steps in their order; None if there are none.

        Raises:
            SubmitError: the token belongs to a run of other steps.
        """
        pages = self._clients.emr.get_paginator("list_steps").paginate(ClusterId=self._cluster_id)
        ids = {step["Name"]: step["Id"] for page in pages for step in page["Steps"]}
        found = [ids[step["Name"]] for step in self._request["Steps"] if step["Name"] in ids]
        if found and len(found) < len(self._request["Steps"]):
            raise SubmitError(
                f"a run with the token {self._args.token} and other steps is on {self._cluster_id}: give another token"
            )
        return found or None

    def _list_steps(self) -> list[dict[str, Any]]:
        found = self._clients.emr.list_steps(ClusterId=self._cluster_id, StepIds=self._step_ids)["Steps"]
        return sorted(found, key=lambda step: self._step_ids.index(step["Id"]))

    def _describe(self) -> dict[str, Any]:
        return dict(self._clients.emr.describe_cluster(ClusterId=self._cluster_id)["Cluster"])

    def _explain_step(self, step: dict[str, Any], steps: list[dict[str, Any]]) -> Iterator[str]:
        status = step["Status"]
        details, change = status.get("FailureDetails", {}), status.get("StateChangeReason", {})
        reason = details.get("Message") or details.get("Reason") or change.get("Message") or "EMR gives no reason"
        yield f"{step['Name']} ({step['Id']}) is {status['State']}: {reason}"
        waiting = [other["Id"] for other in steps if other["Status"]["State"] in _WAITS]
        if waiting and not self._args.create:
            self._clients.emr.cancel_steps(ClusterId=self._cluster_id, StepIds=waiting)
            yield f"cancelled the steps behind it: {', '.join(waiting)}"
        if status["State"] == "FAILED":
            log = (
                normalise_uri(details["LogFile"])
                if details.get("LogFile")
                else self._locate(f"steps/{step['Id']}/stderr.gz")
            )
            yield from self._tail(log)

    def _explain_cluster(self, state: str, reason: dict[str, Any]) -> Iterator[str]:
        code, message = reason.get("Code", "no code"), reason.get("Message") or "EMR gives no reason"
        yield f"cluster {self._cluster_id} is {state} before its steps ended: {code}: {message}"
        instance = re.search(r"\bi-[0-9a-f]+", message)
        if code == "BOOTSTRAP_FAILURE" and instance:
            yield from self._tail(self._locate(f"node/{instance[0]}/bootstrap-actions/1/stderr.gz"))
        if code in ("INSTANCE_FLEET_TIMEOUT", "VALIDATION_ERROR"):
            yield "look at the account's EC2 quotas for the instance types of conf/emr/cluster.json, and give more subnets (--subnet)"

    def _locate(self, path: str) -> str:
        return f"{self._log_uri}/{self._cluster_id}/{path}" if self._log_uri else ""

    def _tail(self, log: str) -> Iterator[str]:
        if not log:
            yield "no log: the cluster has no log folder in S3"
            return
        yield f"waiting up to {self._args.log_wait_seconds:g} s for {log}"
        lines = read_tail(self._clients.s3, log, self._args.log_wait_seconds, self._args.poll_seconds)
        yield from lines or [f"no log yet: aws s3 cp {log} - | gunzip"]
