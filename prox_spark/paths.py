"""Folders of prox_spark on a machine."""

from __future__ import annotations

import os
from pathlib import Path

# conf/ of the repository: a link in a checkout, a folder in a wheel.
CONF = Path(__file__).parent / "conf"


def cache_directory() -> Path:
    """Return the folder of built refiners, which can be built again: PROX_SPARK_CACHE, else one in the user's cache directory."""
    root = os.environ.get("PROX_SPARK_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "prox_spark"
    )
    return Path(root).expanduser()


def refiners_directory() -> Path:
    """Return the folder of the refiners that `adapt` made: PROX_SPARK_REFINERS, else one in the user's data directory."""
    root = os.environ.get("PROX_SPARK_REFINERS") or os.path.join(
        os.environ.get("XDG_DATA_HOME") or "~/.local/share", "prox_spark", "refiners"
    )
    return Path(root).expanduser()
