"""Places of data: local paths, URIs of object stores and names of tables in a catalog."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from prox_spark.logins import S3_SCHEMES, current_logins, open_store

_SCHEMES = (*S3_SCHEMES, "gs", "hdfs", "viewfs")
_TABLE_NAME = re.compile(r"(?!.*\.(?:jsonl?|gz)$)(?:\w+|`[^`]+`)(?:\.(?:\w+|`[^`]+`)){1,2}")


def is_uri(path: str) -> bool:
    """Return True if the path has a scheme, such as s3:// or file:/."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path))


def is_table_name(name: str) -> bool:
    """Return True if this is `schema.table` or `catalog.schema.table`, and no file or folder of this machine."""
    return bool(_TABLE_NAME.fullmatch(name)) and not Path(name).exists()


def is_folder_with(path: str, name: str) -> bool:
    """Return True if the path is a folder that holds a folder of this name; False where the store can't be listed."""
    try:
        filesystem, root, _ = find_filesystem(canonical(path))
        return bool(filesystem.get_file_info(f"{root.rstrip('/')}/{name}").type == pafs.FileType.Directory)
    except (OSError, ValueError):
        return False


def can_be_listed(path: str) -> bool:
    """Return True if the path is local or in a store that `find_filesystem` knows."""
    return not is_uri(path) or path.partition("://")[0] in _SCHEMES


def absolute(path: str) -> str:
    """Return the path as Spark and Delta take it. Delta would read a relative path as a table's name; URIs stay as they are.

    Example:
        >>> absolute("dbfs:/mnt/lake"), absolute("/data/../lake")
        ('dbfs:/mnt/lake', '/lake')
    """
    return path if is_uri(path) else os.path.abspath(os.path.expanduser(path))


def canonical(path: str) -> str:
    """Return the spelling of an input's path that tables keep: absolute, and a `file:` URI as a plain path.

    A second ingest of the same file from another folder then finds the same spelling.

    Example:
        >>> canonical("file:///data/a.jsonl"), canonical("s3://bucket/a.jsonl")
        ('/data/a.jsonl', 's3://bucket/a.jsonl')
    """
    return absolute(re.sub(r"^file:/+", "/", path))


def literal(path: str) -> str:
    """Return the glob that matches this path and nothing else."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", path)


def split_bucket(path: str) -> tuple[str, str]:
    """Return the scheme and the bucket or host of a URI; two empty strings for a local path.

    Example:
        >>> split_bucket("s3a://crawl/2026/a.jsonl"), split_bucket("/data")
        (('s3a', 'crawl'), ('', ''))
    """
    if not is_uri(path):
        return "", ""
    scheme, _, rest = path.partition("://")
    return scheme, rest.partition("/")[0]


def describe_login(path: str) -> str:
    """Return where the credentials for a path on S3 come from, in brackets for the end of a message; empty for other paths."""
    scheme, bucket = split_bucket(path)
    if scheme not in S3_SCHEMES:
        return ""
    login = current_logins().get(bucket)
    at = f", endpoint {login.scheme}://{login.endpoint}" if login and login.endpoint else ""
    source = login.source if login else "AWS_* variables, a profile or the host's role; Spark's settings have none"
    return f" (credentials: {source}{at}; `prox-spark doctor` shows what is found)"


def find_filesystem(path: str) -> tuple[Any, str, str]:
    """Find the file system that holds an absolute path or URI.

    Returns:
        The file system, the path in it, and the prefix that makes a URI of the user's kind out of such a path.

    Raises:
        ValueError: the URI's scheme is not supported.
        InputError: the credentials for the bucket have expired.
    """
    if not is_uri(path):
        return pafs.LocalFileSystem(), path, ""
    scheme, _, rest = path.partition("://")
    if scheme not in _SCHEMES:
        raise ValueError(
            f"{path.split(':')[0]}:// is not among {', '.join(_SCHEMES)}. Copy the files there, or use the path where "
            "the platform mounts it (/Volumes/… and /dbfs/… on Databricks); Parquet and Delta may be on any store "
            "that Spark reads, with --format given"
        )
    host, _, inside = rest.partition("/")
    if scheme in S3_SCHEMES and (store := open_store(host)):
        return store, f"{host}/{inside}", f"{scheme}://"
    # Only the host goes through the URI parser: keys may hold blanks, globs and characters that no URI may.
    # s3a and s3n are Hadoop's names for what everyone else calls s3.
    filesystem, root = pafs.FileSystem.from_uri(f"{'s3' if scheme in S3_SCHEMES else scheme}://{host}/")
    prefix = f"{scheme}://{host}" if root.startswith("/") else f"{scheme}://"
    return filesystem, f"{root.rstrip('/')}/{inside}", prefix
