"""Files beside the data that hold none. Their names tell them; folders and globs pass over them and count them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from prox_spark.readers.formats import find_format_by_name, strip_compression
from prox_spark.readers.globs import is_hidden

HIDDEN = "hidden"

_UNFINISHED = "unfinished"
_METADATA = "about the data"
_MAX_NAMES = 5

# Tested in this order on the name in lower case. The first group also applies to names that end as data do.
_EVEN_AS_DATA = {
    # By huggingface_hub, hadoop fs, browsers, aria2, rsync, and Heritrix, which calls a WARC file `.open` while it writes it.
    _UNFINISHED: r".*(?:\.(?:incomplete|tmp|temp|part|partial|filepart|crdownload|download|aria2|inprogress|pending|open)|\._copying_)",
    "a backup or lock": r".*(?:\.(?:bak|orig|swp|lock)|~)",
    # `datasets`, TFDS, Croissant, Kaggle and Frictionless write these about the data. Other JSON is read, and one row in
    # quarantine says what it is.
    _METADATA: r"(?:dataset_infos?|dataset_dict|state|croissant(?:[_-]metadata)?|dataset-metadata|datapackage|manifest)\.json"
    r"|manifest(?:\.txt)?|.*\.manifest",
}
# The second group applies only to other names.
_BY_NAME = {
    "of the system": r"thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r|\$recycle\.bin",
    "WAT, without text": r".*\.wat",
    "documentation": r"(?:readme|licen[cs]e|copying|copyright|notice|changelog|changes|citation|authors|contributing|contributors|code_of_conduct"
    r"|datasheet|disclaimer|terms)(?:[._-].*)?|.*\.(?:md|rst|adoc|pdf|bib|cff|docx?|tex)",
    "checksums": r"(?:.*[._-])?(?:checksums?|md5sums?|sha\d+sums?|hashes)(?:\.txt)?"
    r"|.*\.(?:md5|sha1|sha224|sha256|sha384|sha512|md5sum|sha\d+sum|crc|crc32|sfv|etag|sig|asc)",
    "an index": r".*\.(?:cdxj?|idx|index|zidx|paths|torrent|warcidx)",
    "of the store": r".*\.metadata|.*_\$folder\$|.*_(?:meta|files)\.xml",
    "code, settings or a log": r".*\.(?:py|pyc|ipynb|sh|ya?ml|toml|cfg|conf|ini|log|js|css|java|scala|rs|go)|makefile|dockerfile"
    r"|requirements.*\.txt",
    "an image": r".*\.(?:png|jpe?g|gif|svg|webp|ico|tiff?)",
}


@dataclass(frozen=True)
class PassedOver:
    """A file, or a hidden folder with all its files, that a folder or glob of the input matches and that is not read.

    Attributes:
        uri: absolute path or URI; that of a folder ends with a slash.
        why: the reason, in a word or two.
    """

    uri: str
    why: str


def explain_passed_over(name: str) -> str | None:
    """Return what kind of bystander a file is by its name; None if it may be data.

    Example:
        >>> explain_passed_over("README.md"), explain_passed_over("._x.jsonl"), explain_passed_over("x.csv")
        ('documentation', 'hidden', None)
    """
    if is_hidden(name):
        return HIDDEN
    lower = name.lower()
    stem = strip_compression(lower)
    for why, pattern in _EVEN_AS_DATA.items():
        if re.fullmatch(pattern, lower):
            return why
    if find_format_by_name(name):
        return None
    return next(
        (why for why, pattern in _BY_NAME.items() if re.fullmatch(pattern, lower) or re.fullmatch(pattern, stem)), None
    )


def describe_passed_over(passed_over: Iterable[PassedOver]) -> str:
    """Describe in one line what was passed over: some names of each kind, and the counts.

    Example:
        >>> describe_passed_over([PassedOver("/d/README.md", "documentation")])
        '1 file passed over: README.md (documentation)'
    """
    kinds: dict[str, list[str]] = {}
    for item in passed_over:
        name = item.uri.rstrip("/").rpartition("/")[2] + "/" * item.uri.endswith("/")
        kinds.setdefault(item.why, []).append(name)
    names = [name for kind in kinds.values() for name in kind]
    noun = "file" + "s" * (len(names) > 1) + " and folders" * any(name.endswith("/") for name in names)
    parts = []
    for why, kind in kinds.items():
        more = f" and {len(kind) - _MAX_NAMES:,} more" if len(kind) > _MAX_NAMES else ""
        parts.append(f"{', '.join(kind[:_MAX_NAMES])}{more} ({why})")
    return f"{len(names):,} {noun} passed over: {', '.join(parts)}"
