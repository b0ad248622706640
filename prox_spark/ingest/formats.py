"""Which format a file has, by its name."""

from __future__ import annotations

from enum import StrEnum

from prox_spark.errors import RecipeError

_COMPRESSIONS = (".gz", ".zst")


class InputFormat(StrEnum):
    """A format of `input.format`; the value is what stands in the recipe."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    DELTA = "delta"
    WARC = "warc"
    WET = "wet"

    @property
    def is_table(self) -> bool:
        """Spark reads it itself, columns and all; the others are files of records, read by our own readers."""
        return self in (InputFormat.PARQUET, InputFormat.DELTA)


_SUFFIXES = {
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".json": InputFormat.JSONL,
    ".parquet": InputFormat.PARQUET,
    ".warc": InputFormat.WARC,
    ".wet": InputFormat.WET,
}


def detect_format(name: str) -> InputFormat:
    """Format of a file by its name; folders of Delta tables are the business of `ingest.inputs`.

    Args:
        name: a path, URI or base name.

    Raises:
        RecipeError: a WAT file, or a name that says nothing; the message says what to pass.
    """
    stem = without_compression(name.lower().rstrip("/"))
    if stem.endswith(".wat"):
        raise RecipeError(
            f"{name} is a WAT file: metadata and links of pages, without their text. "
            "Pass the .warc.gz or .warc.wet.gz file of the same name."
        )
    for suffix, kind in _SUFFIXES.items():
        if stem.endswith(suffix):
            return kind
    raise RecipeError(
        f"can't tell the format of {name} by its name. Pass --format jsonl, parquet, delta, warc or wet, "
        "or a glob that matches only the files meant, such as 'folder/*.jsonl.gz'."
    )


def without_compression(name: str) -> str:
    """The name without .gz or .zst."""
    for suffix in _COMPRESSIONS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


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
