"""ProX document refinement for Spark data lakes.

The names below are loaded when they are first used, so `import prox_spark` imports neither Spark nor vLLM.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prox_spark.api import apply, evaluate, ingest, refine
    from prox_spark.config import Recipe
    from prox_spark.lake.lake import Lake

__version__ = "0.1.0"
__all__ = ["Lake", "Recipe", "__version__", "apply", "evaluate", "ingest", "refine"]

_MODULES = {
    "Lake": "prox_spark.lake.lake",
    "Recipe": "prox_spark.config",
    **dict.fromkeys(("apply", "evaluate", "ingest", "refine"), "prox_spark.api"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'prox_spark' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
