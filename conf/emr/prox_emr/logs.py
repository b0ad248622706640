"""Logs in S3: where they are, and their last lines."""

from __future__ import annotations

import time
import zlib
from typing import Any

from botocore.exceptions import ClientError

from prox_emr.staging import split_uri

_LINES = 25


def normalise_uri(uri: str) -> str:
    """Return a log folder as s3://… without a slash at its end; EMR also writes s3n://."""
    return f"s3://{uri.partition('://')[2]}".rstrip("/")


def read_tail(s3: Any, uri: str, wait_seconds: float, poll_seconds: float, lines: int = _LINES) -> list[str]:
    """Return the last lines of a gzipped log, empty if it does not appear in time or can't be read.

    Args:
        s3: boto3's client.
        uri: the log.
        wait_seconds: how long to wait for it.
        poll_seconds: time between two looks.
        lines: number of lines.
    """
    bucket, key = split_uri(uri)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            # S3 says AccessDenied of a key that is missing to those who may not list the bucket.
            is_missing = error.response["Error"]["Code"] in ("NoSuchKey", "AccessDenied")
            if not is_missing or time.monotonic() >= deadline:
                return []
            time.sleep(poll_seconds)
            continue
        # A node that died may leave half a file.
        text = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(body) if body[:2] == b"\x1f\x8b" else body
        return [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()][-lines:]
