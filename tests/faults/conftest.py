"""Engines whose server is a FAKE (tests/support/fake_engine), which is slow, dies or hangs as told."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_processes import FAKE_ENGINE, ME, find_processes_in
from weightless import write_weightless

from prox_spark.config import EngineConfig
from prox_spark.engine.host.executor import locate_owner_directory
from prox_spark.engine.life import resident
from prox_spark.engine.life.reaper import end_engine
from prox_spark.engine.life.record import read_records
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import find


@pytest.fixture
def runtime(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of engines' directories. At the end none of their processes is left."""
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(short_path))
    monkeypatch.setattr(resident, "_BACK_OFF_SECONDS", 0.01)
    yield short_path
    for directory, record in read_records(locate_owner_directory(ME)).items():
        if record.engine:
            end_engine(record.engine, directory)
    for process in find_processes_in(short_path):
        process.send_signal(signal.SIGKILL)


@pytest.fixture
def make_spec(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., EngineSpec]:
    """Make specs of FAKE engines.

    `name` is the name of a refiner without weights, and `card` adds fields to its card.
    """
    monkeypatch.syspath_prepend(str(FAKE_ENGINE))

    def make(
        fake: dict[str, Any] | None = None, name: str = "tiny", card: dict[str, Any] | None = None, **config: Any
    ) -> EngineSpec:
        monkeypatch.setenv("FAKE_ENGINE", json.dumps(fake or {}))
        refiner = find(write_weightless(tmp_path / name, name=name, **(card or {})))
        return EngineSpec(refiner, EngineConfig(**{"device": "cpu", **config}))

    return make
