"""Whose turn it is to compile: engines of one kind on one host, as threads."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prox_spark.engine.life.compile_cache import compile_turn

pytestmark = pytest.mark.unit


def spec(key: str = "a" * 64, compiles: bool = True) -> Any:
    return SimpleNamespace(settings_key=key, compiles=compiles)


class Starts:
    """Starts of engines that last until they are released."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"VLLM_CACHE_ROOT": str(folder)}
        self.begun: list[int] = []
        self.changed = threading.Condition()
        self.released = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self, wanted: Any, fails: bool = False) -> None:
        number = len(self.threads)
        thread = threading.Thread(target=self._start, args=(wanted, number, fails))
        self.threads.append(thread)
        thread.start()

    def _start(self, wanted: Any, number: int, fails: bool) -> None:
        try:
            with compile_turn(wanted, self.environment):
                with self.changed:
                    self.begun.append(number)
                    self.changed.notify_all()
                self.released.wait(20)
                if fails:
                    raise ValueError("the engine did not start")
        except ValueError:
            pass

    def have_begun(self, n: int, seconds: float = 20) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.begun) >= n, seconds)

    def end(self) -> None:
        self.released.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def starts(tmp_path: Path) -> Any:
    made = Starts(tmp_path)
    yield made
    made.end()


def test_engines_of_a_kind_start_one_by_one_until_one_has_compiled(starts: Starts) -> None:
    for _ in range(3):
        starts.start(spec())
    assert starts.have_begun(1) and not starts.have_begun(2, 0.3)
    starts.end()
    assert sorted(starts.begun) == [0, 1, 2]


def test_after_one_has_compiled_they_start_at_once(starts: Starts) -> None:
    with compile_turn(spec(), starts.environment):
        pass
    for _ in range(3):
        starts.start(spec())
    assert starts.have_begun(3)


def test_another_version_of_vllm_compiles_anew(starts: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    with compile_turn(spec(), starts.environment):
        pass
    monkeypatch.setattr("prox_spark.packages.version", lambda package: f"9.9 of {package}")
    for _ in range(2):
        starts.start(spec())
    assert starts.have_begun(1) and not starts.have_begun(2, 0.3)


def test_a_start_that_failed_has_not_compiled(starts: Starts) -> None:
    with pytest.raises(ValueError, match="did not start"), compile_turn(spec(), starts.environment):
        raise ValueError("the engine did not start")
    starts.start(spec())
    starts.start(spec())
    assert starts.have_begun(1) and not starts.have_begun(2, 0.3)


@pytest.mark.parametrize("other", [spec("b" * 64), spec(compiles=False)], ids=["another kind", "not compiled"])
def test_others_do_not_wait(starts: Starts, other: Any) -> None:
    starts.start(spec())
    assert starts.have_begun(1)
    starts.start(other)
    assert starts.have_begun(2)


def test_a_cache_that_can_not_be_made_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with compile_turn(spec(), {"VLLM_CACHE_ROOT": str(tmp_path / "file")}):
        assert (tmp_path / "file").is_file()
