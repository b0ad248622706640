"""Finding input files and reading them as streams, on local disks and object stores alike."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow.fs as pafs

from prox_spark.errors import RecipeError
from prox_spark.ingest.formats import source_name

_GLOB = set("*?[{")
_SCHEMES = ("s3", "s3a", "s3n", "gs", "hdfs", "viewfs")
_READ_BYTES = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        uri: absolute local path or URI, as `provenance.file` has it.
        n_bytes: its size, compressed.
        source: what the input that it was found under is called.
    """

    uri: str
    n_bytes: int
    source: str


def is_uri(path: str) -> bool:
    """Has it a scheme, such as s3:// or file:/?"""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path))


def absolute(path: str) -> str:
    """The path as tables keep it: local ones absolute, so that a second ingest from another folder finds the same."""
    if path.startswith("file:"):
        path = re.sub(r"^file:/+", "/", path)
    return path if is_uri(path) else os.path.abspath(os.path.expanduser(path))


def list_files(path: str) -> list[InputFile]:
    """All files of a path, glob or folder (with the folders in it), in order of their names.

    Names that begin with `_` or `.` inside a folder are bookkeeping (`_SUCCESS`, `.part.crc`) and left out.

    Raises:
        RecipeError: nothing there, or a store that can't be opened; the message names the path.
    """
    path = absolute(path)
    try:
        filesystem, root, prefix = _filesystem(path)
        infos = list(_find(filesystem, root))
    except (OSError, ValueError) as error:
        hint = (
            " (logins come from AWS_* variables or the host's role, not from Spark's settings)"
            if path[:2] == "s3"
            else ""
        )
        raise RecipeError(f"can't list the input {path}: {error}{hint}") from error
    if not infos:
        raise RecipeError(f"no file at {path}. Check the path; a glob needs quotes against the shell.")
    source = source_name(path)
    return [
        InputFile(uri=prefix + info.path, n_bytes=info.size or 0, source=source)
        for info in sorted(infos, key=lambda info: info.path)
    ]


def partitioned_folder(uri: str, path: str) -> str | None:
    """The folder above the first one that is called `name=value`; None where a file lies in none such.

    Args:
        uri: of the file.
        path: folder or glob that it was found by, absolute; folders above it, or above its first sign of a glob, don't count.
    """
    folders = uri.split("/")[:-1]
    parts = path.rstrip("/").split("/")
    above = _first_glob(parts)
    above = len(parts) if above is None else above
    names = (i for i, folder in enumerate(folders) if i >= above and re.fullmatch(r"[^=]+=.*", folder))
    first = next(names, None)
    return None if first is None else "/".join(folders[:first]) or "/"


def literal(path: str) -> str:
    """The path as a glob that matches nothing else."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", path)


def can_be_listed(path: str) -> bool:
    """Is it in a store that `list_files` knows."""
    return not is_uri(path) or path.partition("://")[0] in _SCHEMES


def is_folder_with(path: str, name: str) -> bool:
    """Is the path a folder that holds a folder of this name? False where the store can't be listed."""
    try:
        filesystem, root, _ = _filesystem(absolute(path))
        return bool(filesystem.get_file_info(f"{root.rstrip('/')}/{name}").type == pafs.FileType.Directory)
    except (OSError, ValueError):
        return False


@contextmanager
def open_raw(uri: str) -> Iterator[BinaryIO]:
    """The bytes as stored, seekable."""
    filesystem, path, _ = _filesystem(uri)
    with filesystem.open_input_file(path) as raw:
        yield raw


@contextmanager
def open_text(uri: str) -> Iterator[BinaryIO]:
    """The decompressed bytes as a stream; several gzip members or zstd frames in one file are one text.

    Reading raises EOFError where a compressed stream ends early, after all that could be decompressed was returned;
    see `CORRUPT` for what else a damaged file raises.
    """
    with open_raw(uri) as raw:
        head = raw.read(4)
        raw.seek(0)
        # A name that promises compression must keep the promise, or a damaged file would be read as lines of noise;
        # without one (part-00000 of some writer) the content decides.
        if uri.lower().endswith((".gz", ".zst")) and not head:
            raise EOFError("the file is empty: a compressed file has a header at least")
        if uri.lower().endswith(".gz") or head.startswith(_GZIP):
            yield gzip.GzipFile(fileobj=raw)  # type: ignore[misc]
        elif uri.lower().endswith(".zst") or head == _ZSTD:
            yield io.BufferedReader(_ZstdReader(raw), _READ_BYTES)
        else:
            yield raw


