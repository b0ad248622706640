"""Clients of AWS, and requests that must not be sent twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from prox_emr.errors import SubmitError

Result = TypeVar("Result")
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
# After these a request may or may not have had its effect, whatever the HTTP status.
_LOST = {"InternalFailure", "InternalServerError", "InternalServerException", "ServiceUnavailable"}
_TRIES = 6


class Clients:
    """Clients of boto3, each made when it is first used."""

    def __init__(self) -> None:
        """Find region and credentials, as boto3 does. AWS_REGION counts too, which the other tools of AWS read and boto3 does not.

        Raises:
            SubmitError: there are none.
        """
        self._session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        if not self._session.region_name:
            raise SubmitError("no AWS region is set: set AWS_REGION, or `region` in the profile")
        if self._session.get_credentials() is None:
            raise SubmitError(
                "no AWS credentials are found: set AWS_PROFILE, log in by `aws sso login`, or run where a role is"
            )
        self.region: str = self._session.region_name

    @cached_property
    def emr(self) -> Any:
        """EMR on EC2, for requests that may be sent again."""
        return self._make("emr")

    @cached_property
    def emr_once(self) -> Any:
        """EMR on EC2, without retries."""
        return self._make("emr", tries=1)

    @cached_property
    def serverless(self) -> Any:
        """EMR Serverless, whose requests carry a client token where they matter."""
        return self._make("emr-serverless")

    @cached_property
    def s3(self) -> Any:
        """S3."""
        return self._make("s3")

    def _make(self, service: str, tries: int = 10) -> Any:
        retries = {"mode": "standard", "total_max_attempts": tries}
        return self._session.client(service, region_name=self.region, config=Config(retries=retries))


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
            code = error.response["Error"]["Code"]
            if code in _THROTTLED and number + 1 < _TRIES:
                time.sleep(pause * 2**number)
                continue
            if code not in _LOST and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise SubmitError(str(error)) from error
        except (ConnectionError, HTTPClientError) as error:
            lost = error
        return _find_lost(find, token, pause, lost)
    raise AssertionError("the last try returns or raises")


def look_for(find: Callable[[], Result | None], pause: float) -> Result | None:
    """Look a few times, because EMR's lists lag behind.

    Args:
        find: looks once; None if there is nothing.
        pause: seconds before the first look; they double.

    Returns:
        What was found; None if there is nothing yet.
    """
    for number in range(3):
        time.sleep(pause * 2**number)
        if (found := find()) is not None:
            return found
    return None


def _find_lost(find: Callable[[], Result | None], token: str, pause: float, lost: Exception) -> Result:
    """Return what a request made whose answer was lost."""
    if (found := look_for(find, pause)) is not None:
        return found
    raise SubmitError(
        f"EMR's answer was lost ({lost}), and nothing of the run can be found yet. Start it again with --token {token}: that finds it if "
        "there is one, and never starts a second one beside it"
    ) from lost
