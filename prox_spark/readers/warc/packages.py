"""The packages of the extra `warc`, imported only when they are needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from prox_spark.errors import ProxSparkError


def require(*names: str) -> list[ModuleType]:
    """Import modules of the extra `warc`.

    Raises:
        ProxSparkError: one is not installed.
    """
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise ProxSparkError(
            f"WARC needs Resiliparse and Brotli ({error}): pip install 'prox-spark[warc]', on every executor"
        ) from error
