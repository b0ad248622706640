"""Access to builds of this repository of different layouts: modules were moved and functions renamed over time."""

from __future__ import annotations

import importlib
from typing import Any


def import_first(*names: str) -> Any:
    """Import the first of several names that the build on PYTHONPATH has.

    Args:
        names: dotted names with their module, such as `prox_spark.udfs.arrow.to_batch`, the newest first.

    Raises:
        ImportError: the build has none of them; the message holds the reason for each.
    """
    reasons = []
    for name in names:
        module, _, attribute = name.rpartition(".")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            reasons.append(f"{name}: {error}")
    raise ImportError(f"this build has none of these names: {'; '.join(reasons)}")
