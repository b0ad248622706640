"""Clients of AWS, and requests that must not be sent twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, NoCredentialsError, NoRegionError

from prox_emr.errors import SubmitError

Result = TypeVar("Result")
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
_TRIES = 6


class Clients:
    """Those that a run needs. What may be sent again is, by botocore's own retries; `emr_once` sends everything once."""

    def __init__(self) -> None:
        """Raises: SubmitError if no region or no credentials are set."""
        again = Config(retries={"mode": "standard", "total_max_attempts": 10})
        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        session = boto3.Session()
        try:
            self.emr: Any = session.client("emr", config=again)
            self.emr_once: Any = session.client("emr", config=once)
            self.serverless: Any = session.client("emr-serverless", config=again)
            self.s3: Any = session.client("s3", config=again)
        except NoRegionError as error:
            raise SubmitError("no AWS region is set: set AWS_REGION, or `region` in the profile") from error
        if session.get_credentials() is None:
            raise SubmitError(
                f"{NoCredentialsError()}: set AWS_PROFILE, log in by `aws sso login`, or run where a role is"
            )
        self.region: str = self.emr.meta.region_name


def send_once(send: Callable[[], Result], find: Callable[[], Result | None], token: str, pause: float) -> Result:
    """Send a request that has no client token and must not take effect twice.

    EMR on EC2 has no such token for clusters and steps. A throttled request had no effect and is sent again. After an answer that
    was lost, such as a timeout, it is not: what it may have made is looked for.

    Args:
        send: sends the request.
        find: finds what an earlier request made; None if there is nothing.
        token: name of the run, for the message.
        pause: seconds before the second try; they double.

    Raises:
        SubmitError: EMR refuses, or its answer is lost and nothing is found.
    """
    for number in range(_TRIES):
        try:
            return send()
        except ClientError as error:
            lost: Exception = error
            if error.response["Error"]["Code"] in _THROTTLED and number + 1 < _TRIES:
                time.sleep(pause * 2**number)
                continue
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise SubmitError(str(error)) from error
        except (ConnectionError, HTTPClientError) as error:
            lost = error
        return _find_lost(find, token, pause, lost)
    raise AssertionError("the last try returns or raises")


def _find_lost(find: Callable[[], Result | None], token: str, pause: float, lost: Exception) -> Result:
    """Return what a request made whose answer was lost. Lists lag behind, so look a few times."""
    for number in range(3):
        time.sleep(pause * 2**number)
        if (found := find()) is not None:
            return found
    raise SubmitError(
        f"EMR's answer was lost ({lost}), and nothing of the run can be found yet. Start it again with --token {token}: that finds it if "
        "there is one, and never starts a second one beside it"
    ) from lost
