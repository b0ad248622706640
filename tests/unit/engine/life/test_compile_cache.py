"""Turns of engines to compile: engines of one kind on one host, as threads."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from prox_spark.engine.life.compile_cache import compile_turn
from prox_spark.locks import Lock, lock, try_lock

pytestmark = pytest.mark.unit


def spec(key: str = "a" * 64, compiles: bool = True) -> Any:
    return SimpleNamespace(settings_key=key, compiles=compiles)


class Starts:
    """Starts of engines that last until they are released."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"VLLM_CACHE_ROOT": str(folder)}
        self.begun: list[int] = []
        self.n_waiting = 0
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

    def have_begun(self, n: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.begun) >= n, 20)

    def wait_behind_one(self, n: int) -> bool:
        """Wait until so many starts wait for their turn, and return True if one has begun."""
        with self.changed:
            return (
                self.changed.wait_for(lambda: self.n_waiting == n or len(self.begun) > 1, 20) and len(self.begun) == 1
            )

    def lock(self, file: IO[str]) -> None:
        if not try_lock(file, Lock.EXCLUSIVE):
            with self.changed:
                self.n_waiting += 1
                self.changed.notify_all()
            lock(file)

    def end(self) -> None:
        self.released.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Starts(tmp_path)
    monkeypatch.setattr("prox_spark.engine.life.compile_cache.lock", made.lock)
    yield made
    made.end()


def test_engines_of_a_kind_start_one_by_one_until_one_has_compiled(starts: Starts) -> None:
    for _ in range(3):
        starts.start(spec())
    assert starts.wait_behind_one(2)
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
    assert starts.wait_behind_one(1)


def test_a_start_that_failed_has_not_compiled(starts: Starts) -> None:
    with pytest.raises(ValueError, match="did not start"), compile_turn(spec(), starts.environment):
        raise ValueError("the engine did not start")
    starts.start(spec())
    starts.start(spec())
    assert starts.wait_behind_one(1)


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
