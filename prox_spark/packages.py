"""Versions of installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def find_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the version of each named package that is installed, by name."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read_version(text: str, parts: int = 2) -> tuple[int, ...]:
    """Return the first numbers of a version.

    Example:
        >>> read_version("17.0.15"), read_version("4.1.2-amzn-0", 3)
        ((17, 0), (4, 1, 2))
    """
    return tuple(map(int, re.findall(r"\d+", text)[:parts]))
