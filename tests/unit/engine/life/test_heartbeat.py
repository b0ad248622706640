"""Detection of a hung engine by its metrics and by what its slots wait for. There is no engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from prox_spark.engine.life.heartbeat import _LOOKS, Heartbeat
from prox_spark.engine.slots.sharing import Share, count_in_flight
from prox_spark.engine.wire.metrics import Metrics

pytestmark = pytest.mark.unit

BUSY = Metrics(answered=3, tokens=90, in_flight=2)


def looks(folder: Path, monkeypatch: pytest.MonkeyPatch, *told: Metrics | None) -> list[bool]:
    """Return the result of each look at an engine that reports these metrics in turn."""
    tells = iter(told)
    monkeypatch.setattr("prox_spark.engine.life.heartbeat.read_metrics", lambda *_: next(tells))
    heartbeat = Heartbeat(folder, 60)
    return [heartbeat.is_lost_now() for _ in told]


OTHERS_ASK = Metrics(answered=3, tokens=90, in_flight=5)


@pytest.mark.parametrize("then", [BUSY, OTHERS_ASK, None], ids=["counts no token", "others ask it", "does not answer"])
def test_an_engine_without_a_sign_of_life_is_lost_at_the_last_look(
    then: Metrics | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Share(tmp_path / "slots", 4) as share:
        share.count_sent()
        assert looks(tmp_path, monkeypatch, BUSY, *[then] * _LOOKS) == [False] * _LOOKS + [True]


@pytest.mark.parametrize("sign", [{"tokens": 91}, {"refused": 1}])
def test_any_sign_of_life_begins_the_count_anew(
    sign: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = replace(BUSY, **sign)
    nearly = [None] * (_LOOKS - 1)
    with Share(tmp_path / "slots", 4) as share:
        share.count_sent()
        assert not any(looks(tmp_path, monkeypatch, BUSY, *nearly, alive, *nearly))


@pytest.mark.parametrize("then", [BUSY, None], ids=["counts no token", "does not answer"])
def test_an_engine_that_no_prompt_waits_for_is_not_lost(
    then: Metrics | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Share(tmp_path / "slots", 4) as share:
        share.count_sent()
        share.count_answered()
        assert not any(looks(tmp_path, monkeypatch, BUSY, *[then] * 3 * _LOOKS))


def test_an_engine_that_never_told_anything_starts_or_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Share(tmp_path / "slots", 4) as share:
        share.count_sent()
        assert not any(looks(tmp_path, monkeypatch, *[None] * 3 * _LOOKS))


def test_it_looks_a_few_times_in_its_seconds_and_never_where_these_are_infinite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    n_looks = 0

    def told(*_: object) -> Metrics:
        nonlocal n_looks
        n_looks += 1
        return BUSY

    monkeypatch.setattr("prox_spark.engine.life.heartbeat.read_metrics", told)
    monkeypatch.setattr("prox_spark.engine.life.heartbeat.time", SimpleNamespace(monotonic=lambda: clock[0]))
    for seconds, expected in ((50.0, 10), (float("inf"), 0)):
        heartbeat, n_looks = Heartbeat(tmp_path, seconds), 0
        for _ in range(100):
            clock[0] += 1
            heartbeat.is_lost()
        assert n_looks == expected


def test_prompts_in_flight_are_those_of_living_slots(tmp_path: Path) -> None:
    assert count_in_flight(tmp_path / "none") == 0
    with Share(tmp_path, 4) as first:
        first.count_sent()
        with Share(tmp_path, 4) as second:
            second.count_sent()
            second.count_sent()
            second.count_answered()
            assert count_in_flight(tmp_path) == 2
        assert count_in_flight(tmp_path) == 1
    assert count_in_flight(tmp_path) == 0
