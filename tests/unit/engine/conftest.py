"""Fixtures of the engine's unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(short_path: Path) -> Path:
    """A folder in which Unix sockets can be made, see short_path."""
    return short_path
