"""Engines whose server is a FAKE (tests/fake_engine) that is slow, dies or hangs as it is told."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from prox_spark.config import EngineConfig
from prox_spark.engine import resident
from prox_spark.engine.executor import Owner, owner_directory
from prox_spark.engine.reaper import end_engine
from prox_spark.engine.record import records
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import find

FAKE_ENGINE = Path(__file__).parents[1] / "fake_engine"
# Of these tests the engines' owner: no JVM is above it.
ME = Owner.of(psutil.Process())


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(0.05)


def processes_in(directory: Path) -> list[psutil.Process]:
    """Processes that work in a directory or below it: supervisors, their guards, servers and what those have started."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where engines have their directories; at the end none of their processes is left."""
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path / "r"))
    monkeypatch.setattr(resident, "_BACK_OFF_SECONDS", 0.01)
    yield tmp_path / "r"
    for directory, record in records(owner_directory(ME)).items():
        if record.engine:
            end_engine(record.engine, directory)
    for process in processes_in(tmp_path / "r"):
        process.send_signal(signal.SIGKILL)


@pytest.fixture
def make_spec(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., EngineSpec]:
    """Makes specs of FAKE engines; `name` is a refiner's, of a few bytes that are never read."""
    monkeypatch.syspath_prepend(str(FAKE_ENGINE))

    def make(fake: dict[str, Any] | None = None, name: str = "tiny", **config: Any) -> EngineSpec:
        monkeypatch.setenv("FAKE_ENGINE", json.dumps(fake or {}))
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        tasks = {"doc": {"template": "plain", "max_text_tokens": 8}}
        card = {"name": name, "licence": "MIT", "base": {"path": "."}, "context_tokens": 64, "tasks": tasks}
        (folder / "refiner.yaml").write_text(yaml.safe_dump(card))
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_text(name)
        return EngineSpec(find(str(folder)), EngineConfig(**{"device": "cpu", **config}))

    return make
