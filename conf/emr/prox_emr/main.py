"""The command: check everything, upload, submit, wait, explain."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

import botocore.session
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.validate import ParamValidator

from prox_emr.arguments import parse_arguments
from prox_emr.clients import Clients
from prox_emr.cluster import ClusterRun
from prox_emr.errors import SubmitError
from prox_emr.progress import say, wait_for_end
from prox_emr.recipes import load_recipe
from prox_emr.requests import make_requests
from prox_emr.serverless import ServerlessRun
from prox_emr.staging import Stage
from prox_spark.errors import RecipeError


def main(argv: Sequence[str] | None = None) -> int:
    """Submit a run and wait for it.

    Returns:
        Exit status: 0 all steps ended well, 1 one did not or nothing was submitted, 2 recipe error, 130 interrupted.
    """
    args = parse_arguments(argv)
    try:
        recipe, arguments = load_recipe(args.recipe, args.set, args.lake, args.input)
        clients = None if args.dry_run else Clients()
        stage = Stage(args.stage)
        requests = make_requests(args, recipe, arguments, stage, clients.region if clients else "REGION")
        check_requests(requests)
        if clients is None:
            print(json.dumps(requests, indent=2))
            return 0
        stage.upload(clients.s3)
        return _run(make_run(clients, args, requests), args)
    except RecipeError as error:
        return _report(str(error), 2)
    except (SubmitError, ClientError, BotoCoreError, S3UploadFailedError) as error:
        return _report(str(error), 1)
    except KeyboardInterrupt:
        return _report("interrupted; nothing was submitted", 130)


def make_run(clients: Clients, args: argparse.Namespace, requests: dict[str, Any]) -> ClusterRun | ServerlessRun:
    """Return the run that the requests describe."""
    if "StartJobRun" in requests:
        return ServerlessRun(clients, args, requests.get("CreateApplication"), requests["StartJobRun"])
    return ClusterRun(clients, args, requests.get("RunJobFlow") or requests["AddJobFlowSteps"])


def check_requests(requests: dict[str, Any]) -> None:
    """Check requests by boto3's model of the API, before anything is sent.

    Raises:
        SubmitError: a field is unknown, of another type or missing, such as after an edit of a file in conf/emr.
    """
    session = botocore.session.get_session()
    for operation, request in requests.items():
        service = "emr" if "JobFlow" in operation else "emr-serverless"
        shape = session.get_service_model(service).operation_model(operation).input_shape
        for one in request.values() if operation == "StartJobRun" else [request]:
            if report := ParamValidator().validate(one, shape).generate_report():
                raise SubmitError(f"the arguments and the files of conf/emr make no valid {operation}: {report}")


def _run(run: ClusterRun | ServerlessRun, args: argparse.Namespace) -> int:
    # A scheduler ends the script by SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run.submit()
        if args.no_wait:
            return 0
        end = wait_for_end(run.look, args.poll_seconds)
    except KeyboardInterrupt:
        return _interrupt(run, args)
    except (ClientError, BotoCoreError) as error:  # Such as a login that has expired.
        if not run.is_submitted:
            raise
        return _report(f"can't look at the run any more: {error}\n{_describe_going_on(run, args)}", 1)
    if end.is_good:
        say("done")
        return 0
    return _explain(run)


def _explain(run: ClusterRun | ServerlessRun) -> int:
    try:
        for line in run.explain():
            print(line, file=sys.stderr, flush=True)
    except KeyboardInterrupt:  # The run has ended: what is cut short is the wait for its log.
        print(file=sys.stderr)
    return 1


def _interrupt(run: ClusterRun | ServerlessRun, args: argparse.Namespace) -> int:
    if args.cancel_on_interrupt and run.is_submitted:
        run.cancel()
        return _report("interrupted; the run is being cancelled", 130)
    return _report(f"interrupted; {_describe_going_on(run, args)}", 130)


def _describe_going_on(run: ClusterRun | ServerlessRun, args: argparse.Namespace) -> str:
    again = f"start the same command with --token {args.token}"
    if not run.is_submitted:
        return f"it is not known whether EMR has taken the run: {again}, which finds it or starts it"
    return f"the run goes on: {again} to wait for it again, or cancel it by\n  {run.describe_cancelling()}"


def _report(message: str, status: int) -> int:
    print(f"submit.py: {message}", file=sys.stderr)
    return status
