"""Examples in docstrings show what the code returns. Those of the Python API need an engine: tests/vllm/test_examples.py."""

from __future__ import annotations

import doctest
import os
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder, _, names in os.walk(ROOT / "prox_spark", followlinks=True)
    for path in (Path(folder) / name for name in names if name.endswith(".py"))
    if path.name != "api.py" and ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_true(module: str) -> None:
    found = doctest.testmod(import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_there_are_examples() -> None:
    assert len(MODULES) > 10
