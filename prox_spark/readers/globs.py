"""Globs as Hadoop and shells read them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WILDCARDS = set("*?[{")
# Wildcards pass over hidden names, as in shells and Hadoop. `_x=1` is the folder of a partition column, so not hidden.
_HIDDEN = r"(?![.]|_(?![^/]*=))"


def find_first_glob(parts: Sequence[str]) -> int | None:
    """Return the index of the first part of a path that has a wildcard; None if no part has one."""
    return next((place for place, part in enumerate(parts) if set(part) & _WILDCARDS), None)


def is_hidden(name: str) -> bool:
    """Return True if folders and globs pass over the name: bookkeeping such as `_SUCCESS` or `.part.crc`."""
    return not re.match(_HIDDEN, name)


def compile_glob(glob: str, with_hidden: bool = False) -> re.Pattern[str]:
    """Compile a glob: `*` and `?` stay inside a folder, `{a,b}` are alternatives, `**/` matches folders of any depth.

    Args:
        glob: the path from the first part with a wildcard on.
        with_hidden: wildcards also match names that begin with `.` or `_`; otherwise the glob must have that character itself.

    Raises:
        re.error: a bracket is not closed, or a range such as `[z-a]` is empty.
    """
    seen = "" if with_hidden else _HIDDEN
    out: list[str] = []
    # For each level of braces, whether a name begins there: each alternative then begins one.
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


def find_max_depth(glob: str) -> int | None:
    """Return how many levels of folders a glob can reach; None for any depth."""
    return None if "**" in glob or re.search(r"\{[^}]*/", glob) else glob.count("/") + 1
