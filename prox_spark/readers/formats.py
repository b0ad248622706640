"""Which format a file has, by its name, else by its first bytes."""

from __future__ import annotations

from enum import StrEnum

from prox_spark.errors import RecipeError
from prox_spark.readers.codecs import CODECS
from prox_spark.readers.signatures import looks_like_json, say_what_it_is

_SUFFIXES_OF_CODECS = tuple(suffix for codec in CODECS for suffix in codec.suffixes)


class InputFormat(StrEnum):
    """A format of `input.format`; the value is what stands in the recipe."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    DELTA = "delta"
    WARC = "warc"
    WET = "wet"

    @property
    def is_table(self) -> bool:
        """True if Spark reads it itself, columns and all; the others are files of records, read by our own readers."""
        return self in (InputFormat.PARQUET, InputFormat.DELTA)


_SUFFIXES = {
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".jsonlines": InputFormat.JSONL,
    ".jl": InputFormat.JSONL,
    ".json": InputFormat.JSONL,
    ".parquet": InputFormat.PARQUET,
    ".parq": InputFormat.PARQUET,
    ".pq": InputFormat.PARQUET,
    ".warc": InputFormat.WARC,
    ".wet": InputFormat.WET,
}


def format_of_name(name: str) -> InputFormat | None:
    """Format of a file by its name; None: it says nothing. Folders of Delta tables are the business of `pipeline.inputs`."""
    stem = without_compression(name.lower())
    return next((kind for suffix, kind in _SUFFIXES.items() if stem.endswith(suffix)), None)


def format_of_content(head: bytes) -> InputFormat | None:
    """Format of a file by its beginning.

    Args:
        head: decompressed; some kilobytes, for WET files begin as WARC files do.
    """
    if head.startswith(b"PAR1"):
        return InputFormat.PARQUET
    if head.startswith(b"WARC/"):
        return InputFormat.WET if b"\nwarc-type: conversion" in head.lower() else InputFormat.WARC
    # An array is one document, which no reader takes apart, but its row in quarantine says so.
    return InputFormat.JSONL if looks_like_json(head) else None


def detect_format(name: str, head: bytes = b"") -> InputFormat:
    """Format of a file by its name, else by its content.

    Args:
        name: a path, URI or base name.
        head: first bytes, decompressed; none: only the name counts.

    Raises:
        RecipeError: a WAT file, or neither says anything; the message says what to pass.
    """
    if kind := format_of_name(name) or format_of_content(head):
        return kind
    stem = without_compression(name.lower())
    if stem.endswith(".wat"):
        raise RecipeError(
            f"{name} is a WAT file: metadata and links of pages, without their text. "
            "Pass the .warc.gz or .warc.wet.gz file of the same name."
        )
    if stem.endswith(".arc"):
        raise RecipeError(f"{name} is an ARC file, the format before WARC: `warcio recompress` makes a .warc.gz of it")
    if message := say_what_it_is(head):
        raise RecipeError(f"{name} can't be read: {message}")
    raise RecipeError(
        f"can't tell the format of {name} by its name or content. Pass --format jsonl, parquet, delta, warc or wet, "
        "or a glob that matches only the files meant, such as 'folder/*.jsonl.gz'."
    )


def without_compression(name: str) -> str:
    """The name without .gz, .zst and the like."""
    for suffix in _SUFFIXES_OF_CODECS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def data_suffix(name: str) -> str:
    """The end of a name that tells format and compression, such as `.jsonl.gz`; empty where it tells no format."""
    stem = without_compression(name)
    suffix = next((suffix for suffix in _SUFFIXES if stem.lower().endswith(suffix)), "")
    return name[len(stem) - len(suffix) :] if suffix else ""


def source_name(path: str) -> str:
    """What an input is called in the `source` column: its base name without extensions, globs left out.

    Example:
        >>> source_name("s3://crawl/2024-22/*.warc.gz"), source_name("web/pages.jsonl.gz"), source_name("cc-v1.5/")
        ('2024-22', 'pages', 'cc-v1.5')
    """
    parts = [part for part in path.rstrip("/").split("/") if not set(part) & set("*?[{")]
    name = parts[-1] if parts and not parts[-1].endswith(":") else ""
    # Only known extensions go: in a name such as cc-v1.5 the dot belongs to it.
    name = without_compression(name)
    while True:
        for suffix in (*_SUFFIXES, ".wat"):
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
                break
        else:
            return name.strip(". ") or "unknown"
