from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fake_server import FakeEngineServer, Reply, completion, echo

from prox_spark.config import EngineConfig
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.answers import Answer
from prox_spark.errors import EngineError, EngineStartError
from prox_spark.refiners import find
from prox_spark.udfs.generate import ANSWERS, Generate, VerdictTokens

pytestmark = pytest.mark.unit


@pytest.fixture
def tmp_path(short_path: Path) -> Path:
    """Return a folder in which Unix sockets can be made, see short_path."""
    return short_path


VERDICT_TOKENS = VerdictTokens(keep_token=5, drop_token=17, keep="keep_doc()", drop="drop_doc()")


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path))


def batches(*sizes: int) -> Iterator[pa.RecordBatch]:
    first = 0
    for size in sizes:
        numbers = range(first, first + size)
        first += size
        columns = {"generation_key": [f"key {n}" for n in numbers], "token_ids": [[n, n, n] for n in numbers]}
        schema = pa.schema([("generation_key", pa.string()), ("token_ids", pa.list_(pa.int32()))])
        yield pa.RecordBatch.from_pydict(columns, schema=schema)


def generate(
    server: FakeEngineServer,
    monkeypatch: pytest.MonkeyPatch,
    *sizes: int,
    verdict_tokens: VerdictTokens | None = None,
    **config: Any,
) -> list[dict[str, Any]]:
    monkeypatch.setattr("prox_spark.udfs.generate.connect", lambda *_: server.engine())
    spec = EngineSpec(find("web-135m"), EngineConfig(**{"device": "cpu", "request_seconds": 10, **config}))
    udf = Generate(spec, json.dumps({"max_tokens": 4}), verdict_tokens)
    return [row for batch in udf(batches(*sizes)) for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("keep", "drop", "probability"),
    [
        (math.log(0.5), math.log(0.5), 0.5),
        (math.log(0.9), math.log(0.1), 0.1),
        (math.log(0.1), math.log(0.9), 0.9),
        # Only their ratio counts: the probability of other tokens is divided between them.
        (math.log(0.3), math.log(0.1), 0.25),
        (-1000.0, 0.0, 1.0),
        (0.0, -1000.0, 0.0),
        (-9999.0, -9999.0, 0.5),
    ],
)
def test_the_probability_of_dropping_is_that_of_drop_against_keep(keep: float, drop: float, probability: float) -> None:
    answer = Answer("x", "length", 1, {5: keep, 17: drop})
    assert VERDICT_TOKENS.compute_drop_probability(answer) == pytest.approx(probability)


@pytest.mark.parametrize(("present", "probability"), [({5: -0.1}, 0.0), ({17: -0.1}, 1.0), ({5: -8.0, 99: 0.0}, 0.0)])
def test_a_log_probability_that_is_missing_is_that_of_the_impossible(
    present: dict[int, float], probability: float
) -> None:
    assert VERDICT_TOKENS.compute_drop_probability(Answer("x", "length", 1, present)) == pytest.approx(
        probability, abs=1e-12
    )


@pytest.mark.parametrize("present", [{}, {99: -0.1}], ids=str)
def test_an_answer_without_log_probabilities_is_an_engine_error(present: dict[int, float]) -> None:
    with pytest.raises(EngineError, match="log-probabilities"):
        VERDICT_TOKENS.compute_drop_probability(Answer("x", "length", 1, present))


def test_rows_out_are_rows_in_over_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prox_spark.udfs.generate._ROWS_OUT", 8)
    with FakeEngineServer() as server:
        rows = generate(server, monkeypatch, 3, 0, 30, 1)
    assert {row["generation_key"]: row["output_text"] for row in rows} == {
        f"key {n}": f"{n} {n} {n}" for n in range(34)
    }
    assert len(rows) == 34


def test_no_rows_start_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("an engine was asked for")

    monkeypatch.setattr("prox_spark.udfs.generate.connect", connect)
    udf = Generate(EngineSpec(find("web-135m"), EngineConfig(device="cpu")), "{}")
    assert list(udf(batches(0))) == []


