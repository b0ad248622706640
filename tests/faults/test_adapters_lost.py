"""Adapters on an engine of their base, which loses them when it is restarted. The server is a FAKE."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import wait_until

from prox_spark.config import EngineConfig
from prox_spark.engine.ask.resident_session import ResidentSession
from prox_spark.engine.ask.window import RequestWindow
from prox_spark.engine.host.executor import find_owner, make_engine_directory
from prox_spark.engine.life.resident import connect, forgive
from prox_spark.engine.slots.sharing import Share
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError, RecipeError, RefinerError
from prox_spark.pipeline.asking.stages import prepare_engine
from prox_spark.refiners import find
from prox_spark.refiners.adapters import copy_adapter

pytestmark = pytest.mark.faults
Make = Callable[..., EngineSpec]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROX_SPARK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_adapter(make_spec: Make, tmp_path: Path) -> Make:
    """Make specs of refiners that are adapters of one base."""
    base = make_spec(name="base").refiner.directory

    def make(name: str, rank: int = 8, **fake: bool) -> EngineSpec:
        spec = make_spec(fake, name=name, card={"adapter": ".", "base": {"path": str(base)}}, max_lora_rank=8)
        (spec.refiner.directory / "adapter_model.safetensors").write_text(name, encoding="utf-8")
        (spec.refiner.directory / "adapter_config.json").write_text(f'{{"r": {rank}}}', encoding="utf-8")
        return spec

    return make


def slot(spec: EngineSpec) -> RequestWindow[int]:
    """Make the window of a task slot."""
    session = ResidentSession(
        lambda: connect(spec), {"max_tokens": 1}, 60, lambda n: forgive(spec, n), 1, model=spec.model_name
    )
    return RequestWindow(session, Share(make_engine_directory(find_owner(), spec.key) / "slots", size=2))


def test_a_slot_goes_on_when_another_one_starts_the_engine_anew_with_its_own_adapter(make_adapter: Make) -> None:
    one, other = make_adapter("one"), make_adapter("other")
    answers = slot(one).ask_all(iter([(n, [n]) for n in range(6)]))
    assert next(answers)[1].error_code is None
    engine = connect(other)
    assert connect(one).engine_id == engine.engine_id
    os.kill(engine.pid, signal.SIGKILL)
    wait_until(lambda: not engine.is_alive(), "the engine is dead")
    assert connect(other).engine_id != engine.engine_id
    rest = list(answers)
    assert len(rest) == 5 and all(answer.error_code is None for _, answer in rest)


def test_an_adapter_that_changed_during_a_run_is_not_served_under_its_old_name(make_adapter: Make) -> None:
    spec = make_adapter("one")
    engine = connect(spec)
    (spec.refiner.directory / "adapter_model.safetensors").write_text("trained on", encoding="utf-8")
    os.kill(engine.pid, signal.SIGKILL)
    wait_until(lambda: not engine.is_alive(), "the engine is dead")
    connect(spec)
    assert (copy_adapter(spec.refiner) / "adapter_model.safetensors").read_text(encoding="utf-8") == "one"
    shutil.rmtree(copy_adapter(spec.refiner))  # as on another host
    with pytest.raises(RefinerError, match=r"no longer what it was.*start the run again"):
        copy_adapter(spec.refiner)


def test_an_engine_that_refuses_an_adapter_says_why_and_what_to_do(make_adapter: Make) -> None:
    with pytest.raises(
        EngineStartError, match=r"can't take the adapter of refiner one: .*told to.*Unset engine\.max_lora_rank"
    ):
        connect(make_adapter("one", refuses_adapters=True))


def test_an_adapter_over_the_rank_is_an_error_before_any_start(make_adapter: Make) -> None:
    refiner = find(str(make_adapter("large", rank=32).refiner.directory))
    with pytest.raises(RecipeError, match=r"max_lora_rank = 8 .* large has rank 32: set it"):
        prepare_engine(refiner, EngineConfig(device="cpu", max_lora_rank=8))
