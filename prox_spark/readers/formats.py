"""The format of a file, told by its name, else by its first bytes."""

from __future__ import annotations

from prox_spark.errors import RecipeError
from prox_spark.readers.codecs import CODECS
from prox_spark.readers.registry import FORMATS, InputFormat
from prox_spark.readers.signatures import explain_content

_SUFFIXES_OF_CODECS = tuple(suffix for codec in CODECS for suffix in codec.suffixes)
_SUFFIXES = {suffix: kind for kind, known in FORMATS.items() for suffix in known.suffixes}


def find_format_by_name(name: str) -> InputFormat | None:
    """Return the format that a file's name tells; None if it tells none."""
    stem = strip_compression(name.lower())
    return next((kind for suffix, kind in _SUFFIXES.items() if stem.endswith(suffix)), None)


def find_format_by_content(head: bytes) -> InputFormat | None:
    """Return the format that a file's beginning shows; None if it shows none.

    Args:
        head: decompressed; some kilobytes, because WET files begin as WARC files do.
    """
    return next((kind for kind, known in FORMATS.items() if known.matches(head)), None)


def detect_format(name: str, head: bytes = b"") -> InputFormat:
    """Return the format of a file by its name, else by its content.

    Args:
        name: a path, URI or base name.
        head: first bytes, decompressed; empty if only the name counts.

    Raises:
        RecipeError: it is a WAT file, or neither name nor content tell a format. The message says what to pass.
    """
    if kind := find_format_by_name(name) or find_format_by_content(head):
        return kind
    stem = strip_compression(name.lower())
    if stem.endswith(".wat"):
        raise RecipeError(
            f"{name} is a WAT file: metadata and links of pages, without their text. "
            "Pass the .warc.gz or .warc.wet.gz file of the same name."
        )
    if stem.endswith(".arc"):
        raise RecipeError(f"{name} is an ARC file, the format before WARC: `warcio recompress` makes a .warc.gz of it")
    if message := explain_content(head):
        raise RecipeError(f"{name} can't be read: {message}")
    raise RecipeError(
        f"can't tell the format of {name} by its name or content. Pass --format {list_formats()}, "
        "or a glob that matches only the files meant, such as 'folder/*.jsonl.gz'."
    )


def list_formats() -> str:
    """Return the names of all formats for a message.

    Example:
        >>> list_formats()
        'jsonl, parquet, delta, warc or wet'
    """
    *names, last = InputFormat
    return f"{', '.join(names)} or {last}"


def strip_compression(name: str) -> str:
    """Return the name without .gz, .zst and the like."""
    for suffix in _SUFFIXES_OF_CODECS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def find_data_suffix(name: str) -> str:
    """Return the end of a name that tells format and compression, such as `.jsonl.gz`; empty if it tells no format."""
    stem = strip_compression(name)
    suffix = next((suffix for suffix in _SUFFIXES if stem.lower().endswith(suffix)), "")
    return name[len(stem) - len(suffix) :] if suffix else ""


def derive_source(path: str) -> str:
    """Return an input's name for the `source` column: the base name without extensions, leaving out globs.

    Example:
        >>> derive_source("s3://crawl/2024-22/*.warc.gz"), derive_source("web/pages.jsonl.gz"), derive_source("cc-v1.5/")
        ('2024-22', 'pages', 'cc-v1.5')
    """
    parts = [part for part in path.rstrip("/").split("/") if not set(part) & set("*?[{")]
    name = parts[-1] if parts and not parts[-1].endswith(":") else ""
    # Only known extensions go: in a name such as cc-v1.5 the dot belongs to it.
    name = strip_compression(name)
    while True:
        for suffix in (*_SUFFIXES, ".wat"):
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
                break
        else:
            return name.strip(". ") or "unknown"
