"""vLLM replaced by the FAKE engine in the Python workers of a session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster import FAKE_ENGINE


@contextmanager
def use_fake_engine(spark: Any, **behaviour: object) -> Iterator[None]:
    """Have the engines of the block be FAKE ones.

    Args:
        spark: the session.
        behaviour: of the engines, as in fake_engine/vllm/server.py.
    """
    environment = spark.sparkContext.environment
    with pytest.MonkeyPatch.context() as patched:
        # Spark starts Python workers anew for another environment.
        patched.setitem(environment, "PYTHONPATH", str(FAKE_ENGINE))
        patched.setitem(environment, "FAKE_ENGINE", json.dumps(behaviour))
        yield
