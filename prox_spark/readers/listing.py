"""The files of an input: those that a path, folder or glob matches, and those of them that are passed over."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.fs as pafs

from prox_spark.errors import RecipeError, first_line
from prox_spark.logins import hide_secrets
from prox_spark.places import canonical, describe_login, find_filesystem
from prox_spark.readers.bystanders import HIDDEN, PassedOver, explain_passed_over
from prox_spark.readers.files import InputFile
from prox_spark.readers.formats import derive_source
from prox_spark.readers.globs import compile_glob, find_first_glob, find_max_depth, is_hidden

_SELF_LINK = "a link back to a folder that it lies in"
_NO_FILE = "a pipe, socket or device"


@dataclass(frozen=True)
class Listing:
    """The files that a path of the input matches.

    Attributes:
        files: files to read, in order of their names. Broken links are among them, because their reader says what they are.
        passed_over: bystanders and hidden files.
        is_named: the path is that of the one file itself, not of a folder or glob.
    """

    files: tuple[InputFile, ...]
    passed_over: tuple[PassedOver, ...] = ()
    is_named: bool = False


@dataclass(frozen=True)
class _Entry:
    """A file or folder as a store lists it. `problem` says why an entry can be read as neither."""

    path: str
    n_bytes: int = 0
    is_folder: bool = False
    problem: str | None = None
    modified_ns: int | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def list_files(path: str) -> Listing:
    """List all files of a path, glob or folder (with the folders in it).

    A file that the path names is read, whatever its name. Folders and wildcards pass over hidden names (a `.` or `_` first)
    and bystanders such as README.md.

    Raises:
        RecipeError: nothing is there, or the store can't be opened. The message names the path.
    """
    path = canonical(path)
    try:
        filesystem, root, prefix = find_filesystem(path)
        store = _LocalStore() if isinstance(filesystem, pafs.LocalFileSystem) else _RemoteStore(filesystem)
        files, passed_over = _find(store, root)
    except re.error as error:
        raise RecipeError(f"{path} is no glob that can be read: {error}") from error
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"can't list the input {path}: {hide_secrets(first_line(error))}{describe_login(path)}"
        ) from error
    passed = tuple(PassedOver(prefix + place, why) for place, why in sorted(passed_over.items()))
    if not files and not passed:
        raise RecipeError(f"no file at {path}. Check the path; a glob needs quotes against the shell.")
    source = derive_source(path)
    found = (
        InputFile(prefix + place, entry.n_bytes, source, entry.modified_ns) for place, entry in sorted(files.items())
    )
    return Listing(tuple(found), passed, is_named=set(files) == {root})


class _LocalStore:
    """This machine's file systems. pyarrow's own listing leaves out broken links, and follows circular ones 40 times."""

    def look_up(self, path: str) -> _Entry | None:
        path = path.rstrip("/") or "/"
        return _read_local_entry(path) if os.path.lexists(path) else None

    def list_folder(
        self, folder: str, depth: int | None, in_hidden: bool, above: frozenset[str] = frozenset()
    ) -> Iterator[_Entry]:
        """Yield the entries of a folder; none if there is no such folder.

        Args:
            folder: its path.
            depth: number of levels; None for all.
            in_hidden: descend into hidden folders, too.
            above: real paths of the folders that it is in.
        """
        above |= {os.path.realpath(folder)}
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            entry = _read_local_entry(f"{folder.rstrip('/')}/{name}")
            if entry.is_folder and os.path.islink(entry.path) and os.path.realpath(entry.path) in above:
                entry = _Entry(entry.path, problem=_SELF_LINK)
            yield entry
            if entry.is_folder and depth != 1 and (in_hidden or not is_hidden(name)):
                yield from self.list_folder(entry.path, depth and depth - 1, in_hidden, above)


def _read_local_entry(path: str) -> _Entry:
    try:
        status = os.stat(path)
    except OSError:
        # A broken link, or a file that was deleted meanwhile. The reader says so.
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
        return None if info.type == pafs.FileType.NotFound else _make_remote_entry(info)

    def list_folder(self, folder: str, depth: int | None, in_hidden: bool) -> Iterator[_Entry]:
        # One selector gets everything, hidden or not, in few requests.
        selector = pafs.FileSelector(folder, recursive=depth != 1, allow_not_found=True)
        return map(_make_remote_entry, self._filesystem.get_file_info(selector))


def _make_remote_entry(info: Any) -> _Entry:
    is_folder = info.type == pafs.FileType.Directory
    return _Entry(info.path, info.size or 0, is_folder=is_folder, modified_ns=info.mtime_ns)


def _find(store: _LocalStore | _RemoteStore, path: str) -> tuple[dict[str, _Entry], dict[str, str]]:
    """Return the files of a path, and the reasons for what is passed over, both by their paths."""
    parts = path.split("/")
    fixed = find_first_glob(parts)
    named = store.look_up(path)
    if named and not named.is_folder:
        # A path that exists is literal, even if its name has brackets.
        if named.problem:
            raise ValueError(f"it is {named.problem}, which can be read once only: write it to a file")
        return {named.path: named}, {}
    if fixed is None or named:
        return _walk(store, path) if named else ({}, {})
    base, glob = "/".join(parts[:fixed]) or "/", "/".join(parts[fixed:]).rstrip("/")
    visible, any_name = compile_glob(glob), compile_glob(glob, with_hidden=True)
    files: dict[str, _Entry] = {}
    passed_over: dict[str, str] = {}
    for entry in store.list_folder(base, find_max_depth(glob), in_hidden=True):
        inside = entry.path[len(base.rstrip("/")) + 1 :]
        if not any_name.fullmatch(inside):
            continue
        if not visible.fullmatch(inside):
            place = _find_first_hidden(inside.split("/"), except_for=glob.split("/"))
            passed_over[_cut_path(entry, base, place)] = HIDDEN
        elif entry.is_folder:
            more_files, more_passed_over = _walk(store, entry.path)
            files |= more_files
            passed_over |= more_passed_over
        elif not entry.problem and (is_hidden(entry.name) or find_first_glob([glob.rpartition("/")[2]]) is None):
            # The glob names the dot or underscore, or the whole name, itself: the file is wanted.
            files[entry.path] = entry
        else:
            _sort_in(entry, files, passed_over)
    return files, passed_over


def _walk(store: _LocalStore | _RemoteStore, folder: str) -> tuple[dict[str, _Entry], dict[str, str]]:
    """Return the files of a folder and those below it, as `_find`. A hidden folder is passed over as one."""
    files: dict[str, _Entry] = {}
    passed_over: dict[str, str] = {}
    entries = list(store.list_folder(folder, None, in_hidden=False))
    _refuse_tables(folder, (entry.path for entry in entries))
    for entry in entries:
        hidden = _find_first_hidden(entry.path[len(folder.rstrip("/")) + 1 :].split("/"))
        if hidden is not None:
            passed_over[_cut_path(entry, folder, hidden)] = HIDDEN
        elif not entry.is_folder:
            _sort_in(entry, files, passed_over)
    return files, passed_over


def _find_first_hidden(parts: list[str], except_for: Sequence[str] = ()) -> int | None:
    return next((n for n, part in enumerate(parts) if is_hidden(part) and part not in except_for), None)


def _cut_path(entry: _Entry, folder: str, n_levels: int | None) -> str:
    """Return the path of an entry up to a level below the folder. The path of a folder ends with a slash."""
    start = len(folder.rstrip("/")) + 1
    parts = entry.path[start:].split("/")
    end = len(parts) if n_levels is None else n_levels + 1
    is_folder = entry.is_folder or end < len(parts)
    return entry.path[:start] + "/".join(parts[:end]) + "/" * is_folder


def _sort_in(entry: _Entry, files: dict[str, _Entry], passed_over: dict[str, str]) -> None:
    if why := entry.problem or explain_passed_over(entry.name):
        passed_over[entry.path] = why
    else:
        files[entry.path] = entry


def _refuse_tables(folder: str, paths: Iterable[str]) -> None:
    """Raise RecipeError if a folder holds a table whose Parquet files may keep deleted rows."""
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
