"""Input files on local disks and object stores."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow.fs as pafs

from prox_spark.errors import InputError, first_line
from prox_spark.logins import hide_secrets
from prox_spark.places import canonical, find_filesystem, is_uri
from prox_spark.readers.globs import find_first_glob


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        uri: absolute local path or URI, as `provenance.file` has it.
        n_bytes: its size as stored.
        source: name of the input that it was found under.
        modified_ns: time of the last change, in nanoseconds since 1970; None if unknown.
    """

    uri: str
    n_bytes: int
    source: str
    modified_ns: int | None = None


def check_unmodified(file: InputFile) -> None:
    """Check that a file which is read twice has not changed.

    Raises:
        InputError: it was changed after it was listed.
    """
    if file.modified_ns is None:
        return
    filesystem, path, _ = find_filesystem(file.uri)
    info = filesystem.get_file_info(path)
    # Object stores give milliseconds in a listing, but only seconds for a single file.
    unit_ns = 10**9 if is_uri(file.uri) else 1
    is_same_time = info.mtime_ns is not None and info.mtime_ns // unit_ns == file.modified_ns // unit_ns
    if info.size != file.n_bytes or not is_same_time:
        raise InputError(
            f"{file.uri} was changed while it was read. Start again when it is whole: what is in the lake by then stays."
        )


def find_partitioned_folder(uri: str, path: str) -> str | None:
    """Return the folder above the first one that is called `name=value`; None if the file is in no such folder.

    Args:
        uri: the file.
        path: absolute folder or glob that it was found by. Folders above it, or above the first part with wildcards, don't count.
    """
    folders = uri.split("/")[:-1]
    parts = path.rstrip("/").split("/")
    above = find_first_glob(parts)
    above = len(parts) if above is None else above
    names = (i for i, folder in enumerate(folders) if i >= above and re.fullmatch(r"[^=]+=.*", folder))
    first = next(names, None)
    return None if first is None else "/".join(folders[:first]) or "/"


def list_folders(path: str) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones; empty if there is no such folder."""
    filesystem, root, _ = find_filesystem(canonical(path))
    infos = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
    return sorted(
        info.base_name for info in infos if info.type == pafs.FileType.Directory and info.base_name[0] not in "._"
    )


@contextmanager
def open_raw(uri: str) -> Iterator[BinaryIO]:
    """Open a file's bytes as stored, seekable.

    Raises:
        OSError: the file can't be opened; the message says why. Reading may raise others.
    """
    filesystem, path, _ = find_filesystem(uri)
    try:
        raw = filesystem.open_input_file(path)
    except OSError as error:
        raise OSError(_explain_closed(uri, error)) from error
    with raw:
        yield raw


def _explain_closed(uri: str, error: OSError) -> str:
    if is_uri(uri):
        return hide_secrets(first_line(error))
    if error.errno == errno.ELOOP:
        return f"{uri} is a link that leads back to itself"
    if error.errno == errno.ENOENT and os.path.islink(uri):
        return f"{uri} is a link to {os.readlink(uri)}, which is not there"
    if error.errno == errno.ENOENT:
        return f"{uri} is not there. Where executors run on other machines, a local path must lead to the files on each of them"
    if error.errno == errno.EACCES:
        return f"{uri} may not be read by the user that runs this"
    return first_line(error)
