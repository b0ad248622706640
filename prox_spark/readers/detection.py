"""Which formats the files of an input have: by their names, and by their content where a name says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from prox_spark.errors import RecipeError
from prox_spark.readers.bystanders import PassedOver
from prox_spark.readers.files import InputFile
from prox_spark.readers.formats import InputFormat, data_suffix, detect_format, format_of_content, format_of_name
from prox_spark.readers.globs import first_glob
from prox_spark.readers.listing import Listing
from prox_spark.readers.signatures import say_what_it_is
from prox_spark.readers.streams import read_head

Found = tuple[InputFile, InputFormat]

# Requests under way at once, where each is a round trip to a store.
_N_THREADS = 16


def detect_formats(listing: Listing, path: str) -> tuple[list[Found], list[PassedOver]]:
    """Tells the format of each file that was listed for a path.

    Returns:
        The files with their formats, in the same order, and what is passed over of a folder or glob: files without content
        and without a name that tells a format. A file that can't be opened counts as JSON Lines: its reader says why.

    Raises:
        RecipeError: neither name nor content tell a format, and the file may hold data; the message says what to pass.
    """
    unknown = [file for file in listing.files if not format_of_name(file.uri)]
    with ThreadPoolExecutor(_N_THREADS) as pool:
        heads = dict(zip((file.uri for file in unknown), pool.map(_head, unknown), strict=True))
    found: list[Found] = []
    passed_over: list[PassedOver] = []
    odd: list[InputFile] = []
    for file in listing.files:
        head = heads.get(file.uri, b"")
        if kind := InputFormat.JSONL if head is None else format_of_name(file.uri) or format_of_content(head):
            found.append((file, kind))
        elif listing.is_named:
            detect_format(file.uri, head or b"")
        elif head:
            odd.append(file)
        else:
            passed_over.append(PassedOver(file.uri, "empty"))
    if odd:
        raise RecipeError(_say_what_is_odd(odd, heads[odd[0].uri] or b"", path, [file for file, _ in found]))
    return found, passed_over


def _say_what_is_odd(odd: Sequence[InputFile], head: bytes, path: str, others: Sequence[InputFile]) -> str:
    more = f" (and of {len(odd) - 1:,} more)" if len(odd) > 1 else ""
    what = f"; {message}" if (message := say_what_it_is(head)) else ""
    cure = (
        f"Pass a glob that matches only the files meant, such as '{suggest_glob(path, others)}'"
        if others
        else "Pass --format jsonl, parquet, delta, warc or wet"
    )
    return f"can't tell the format of {odd[0].uri}{more} by its name or content, and it may hold data{what}. {cure}."


def suggest_glob(path: str, files: Sequence[InputFile]) -> str:
    """A glob below a path that matches the files of its most frequent kind."""
    parts = path.rstrip("/").split("/")
    folder = "/".join(parts[: first_glob(parts)])
    suffixes = Counter(data_suffix(file.uri) for file in files)
    suffix = max(suffixes, key=lambda suffix: suffixes[suffix])
    depths = {file.uri.count("/") for file in files}
    deep = "" if depths == {folder.count("/") + 1} else "**/"
    return f"{folder}/{deep}*{suffix}"


def _head(file: InputFile) -> bytes | None:
    """The first bytes of the content; None where the file can't be opened."""
    try:
        return read_head(file.uri)
    except OSError:
        return None
