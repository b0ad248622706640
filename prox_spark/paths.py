"""Where things lie on a machine."""

from __future__ import annotations

import os
from pathlib import Path

# conf/ of the repository: a link in a checkout, a folder in a wheel.
CONF = Path(__file__).parent / "conf"


def cache_directory() -> Path:
    """What can be made anew: built refiners. PROX_SPARK_CACHE, else the user's cache directory."""
    root = os.environ.get("PROX_SPARK_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "prox_spark"
    )
    return Path(root).expanduser()


def refiners_directory() -> Path:
    """Refiners of this user, by name: what `adapt` makes. PROX_SPARK_REFINERS, else the user's data directory."""
    root = os.environ.get("PROX_SPARK_REFINERS") or os.path.join(
        os.environ.get("XDG_DATA_HOME") or "~/.local/share", "prox_spark", "refiners"
    )
    return Path(root).expanduser()
