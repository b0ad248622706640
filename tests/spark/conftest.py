"""Fixtures of the tests that need a session."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ingesting import Lake

from prox_spark.config import LakeConfig
from prox_spark.lake.lake import Lake as Tables


@pytest.fixture(scope="session")
def empty_lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty tables to copy: making them anew for every test would be half of its time."""
    root = tmp_path_factory.mktemp("empty") / "lake"
    Tables(spark, LakeConfig(root=str(root))).ensure()
    return root


@pytest.fixture
def lake(spark: Any, lake_root: str, empty_lake: Path) -> Lake:
    shutil.copytree(empty_lake, lake_root)
    return Lake(spark, lake_root)
