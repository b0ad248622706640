"""Files that the recipe says hold no documents: `input.skip`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prox_spark.places import canonical
from prox_spark.readers.bystanders import PassedOver
from prox_spark.readers.globs import compile_glob, first_glob
from prox_spark.readers.listing import Listing

_WHY = "input.skip"


def skip_files(listing: Listing, path: str, globs: Sequence[str]) -> Listing:
    """Return what a path holds without the files that a glob matches, which are passed over.

    Args:
        listing: of the path.
        path: the globs match from the folder on that it names, above its own first sign of a glob. A file that is named itself
            is meant.
        globs: of the recipe.
    """
    if listing.is_named or not globs:
        return listing
    parts = canonical(path).split("/")
    base = "/".join(parts[: first_glob(parts)]).rstrip("/") + "/"
    patterns = [compile_glob(glob, with_hidden=True) for glob in globs]
    skipped = {f.uri for f in listing.files if any(p.fullmatch(f.uri.removeprefix(base)) for p in patterns)}
    return replace(
        listing,
        files=tuple(file for file in listing.files if file.uri not in skipped),
        passed_over=(*listing.passed_over, *(PassedOver(uri, _WHY) for uri in sorted(skipped))),
    )
