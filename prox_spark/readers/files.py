"""Places of input files, on local disks and object stores alike."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow.fs as pafs

from prox_spark.errors import InputError, first_line
from prox_spark.readers.globs import first_glob

_SCHEMES = ("s3", "s3a", "s3n", "gs", "hdfs", "viewfs")


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        uri: absolute local path or URI, as `provenance.file` has it.
        n_bytes: its size, compressed.
        source: what the input that it was found under is called.
        modified_ns: when it was changed last, since 1970; None where nobody knows.
    """

    uri: str
    n_bytes: int
    source: str
    modified_ns: int | None = None


def check_unmodified(file: InputFile) -> None:
    """See that a file that is read twice is the same.

    Raises:
        InputError: it was changed since it was listed.
    """
    if file.modified_ns is None:
        return
    filesystem, path, _ = find_filesystem(file.uri)
    info = filesystem.get_file_info(path)
    # Object stores list milliseconds, and tell of one file the second only.
    unit_ns = 10**9 if is_uri(file.uri) else 1
    is_same_time = info.mtime_ns is not None and info.mtime_ns // unit_ns == file.modified_ns // unit_ns
    if info.size != file.n_bytes or not is_same_time:
        raise InputError(
            f"{file.uri} was changed while it was read. Start again when it is whole: what is in the lake by then stays."
        )


def is_uri(path: str) -> bool:
    """True if it has a scheme, such as s3:// or file:/."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path))


def absolute(path: str) -> str:
    """The path as tables keep it: local ones absolute, so that a second ingest from another folder finds the same."""
    if path.startswith("file:"):
        path = re.sub(r"^file:/+", "/", path)
    return path if is_uri(path) else os.path.abspath(os.path.expanduser(path))


def partitioned_folder(uri: str, path: str) -> str | None:
    """The folder above the first one that is called `name=value`; None where a file lies in none such.

    Args:
        uri: of the file.
        path: folder or glob that it was found by, absolute; folders above it, or above its first sign of a glob, don't count.
    """
    folders = uri.split("/")[:-1]
    parts = path.rstrip("/").split("/")
    above = first_glob(parts)
    above = len(parts) if above is None else above
    names = (i for i, folder in enumerate(folders) if i >= above and re.fullmatch(r"[^=]+=.*", folder))
    first = next(names, None)
    return None if first is None else "/".join(folders[:first]) or "/"


def literal(path: str) -> str:
    """The path as a glob that matches nothing else."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", path)


def can_be_listed(path: str) -> bool:
    """True if it is in a store that `list_files` knows."""
    return not is_uri(path) or path.partition("://")[0] in _SCHEMES


def is_folder_with(path: str, name: str) -> bool:
    """True if the path is a folder that holds a folder of this name; False where the store can't be listed."""
    try:
        filesystem, root, _ = find_filesystem(absolute(path))
        return bool(filesystem.get_file_info(f"{root.rstrip('/')}/{name}").type == pafs.FileType.Directory)
    except (OSError, ValueError):
        return False


def list_folders(path: str) -> list[str]:
    """Names of the folders in a folder, without those of bookkeeping; none where it is not there."""
    filesystem, root, _ = find_filesystem(absolute(path))
    infos = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
    return sorted(
        info.base_name for info in infos if info.type == pafs.FileType.Directory and info.base_name[0] not in "._"
    )


@contextmanager
def open_raw(uri: str) -> Iterator[BinaryIO]:
    """Opens the bytes as stored, seekable.

    Raises:
        OSError: the file can't be opened; the message says why. Others while it is read.
    """
    filesystem, path, _ = find_filesystem(uri)
    try:
        raw = filesystem.open_input_file(path)
    except OSError as error:
        raise OSError(_say_why_closed(uri, error)) from error
    with raw:
        yield raw


def _say_why_closed(uri: str, error: OSError) -> str:
    if is_uri(uri):
        return first_line(error)
    if error.errno == errno.ELOOP:
        return f"{uri} is a link that leads back to itself"
    if error.errno == errno.ENOENT and os.path.islink(uri):
        return f"{uri} is a link to {os.readlink(uri)}, which is not there"
    if error.errno == errno.ENOENT:
        return f"{uri} is not there. Where executors run on other machines, a local path must lead to the files on each of them"
    if error.errno == errno.EACCES:
        return f"{uri} may not be read by the user that runs this"
    return first_line(error)


def corrupt_errors() -> tuple[type[BaseException], ...]:
    """What a file that is damaged, cut off or not readable raises while it is read."""
    import zlib

    import zstandard

    return (EOFError, OSError, zlib.error, zstandard.ZstdError)


def find_filesystem(path: str) -> tuple[Any, str, str]:
    """(file system, path in it, what to put before such a path to have the user's kind of URI again)."""
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
    # Only the host goes through the URI parser: keys may hold blanks, globs and signs that no URI may.
    # s3a and s3n are Hadoop's names for what everyone else calls s3.
    filesystem, root = pafs.FileSystem.from_uri(f"{'s3' if scheme in ('s3a', 's3n') else scheme}://{host}/")
    prefix = f"{scheme}://{host}" if root.startswith("/") else f"{scheme}://"
    return filesystem, f"{root.rstrip('/')}/{inside}", prefix