def test_a_program_is_stored_with_its_cost_and_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeEngineServer(lambda _: completion("keep_chunk()", n_tokens=3), name="e-1") as server:
        (row,) = generate(server, monkeypatch, 1)
    age = datetime.now(UTC) - row.pop("answered_at")
    assert timedelta() <= age < timedelta(minutes=1) and 0 < row.pop("request_seconds") < 60
    assert row == {
        "generation_key": "key 0",
        "output_text": "keep_chunk()",
        "finish_reason": "stop",
        "drop_probability": None,
        "prompt_tokens": 3,
        "output_tokens": 3,
        "error_code": None,
        "error_message": None,
        "engine_id": "e-1",
        "queue_seconds": None,
        "cached_tokens": None,
        "n_sends": 1,
    }


def test_what_the_engine_says_of_a_request_is_stored_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(_: list[int]) -> Reply:
        status, content = completion("keep_chunk()") or (0, {})
        content["usage"]["prompt_tokens_details"] = {"cached_tokens": 2}
        return status, content | {"metrics": {"queue_time_ms": 1500.0}}

    with FakeEngineServer(told) as server:
        (row,) = generate(server, monkeypatch, 1)
    assert (row["queue_seconds"], row["cached_tokens"]) == (1.5, 2)


@pytest.mark.parametrize(("drop", "text"), [(math.log(0.5), "drop_doc()"), (math.log(0.49), "keep_doc()")])
def test_a_verdict_is_stored_as_the_likelier_answer(drop: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    top = [{"token_id:5": math.log(1 - math.exp(drop)), "token_id:17": drop}]
    with FakeEngineServer(lambda _: completion("k", top)) as server:
        (row,) = generate(server, monkeypatch, 1, verdict_tokens=VERDICT_TOKENS)
    assert (row["output_text"], row["finish_reason"]) == (text, "stop")
    assert row["drop_probability"] == pytest.approx(math.exp(drop))


@pytest.mark.parametrize("verdict_tokens", [None, VERDICT_TOKENS], ids=["chunk stage", "doc stage"])
def test_a_refused_request_is_a_row_without_text(
    verdict_tokens: VerdictTokens | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeEngineServer(lambda _: (400, {"error": {"message": "no"}})) as server:
        (row,) = generate(server, monkeypatch, 1, verdict_tokens=verdict_tokens)
    assert (row["error_code"], row["error_message"]) == ("request_refused", "400: no")
    assert (row["output_text"], row["finish_reason"], row["drop_probability"], row["output_tokens"]) == (
        None,
        None,
        None,
        0,
    )


def test_the_columns_are_those_that_spark_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_refused(prompt: list[int]) -> Reply:
        return (400, {}) if prompt[0] == 1 else echo(prompt)

    with FakeEngineServer(one_refused) as server:
        rows = generate(server, monkeypatch, 2)
    assert all(list(row) == ANSWERS.names for row in rows)


def test_an_engine_that_does_not_start_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise EngineStartError("out of memory")

    monkeypatch.setattr("prox_spark.udfs.generate.connect", connect)
    udf = Generate(EngineSpec(find("web-135m"), EngineConfig(device="cpu")), "{}")
    with pytest.raises(EngineStartError, match="out of memory"):
        list(udf(batches(2)))


@pytest.mark.parametrize(("max_num_seqs", "factor", "size"), [(4, 1.0, 4), (4, 1.1, 5), (10, 1.5, 15)])
def test_the_window_is_sequences_times_factor_rounded_up(
    max_num_seqs: int, factor: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def when_full(server: FakeEngineServer, _: list[int]) -> bool:
        return server.in_flight >= min(size, 40 - len(server.answered))

    with FakeEngineServer(ready=when_full) as server:
        rows = generate(server, monkeypatch, 15, 25, max_num_seqs=max_num_seqs, window_factor=factor)
    assert (len(rows), server.most_in_flight) == (40, size)
