"""Runs on EMR Serverless: a job run for each step, one after the other."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from prox_emr.clients import Clients
from prox_emr.errors import SubmitError
from prox_emr.logs import normalise_uri, read_tail
from prox_emr.progress import Look, say

_BAD = ("FAILED", "CANCELLED")


def make_client_token(token: str, step: str) -> str:
    """Return the client token of a step: the service takes each only once."""
    return hashlib.sha256(f"{token}/{step}".encode()).hexdigest()[:32]


class ServerlessRun:
    """Job runs of an application. The next starts when the one before has ended well."""

    def __init__(
        self,
        clients: Clients,
        args: argparse.Namespace,
        application: dict[str, Any] | None,
        jobs: dict[str, dict[str, Any]],
    ) -> None:
        """Args: application is the request of CreateApplication, None for one that exists; jobs those of StartJobRun by step."""
        self._clients, self._args, self._application, self._jobs = clients, args, application, jobs
        self._application_id: str = args.application or ""
        self._left = list(jobs)
        self._step, self._run_id = "", ""
        self._failed: dict[str, Any] = {}

    @property
    def is_submitted(self) -> bool:
        """True if EMR has taken a job run."""
        return bool(self._run_id)

    def submit(self) -> None:
        """Create the application if asked for, and start the first job run.

        Raises:
            SubmitError: EMR refuses.
        """
        if self._application is not None:
            created = _call(self._clients.serverless.create_application, **self._application)
            self._application_id = created["applicationId"]
            self._wait_until_created()
            say(f"application {self._application_id}: give --application {self._application_id} next time")
        self._start_next()
        if self._args.no_wait and self._left:
            say(f"not started: {', '.join(self._left)}; the same command with --token {self._args.token} goes on")

    def look(self) -> Look:
        """Look at the job run once; start the next when it has ended well.

        Raises:
            SubmitError: EMR refuses the next.
        """
        run = self._clients.serverless.get_job_run(applicationId=self._application_id, jobRunId=self._run_id)["jobRun"]
        line = f"{self._step} {run['state']}"
        if run["state"] in _BAD:
            self._failed = run
            return Look(line, is_over=True)
        if run["state"] == "SUCCESS" and not self._left:
            return Look(line, is_over=True, is_good=True)
        if run["state"] == "SUCCESS":
            try:
                self._start_next()
            except SubmitError as error:
                raise SubmitError(
                    f"{self._step} was not started: {error}\nThe same command with --token {self._args.token} goes on with it"
                ) from error
        return Look(line)

    def explain(self) -> Iterator[str]:
        """Yield lines on why the run did not end well, after `look` found that."""
        yield f"{self._step} ({self._run_id}) is {self._failed['state']}: {self._failed.get('stateDetails') or 'EMR gives no reason'}"
        if self._left:
            yield f"not started: {', '.join(self._left)}"
        if self._failed["state"] == "FAILED":
            log = f"{self._log_folder()}/SPARK_DRIVER/stderr.gz"
            yield f"waiting up to {self._args.log_wait_seconds:g} s for {log}"
            lines = read_tail(self._clients.s3, log, self._args.log_wait_seconds, self._args.poll_seconds)
            yield from lines or [f"no log yet: aws s3 cp {log} - | gunzip"]

    def cancel(self) -> None:
        """Cancel the job run."""
        self._clients.serverless.cancel_job_run(applicationId=self._application_id, jobRunId=self._run_id)

    def describe_cancelling(self) -> str:
        """Return the command that cancels the job run."""
        return f"aws emr-serverless cancel-job-run --application-id {self._application_id} --job-run-id {self._run_id}"

    def _wait_until_created(self) -> None:
        while True:
            found = _call(self._clients.serverless.get_application, applicationId=self._application_id)["application"]
            if found["state"] != "CREATING":
                return
            time.sleep(min(self._args.poll_seconds, 5))

    def _start_next(self) -> None:
        self._step = self._left.pop(0)
        request = self._jobs[self._step] | {"applicationId": self._application_id}
        self._run_id = _call(self._clients.serverless.start_job_run, **request)["jobRunId"]
        say(f"{self._step}: job run {self._run_id} of application {self._application_id}, token {self._args.token}")
        say(f"logs: {self._log_folder()}/")

    def _log_folder(self) -> str:
        overrides = self._jobs[self._step]["configurationOverrides"]
        folder = normalise_uri(overrides["monitoringConfiguration"]["s3MonitoringConfiguration"]["logUri"])
        return f"{folder}/applications/{self._application_id}/jobs/{self._run_id}"


def _call(operation: Any, **request: Any) -> dict[str, Any]:
    try:
        return dict(operation(**request))
    except ClientError as error:
        raise SubmitError(str(error)) from error