def corrupt_errors() -> tuple[type[BaseException], ...]:
    """What a file that is damaged, cut off or not readable raises while it is read."""
    import zlib

    import zstandard

    return (EOFError, OSError, zlib.error, zstandard.ZstdError)


class _ZstdReader(io.RawIOBase):
    """zstd frames as one stream. `ZstdDecompressor.stream_reader` ends without a word where a frame is cut off."""

    # A block of zstd can blow up 30,000 times: small steps bound what one step puts into memory.
    _STEP_BYTES = 16 << 10

    def __init__(self, raw: BinaryIO) -> None:
        import zstandard

        self._raw = raw
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._rest = b""
        self._out = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._out:
            block = self._rest or self._raw.read(self._STEP_BYTES)
            if not block:
                if self._frame is not None:
                    raise EOFError("the zstd stream ends before its end-of-stream marker")
                return 0
            self._frame = self._frame or self._new()
            self._out = memoryview(self._frame.decompress(block))
            self._rest = b""
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        size = min(len(buffer), len(self._out))
        buffer[:size], self._out = self._out[:size], self._out[size:]
        return size


def _filesystem(path: str) -> tuple[Any, str, str]:
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


def _first_glob(parts: Sequence[str]) -> int | None:
    """Place of the first part of a path that has a sign of a glob."""
    return next((place for place, part in enumerate(parts) if set(part) & _GLOB), None)


def _find(filesystem: Any, path: str) -> Iterable[Any]:
    parts = path.split("/")
    fixed = _first_glob(parts)
    # A file whose very name has brackets is meant literally.
    if fixed is None or filesystem.get_file_info(path).type == pafs.FileType.File:
        info = filesystem.get_file_info(path)
        return [info] if info.type == pafs.FileType.File else _walk(filesystem, path)
    base = "/".join(parts[:fixed]) or "/"
    pattern = re.compile(_regex("/".join(parts[fixed:])))
    found = [
        info
        for info in filesystem.get_file_info(pafs.FileSelector(base, recursive=len(parts) > fixed + 1 or "**" in path))
        if pattern.fullmatch(info.path[len(base.rstrip("/")) + 1 :])
    ]
    files = [info for info in found if info.type == pafs.FileType.File]
    for folder in found:
        if folder.type == pafs.FileType.Directory:
            files += _walk(filesystem, folder.path)
    return {info.path: info for info in files}.values()


def _walk(filesystem: Any, folder: str) -> Iterator[Any]:
    selector = pafs.FileSelector(folder, recursive=True, allow_not_found=True)
    for info in filesystem.get_file_info(selector):
        inside = info.path[len(folder.rstrip("/")) + 1 :].split("/")
        if inside[-1] == "_delta_log":
            # Its Parquet files hold deleted rows too.
            table = info.path.removesuffix("/_delta_log")
            raise RecipeError(f"{folder} holds the Delta table {table}: pass the table itself as the input")
        if info.type == pafs.FileType.File and not any(part[:1] in ("_", ".") for part in inside):
            yield info


def _regex(glob: str) -> str:
    """A glob as Hadoop reads it: `*` and `?` stay inside a folder, `{a,b}` are alternatives; `**/` goes any depth."""
    tokens = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}
    out, depth = [], 0
    for token in re.findall(r"\*\*/|\*\*|\[[^\]]+\]|.", glob):
        depth += (token == "{") - (token == "}")
        if token in tokens:
            out.append(tokens[token])
        elif token == "," and depth:
            out.append("|")
        elif len(token) > 1:
            out.append(token.replace("[!", "[^", 1))
        else:
            out.append(re.escape(token))
    return "".join(out)
