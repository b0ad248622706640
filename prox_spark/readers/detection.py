"""The formats of an input's files, by their names, and by their content where a name says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from prox_spark.errors import RecipeError
from prox_spark.readers.bystanders import PassedOver
from prox_spark.readers.files import InputFile
from prox_spark.readers.formats import (
    detect_format,
    find_data_suffix,
    find_format_by_content,
    find_format_by_name,
    list_formats,
)
from prox_spark.readers.globs import find_first_glob
from prox_spark.readers.listing import Listing
from prox_spark.readers.registry import InputFormat
from prox_spark.readers.signatures import explain_content
from prox_spark.readers.streams import read_head

Found = tuple[InputFile, InputFormat]

# Concurrent requests: each is a round trip to a store.
_N_THREADS = 16


def detect_formats(listing: Listing, path: str) -> tuple[list[Found], list[PassedOver]]:
    """Detect the format of each file that was listed for a path.

    Returns:
        The files with their formats, in the same order, and the files of a folder or glob that are passed over: those without
        content whose names tell no format. A file that can't be opened counts as JSON Lines, whose reader says why.

    Raises:
        RecipeError: neither name nor content tell a format, and the file may hold data. The message says what to pass.
    """
    unknown = [file for file in listing.files if not find_format_by_name(file.uri)]
    with ThreadPoolExecutor(_N_THREADS) as pool:
        heads = dict(zip((file.uri for file in unknown), pool.map(_try_read_head, unknown), strict=True))
    found: list[Found] = []
    passed_over: list[PassedOver] = []
    odd: list[InputFile] = []
    for file in listing.files:
        head = heads.get(file.uri, b"")
        if kind := InputFormat.JSONL if head is None else find_format_by_name(file.uri) or find_format_by_content(head):
            found.append((file, kind))
        elif listing.is_named:
            detect_format(file.uri, head or b"")
        elif head:
            odd.append(file)
        else:
            passed_over.append(PassedOver(file.uri, "empty"))
    if odd:
        raise RecipeError(_explain_odd(odd, heads[odd[0].uri] or b"", path, [file for file, _ in found]))
    return found, passed_over


def _explain_odd(odd: Sequence[InputFile], head: bytes, path: str, others: Sequence[InputFile]) -> str:
    more = f" (and of {len(odd) - 1:,} more)" if len(odd) > 1 else ""
    what = f"; {message}" if (message := explain_content(head)) else ""
    cure = (
        f"Pass a glob that matches only the files meant, such as '{suggest_glob(path, others)}'"
        if others
        else f"Pass --format {list_formats()}"
    )
    return f"can't tell the format of {odd[0].uri}{more} by its name or content, and it may hold data{what}. {cure}."


def suggest_glob(path: str, files: Sequence[InputFile]) -> str:
    """Return a glob below a path that matches the files with the most frequent suffix."""
    parts = path.rstrip("/").split("/")
    folder = "/".join(parts[: find_first_glob(parts)])
    suffixes = Counter(find_data_suffix(file.uri) for file in files)
    suffix = max(suffixes, key=lambda suffix: suffixes[suffix])
    depths = {file.uri.count("/") for file in files}
    deep = "" if depths == {folder.count("/") + 1} else "**/"
    return f"{folder}/{deep}*{suffix}"


def _try_read_head(file: InputFile) -> bytes | None:
    """Return the first bytes of the content; None if the file can't be opened."""
    try:
        return read_head(file.uri)
    except OSError:
        return None
