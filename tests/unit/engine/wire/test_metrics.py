from __future__ import annotations

import pytest

from prox_spark.engine.wire.metrics import Growth, Metrics

pytestmark = pytest.mark.unit

# Written by an engine of vLLM 0.32, shortened.
TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="refiner"} 64.0
vllm:num_requests_waiting{engine="0",model_name="refiner"} 7.0
prox_spark:requests_in_flight 71.0
prox_spark:requests_refused_total 5.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="refiner",reason="capacity"} 7.0
vllm:prefix_cache_queries_total{engine="0",model_name="refiner"} 2000.0
vllm:prefix_cache_queries_created{engine="0",model_name="refiner"} 1.7639e+09
vllm:prefix_cache_hits_total{engine="0",model_name="refiner"} 512.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="refiner"} 9.0
vllm:prompt_tokens_total{engine="0",model_name="refiner"} 2000.0
vllm:prompt_tokens_by_source_total{engine="0",model_name="refiner",source="local_compute"} 1488.0
vllm:generation_tokens_total{engine="0",model_name="refiner"} 1.1e+02
vllm:request_success_total{engine="0",finished_reason="stop",model_name="refiner"} 10.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="refiner"} 3.0
vllm:request_prompt_tokens_sum{engine="0",model_name="refiner"} 2000.0
"""


def metrics(answered: float, in_flight: float = 0.0) -> Metrics:
    return Metrics(answered=answered, tokens=10 * answered, in_flight=in_flight)


def test_samples_of_a_metric_are_added_up_and_those_of_similar_names_left_out() -> None:
    assert Metrics.read(TEXT) == Metrics(13, 2110, 512, 2000, 71, 5)


def test_an_engine_that_does_not_count_says_nothing() -> None:
    assert Metrics.read("python_info 1.0\nprox_spark:requests_in_flight 3.0\n") is None


def test_what_an_engine_did_before_does_not_count() -> None:
    growth = Growth({"a-1": metrics(100, in_flight=5)})
    assert growth.update({"a-1": metrics(130, in_flight=9)}).answered == 30
    assert growth.update({"a-1": metrics(132, in_flight=4)}).answered == 2
    assert (growth.total.answered, growth.total.tokens) == (32, 320)


@pytest.mark.parametrize("looked_meanwhile", [False, True])
def test_what_a_dead_engine_did_still_counts(looked_meanwhile: bool) -> None:
    growth = Growth({})
    growth.update({"a-1": metrics(7, in_flight=64)})
    if looked_meanwhile:
        growth.update({})
        assert growth.total == Metrics(7, 70)
    assert growth.update({"a-2": metrics(3, in_flight=10)}).answered == 3
    assert growth.total == Metrics(10, 100, in_flight=10)


def test_requests_in_flight_are_those_of_now() -> None:
    growth = Growth({"a-1": metrics(0, in_flight=3)})
    growth.update({"a-1": metrics(1, in_flight=8), "b-1": metrics(1, in_flight=2)})
    growth.update({"a-1": metrics(2, in_flight=6), "b-1": metrics(1, in_flight=2)})
    assert growth.total.in_flight == 8
