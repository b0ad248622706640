"""Finding the files of an input: what a path, folder or glob holds, and what of it is passed over."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.fs as pafs

from prox_spark.errors import RecipeError, first_line
from prox_spark.places import canonical, find_filesystem
from prox_spark.readers.bystanders import HIDDEN, PassedOver, say_why_passed_over
from prox_spark.readers.files import InputFile
from prox_spark.readers.formats import source_name
from prox_spark.readers.globs import compile_glob, first_glob, is_hidden, max_depth

_SELF_LINK = "a link back to a folder that it lies in"
_NO_FILE = "a pipe, socket or device"


@dataclass(frozen=True)
class Listing:
    """What a path of the input holds.

    Attributes:
        files: to be read, in order of their names; a link to nowhere among them, for its reader says what it is.
        passed_over: bystanders and hidden files.
        is_named: the path is that of the one file itself, not of a folder or glob.
    """

    files: tuple[InputFile, ...]
    passed_over: tuple[PassedOver, ...] = ()
    is_named: bool = False


@dataclass(frozen=True)
class _Entry:
    """A file or folder as a store lists it; `problem` of what is neither, as far as can be read."""

    path: str
    n_bytes: int = 0
    is_folder: bool = False
    problem: str | None = None
    modified_ns: int | None = None


def list_files(path: str) -> Listing:
    """Lists all files of a path, glob or folder (with the folders in it).

    A file that is named is read, whatever its name. In folders and for the wildcards of globs, hidden names (a `.` or `_`
    first) and bystanders such as README.md are passed over.

    Raises:
        RecipeError: nothing there, or a store that can't be opened; the message names the path.
    """
    path = canonical(path)
    try:
        filesystem, root, prefix = find_filesystem(path)
        store = _LocalStore() if isinstance(filesystem, pafs.LocalFileSystem) else _RemoteStore(filesystem)
        files, passed_over = _find(store, root)
    except re.error as error:
        raise RecipeError(f"{path} is no glob that can be read: {error}") from error
    except (OSError, ValueError) as error:
        hint = (
            " (logins come from AWS_* variables or the host's role, not from Spark's settings)"
            if path[:2] == "s3"
            else ""
        )
        raise RecipeError(f"can't list the input {path}: {first_line(error)}{hint}") from error
    passed = tuple(PassedOver(prefix + place, why) for place, why in sorted(passed_over.items()))
    if not files and not passed:
        raise RecipeError(f"no file at {path}. Check the path; a glob needs quotes against the shell.")
    source = source_name(path)
    found = (
        InputFile(prefix + place, entry.n_bytes, source, entry.modified_ns) for place, entry in sorted(files.items())
    )
    return Listing(tuple(found), passed, is_named=set(files) == {root})


class _LocalStore:
    """This machine's file systems. pyarrow's listing leaves out links to nowhere, and goes 40 times around those in a circle."""

    def look_up(self, path: str) -> _Entry | None:
        path = path.rstrip("/") or "/"
        return _local_entry(path) if os.path.lexists(path) else None

    def list_folder(
        self, folder: str, depth: int | None, in_hidden: bool, above: frozenset[str] = frozenset()
    ) -> Iterator[_Entry]:
        """Yields what is in a folder; nothing where there is no such folder.

        Args:
            folder: its path.
            depth: how many levels; None: all.
            in_hidden: also what is in hidden folders below it.
            above: the folders that it lies in.
        """
        above |= {os.path.realpath(folder)}
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            entry = _local_entry(f"{folder.rstrip('/')}/{name}")
            if entry.is_folder and os.path.islink(entry.path) and os.path.realpath(entry.path) in above:
                entry = _Entry(entry.path, problem=_SELF_LINK)
            yield entry
            if entry.is_folder and depth != 1 and (in_hidden or not is_hidden(name)):
                yield from self.list_folder(entry.path, depth and depth - 1, in_hidden, above)


def _local_entry(path: str) -> _Entry:
    try:
        status = os.stat(path)
    except OSError:
        # A link to nowhere, or a file that went away: who reads it says so.
        return _Entry(path)
    if stat.S_ISDIR(status.st_mode):
        return _Entry(path, is_folder=True)
    if not stat.S_ISREG(status.st_mode):
        return _Entry(path, problem=_NO_FILE)
    return _Entry(path, n_bytes=status.st_size, modified_ns=status.st_mtime_ns)


class _RemoteStore:
    """An object store or HDFS."""

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem

    def look_up(self, path: str) -> _Entry | None:
        info = self._filesystem.get_file_info(path)
        return None if info.type == pafs.FileType.NotFound else _remote_entry(info)

    def list_folder(self, folder: str, depth: int | None, in_hidden: bool) -> Iterator[_Entry]:
        # All of it in few calls, hidden or not.
        selector = pafs.FileSelector(folder, recursive=depth != 1, allow_not_found=True)
        return map(_remote_entry, self._filesystem.get_file_info(selector))


def _remote_entry(info: Any) -> _Entry:
    is_folder = info.type == pafs.FileType.Directory
    return _Entry(info.path, info.size or 0, is_folder=is_folder, modified_ns=info.mtime_ns)


def _find(store: _LocalStore | _RemoteStore, path: str) -> tuple[dict[str, _Entry], dict[str, str]]:
    """The files of a path, and what is passed over, with why: both by their places."""
    parts = path.split("/")
    fixed = first_glob(parts)
    named = store.look_up(path)
    if named and not named.is_folder:
        # A file whose very name has brackets is meant literally.
        if named.problem:
            raise ValueError(f"it is {named.problem}, which can be read once only: write it to a file")
        return {named.path: named}, {}
    if fixed is None or named:
        return _walk(store, path) if named else ({}, {})
    base, glob = "/".join(parts[:fixed]) or "/", "/".join(parts[fixed:]).rstrip("/")
    visible, any_name = compile_glob(glob), compile_glob(glob, with_hidden=True)
    files: dict[str, _Entry] = {}
    passed_over: dict[str, str] = {}
    for entry in store.list_folder(base, max_depth(glob), in_hidden=True):
        inside = entry.path[len(base.rstrip("/")) + 1 :]
        if not any_name.fullmatch(inside):
            continue
        if not visible.fullmatch(inside):
            place = _first_hidden(inside.split("/"), except_for=glob.split("/"))
            passed_over[_place(entry, base, place)] = HIDDEN
        elif entry.is_folder:
            more_files, more_passed_over = _walk(store, entry.path)
            files |= more_files
            passed_over |= more_passed_over
        elif not entry.problem and (is_hidden(_name(entry)) or first_glob([glob.rpartition("/")[2]]) is None):
            # The glob has the sign of hidden names, or the whole name, itself: it is meant.
            files[entry.path] = entry
        else:
            _sort_in(entry, files, passed_over)
    return files, passed_over


def _walk(store: _LocalStore | _RemoteStore, folder: str) -> tuple[dict[str, _Entry], dict[str, str]]:
    """The files of a folder and those below it. A hidden folder is passed over as one."""
    files: dict[str, _Entry] = {}
    passed_over: dict[str, str] = {}
    entries = list(store.list_folder(folder, None, in_hidden=False))
    _refuse_tables(folder, (entry.path for entry in entries))
    for entry in entries:
        hidden = _first_hidden(entry.path[len(folder.rstrip("/")) + 1 :].split("/"))
        if hidden is not None:
            passed_over[_place(entry, folder, hidden)] = HIDDEN
        elif not entry.is_folder:
            _sort_in(entry, files, passed_over)
    return files, passed_over


def _first_hidden(parts: list[str], except_for: Sequence[str] = ()) -> int | None:
    return next((n for n, part in enumerate(parts) if is_hidden(part) and part not in except_for), None)


def _place(entry: _Entry, folder: str, n_levels: int | None) -> str:
    """The path of an entry up to a level below the folder; that of a folder ends with a slash."""
    start = len(folder.rstrip("/")) + 1
    parts = entry.path[start:].split("/")
    end = len(parts) if n_levels is None else n_levels + 1
    is_folder = entry.is_folder or end < len(parts)
    return entry.path[:start] + "/".join(parts[:end]) + "/" * is_folder


def _sort_in(entry: _Entry, files: dict[str, _Entry], passed_over: dict[str, str]) -> None:
    if why := entry.problem or say_why_passed_over(_name(entry)):
        passed_over[entry.path] = why
    else:
        files[entry.path] = entry


def _name(entry: _Entry) -> str:
    return entry.path.rpartition("/")[2]


def _refuse_tables(folder: str, paths: Iterable[str]) -> None:
    """Raises RecipeError where a folder holds a table of a format that keeps rows which it deleted in its Parquet files."""
    for path in paths:
        if found := re.fullmatch(r"(.*)/(?:(_delta_log)|(\.hoodie)|metadata/[^/]+(\.metadata\.json))", path):
            table, is_delta, is_hudi, _ = found.groups()
            if is_delta:
                raise RecipeError(f"{folder} holds the Delta table {table}: pass the table itself as the input")
            kind = "Hudi" if is_hudi else "Iceberg"
            raise RecipeError(
                f"{folder} holds the {kind} table {table}, whose files hold deleted rows too: export it as Parquet or "
                "Delta, or pass a glob of its Parquet files to read them as they are"
            )
