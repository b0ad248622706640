from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from prox_spark import schemas
from prox_spark.runs.usage import AnswerSums, EngineWave

pytestmark = pytest.mark.unit


def make_sums(engine_id: str | None, **values: Any) -> AnswerSums:
    """A hundred prompts in ten seconds, eight in flight."""
    ordinary: dict[str, Any] = {
        "prompts": 100,
        "errors": 0,
        "prompt_tokens": 900,
        "output_tokens": 100,
        "begun": 1000.0,
        "ended": 1010.0,
        "request_seconds": 80.0,
        "queue_seconds": 50.0,
        "queued": 100,
        "cached_tokens": 90,
        "cacheable_tokens": 900,
        "resent": 0,
    }
    return AnswerSums(engine_id, **(ordinary | values))


def make_wave(*answers: AnswerSums, before: dict[str, int] | None = None) -> EngineWave:
    return EngineWave.of(0, "doc", answers, before or {}, window_size=10)


def test_fields_are_those_of_the_table() -> None:
    assert [field.name for field in fields(EngineWave)] == schemas.ENGINE_WAVE.names


def test_rates_of_one_engine() -> None:
    done = make_wave(make_sums("a-1"))
    assert (done.seconds, done.tokens_per_second, done.in_flight) == (10, 100, 8)
    assert (done.window_occupancy, done.queue_seconds, done.prefix_cache_hit_rate) == (0.8, 0.5, 0.1)
    assert str(done) == "100 prompts in 10 s, 100 tokens/s, window 80% full, queue 0.5 s, prefix cache 10%"


def test_engines_side_by_side_add_up_over_the_time_of_all() -> None:
    done = make_wave(make_sums("a-1"), make_sums("b-1", begun=1005.0, ended=1020.0, errors=2, queue_seconds=110.0))
    assert (done.prompts, done.errors, done.engines, done.seconds) == (200, 2, 2, 20)
    assert (done.tokens_per_second, done.in_flight, done.window_occupancy, done.queue_seconds) == (100, 8, 0.4, 0.8)


def test_requests_that_told_no_wait_and_no_cache_count_for_neither() -> None:
    done = make_wave(
        make_sums("a-1"), make_sums("b-1", queue_seconds=0.0, queued=0, cached_tokens=0, cacheable_tokens=0)
    )
    assert (done.queue_seconds, done.prefix_cache_hit_rate) == (0.5, 0.1)


def test_a_remote_engine_has_no_window_and_no_starts() -> None:
    done = make_wave(make_sums(None, queued=0, cacheable_tokens=0, resent=3))
    assert (done.in_flight, done.window_occupancy, done.queue_seconds, done.prefix_cache_hit_rate) == (
        8,
        None,
        None,
        None,
    )
    assert (done.engines, done.starts, done.restarts, done.resent) == (0, 0, 0, 3)


def test_a_wave_of_which_nothing_was_sent_has_no_rates() -> None:
    done = make_wave(make_sums(None, begun=None, ended=None, request_seconds=0.0))
    assert (done.seconds, done.tokens_per_second, done.in_flight) == (0, None, None)


@pytest.mark.parametrize(
    ("engines", "before", "starts", "restarts"),
    [
        (["a-1"], {}, 1, 0),
        (["a-1", "b-1"], {}, 2, 0),
        (["a-1", "a-2"], {}, 2, 1),
        (["a-3"], {}, 3, 2),  # two died before they had answered anything
        (["a-1"], {"a": 1}, 0, 0),
        (["a-1", "a-2"], {"a": 1}, 1, 1),
        (["a-4"], {"a": 2}, 2, 2),
        (["a-2", "b-1"], {"a": 2, "c": 5}, 1, 0),
        (["a-1"], {"a": 2}, 0, 0),  # a slot that still waited for the dead one's answers
    ],
)
def test_starts_are_told_from_restarts(engines: list[str], before: dict[str, int], starts: int, restarts: int) -> None:
    done = make_wave(*map(make_sums, engines), before=before)
    assert (done.engines, done.starts, done.restarts) == (len(engines), starts, restarts)


def test_trouble_is_said() -> None:
    line = str(make_wave(make_sums("a-1"), make_sums("a-2", errors=1, resent=70)))
    assert line.endswith("1 errors, 1 restarts, 70 resent")
