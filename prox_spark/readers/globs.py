"""Globs: what they match, as Hadoop and shells read them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIGNS = set("*?[{")
# Names that wildcards pass over, as those of shells and Hadoop do. `_x=1` is a folder of a partition column.
_HIDDEN = r"(?![.]|_(?![^/]*=))"


def first_glob(parts: Sequence[str]) -> int | None:
    """Place of the first part of a path that has a sign of a glob."""
    return next((place for place, part in enumerate(parts) if set(part) & _SIGNS), None)


def is_hidden(name: str) -> bool:
    """True if folders and globs pass over the name: bookkeeping such as `_SUCCESS` or `.part.crc`."""
    return not re.match(_HIDDEN, name)


def compile_glob(glob: str, with_hidden: bool = False) -> re.Pattern[str]:
    """A glob as a pattern: `*` and `?` stay inside a folder, `{a,b}` are alternatives, `**/` goes any depth.

    Args:
        glob: without the folders above its first sign.
        with_hidden: wildcards match names that begin with `.` or `_` too; else the glob must have that sign itself.

    Raises:
        re.error: a bracket that is not closed, or a range such as `[z-a]`.
    """
    seen = "" if with_hidden else _HIDDEN
    out: list[str] = []
    # Whether a name begins here, per level of braces: each alternative may begin one.
    begins, at_start = [True], True
    for token in re.findall(r"\*\*/|\*\*|\[[^\]]+\]|.", glob):
        guard = seen if at_start else ""
        starts_next = False
        if token == "**/":
            out.append(f"(?:{guard}[^/]*/(?:{seen}[^/]*/)*)?")
            starts_next = True
        elif token == "**":
            out.append(f"{guard}[^/]*(?:/{seen}[^/]*)*")
        elif token in "*?":
            out.append(guard + ("[^/]*" if token == "*" else "[^/]"))
        elif token == "{":
            out.append("(?:")
            begins.append(at_start)
            starts_next = at_start
        elif token == "," and len(begins) > 1:
            out.append("|")
            starts_next = begins[-1]
        elif token == "}":
            out.append(")")
            begins = begins[:1] if len(begins) == 1 else begins[:-1]
        elif len(token) > 1:
            out.append(token.replace("[!", "[^", 1))
        else:
            out.append(re.escape(token))
            starts_next = token == "/"
        at_start = starts_next
    return re.compile("".join(out))


def max_depth(glob: str) -> int | None:
    """How many levels of folders a glob can reach; None: any depth."""
    return None if "**" in glob or re.search(r"\{[^}]*/", glob) else glob.count("/") + 1
