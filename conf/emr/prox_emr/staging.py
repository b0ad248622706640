"""Upload of jobs, wheel and environment to S3. The key holds the content's hash: what is there already is not sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from prox_emr.errors import SubmitError
from prox_emr.templates import FOLDER

JOBS = FOLDER.parents[1] / "jobs"


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an S3 URI."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def find_one(folder: Path, pattern: str) -> Path:
    """Return the only file of a folder that matches.

    Raises:
        SubmitError: there is none, or more than one.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        what = "no" if not found else "more than one"
        raise SubmitError(f"{what} {pattern} in {folder}: run `make package`, or name its folder with --dist")
    return found[0]


class Stage:
    """The folder of a run in S3."""

    def __init__(self, s3: Any, uri: str, say: Callable[[str], None]) -> None:
        """Args: s3 is boto3's client, None to upload nothing; uri the folder; say prints a line."""
        self._s3, self._uri, self._say = s3, uri, say

    def upload(self, path: Path) -> str:
        """Return the URI at which a file is in S3; send it if it is not there yet.

        Raises:
            SubmitError: the file is missing, or S3 refuses.
        """
        try:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()[:16]
        except OSError as error:
            raise SubmitError(f"can't read {path}: {error.strerror}") from error
        uri = f"{self._uri}/code/{digest}/{path.name}"
        if self._s3 is not None and not self._is_there(uri, path):
            self._say(f"uploading {path.name} ({path.stat().st_size / 1e6:,.1f} MB) to {uri}")
            self._s3.upload_file(str(path), *split_uri(uri))
        return uri

    def _is_there(self, uri: str, path: Path) -> bool:
        bucket, key = split_uri(uri)
        try:
            return bool(self._s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == path.stat().st_size)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                return False
            raise SubmitError(f"can't look at {uri}: {error}") from error
