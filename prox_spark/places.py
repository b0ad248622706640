"""Places of data: local paths, URIs of object stores and names of tables in a catalog."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

_SCHEMES = ("s3", "s3a", "s3n", "gs", "hdfs", "viewfs")
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


def find_filesystem(path: str) -> tuple[Any, str, str]:
    """Find the file system that holds an absolute path or URI.

    Returns:
        The file system, the path in it, and the prefix that makes a URI of the user's kind out of such a path.

    Raises:
        ValueError: the URI's scheme is not supported.
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
    # Only the host goes through the URI parser: keys may hold blanks, globs and characters that no URI may.
    # s3a and s3n are Hadoop's names for what everyone else calls s3.
    filesystem, root = pafs.FileSystem.from_uri(f"{'s3' if scheme in ('s3a', 's3n') else scheme}://{host}/")
    prefix = f"{scheme}://{host}" if root.startswith("/") else f"{scheme}://"
    return filesystem, f"{root.rstrip('/')}/{inside}", prefix
