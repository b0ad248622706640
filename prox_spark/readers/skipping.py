"""Files without documents, by the recipe: `input.skip`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prox_spark.places import canonical
from prox_spark.readers.bystanders import PassedOver
from prox_spark.readers.globs import compile_glob, find_first_glob
from prox_spark.readers.listing import Listing

_WHY = "input.skip"


def skip_files(listing: Listing, path: str, globs: Sequence[str]) -> Listing:
    """Return the listing of a path with the files that match a glob passed over.

    Args:
        listing: files of the path. A file that the path itself names is never skipped.
        path: the globs match below the folder that it names before its own first wildcard.
        globs: those of the recipe.
    """
    if listing.is_named or not globs:
        return listing
    parts = canonical(path).split("/")
    base = "/".join(parts[: find_first_glob(parts)]).rstrip("/") + "/"
    patterns = [compile_glob(glob, with_hidden=True) for glob in globs]
    skipped = {f.uri for f in listing.files if any(p.fullmatch(f.uri.removeprefix(base)) for p in patterns)}
    return replace(
        listing,
        files=tuple(file for file in listing.files if file.uri not in skipped),
        passed_over=(*listing.passed_over, *(PassedOver(uri, _WHY) for uri in sorted(skipped))),
    )
