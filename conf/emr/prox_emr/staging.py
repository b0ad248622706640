"""Upload of jobs, wheel and environment to S3. The key holds the content's hash: what is there already is not sent again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from prox_emr.errors import SubmitError
from prox_emr.progress import say
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
    """The folder of a run in S3, and the files that belong there."""

    def __init__(self, uri: str) -> None:
        """Args: uri is that of the folder."""
        self._uri = uri
        self._files: dict[str, Path] = {}

    def add(self, path: Path) -> str:
        """Return the URI that a file will have after `upload`.

        Raises:
            SubmitError: the file is missing.
        """
        try:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()[:16]
        except OSError as error:
            raise SubmitError(f"can't read {path}: {error.strerror}") from error
        uri = f"{self._uri}/code/{digest}/{path.name}"
        self._files[uri] = path
        return uri

    def upload(self, s3: Any) -> None:
        """Send the files that are not there yet.

        Args:
            s3: boto3's client.

        Raises:
            SubmitError: S3 refuses.
        """
        for uri, path in self._files.items():
            if not _is_there(s3, uri, path):
                say(f"uploading {path.name} ({path.stat().st_size / 1e6:,.1f} MB) to {uri}")
                s3.upload_file(str(path), *split_uri(uri))


def _is_there(s3: Any, uri: str, path: Path) -> bool:
    bucket, key = split_uri(uri)
    try:
        return bool(s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == path.stat().st_size)
    except ClientError as error:
        # S3 says 403 of a key that is missing to those who may not list the bucket.
        if error.response["Error"]["Code"] in ("404", "403"):
            return False
        raise SubmitError(f"can't look at {uri}: {error}") from error
