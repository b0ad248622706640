"""Arrow UDF from prompts to generations, by the executor's resident engine or a remote one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import types as T

from prox_spark.engine.ask.remote import Endpoint, RemoteSession
from prox_spark.engine.ask.resident_session import ResidentSession, Session
from prox_spark.engine.ask.window import RequestWindow
from prox_spark.engine.host.executor import find_owner, locate_owner_directory, make_engine_directory
from prox_spark.engine.life.reaper import remove_leftovers
from prox_spark.engine.life.resident import connect, forgive
from prox_spark.engine.slots.sharing import PassingShare, Share
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.answers import Answer
from prox_spark.errors import EngineError, RowCountError
from prox_spark.fingerprint import fingerprint
from prox_spark.refiners import Stage
from prox_spark.udfs.arrow import to_batch

ANSWERS = T.StructType(
    [
        T.StructField("generation_key", T.StringType()),
        T.StructField("output_text", T.StringType()),
        T.StructField("finish_reason", T.StringType()),
        T.StructField("drop_probability", T.DoubleType()),
        T.StructField("prompt_tokens", T.IntegerType()),
        T.StructField("output_tokens", T.IntegerType()),
        T.StructField("error_code", T.StringType()),
        T.StructField("error_message", T.StringType()),
        T.StructField("engine_id", T.StringType()),
        T.StructField("answered_at", T.TimestampType()),
        T.StructField("request_seconds", T.DoubleType()),
        T.StructField("queue_seconds", T.DoubleType()),
        T.StructField("cached_tokens", T.IntegerType()),
        T.StructField("n_sends", T.IntegerType()),
    ]
)
_ROWS_OUT = 256


@dataclass(frozen=True)
class VerdictTokens:
    """First tokens and words of the document stage's two answers, by which its verdict is read."""

    keep_token: int
    drop_token: int
    keep: str
    drop: str

    def compute_drop_probability(self, answer: Answer) -> float:
        """Return the probability of drop against keep, 0..1, from the log-probabilities of the two first tokens.

        Raises:
            EngineError: the answer has no log-probability of either token.
        """
        if not {self.keep_token, self.drop_token} & answer.log_probabilities.keys():
            raise EngineError(
                "the engine gave no log-probabilities of the two answers. Remove --max-logprobs from engine.extra_args, and "
                "let engine.endpoint be a vLLM server"
            )
        keep, drop = (answer.log_probabilities.get(token, -math.inf) for token in (self.keep_token, self.drop_token))
        return 1 / (1 + math.exp(min(keep - drop, 700.0)))


@dataclass(frozen=True)
class Generate:
    """A function for `mapInArrow` over (generation_key, token_ids) that returns a row of ANSWERS per prompt.

    Rows come in the order in which answers arrive.

    Args:
        spec: the engine that answers; it is found or started on the executor.
        parameters: JSON body of a request, see `PromptBuilder.sampling`.
        verdict_tokens: the tokens by which a document stage's answer is read; None in the chunk stage.
        run_id: the run that asks, see `connect`.
        stage: the prompts' stage; an endpoint may have a model for each stage.

    Raises:
        EngineError: the engine failed, not just a request.
        RowCountError: the number of rows differs from the number of prompts.
    """

    spec: EngineSpec
    parameters: str
    verdict_tokens: VerdictTokens | None = None
    run_id: str = ""
    stage: Stage = "chunk"

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield batches of answers; the window of requests spans the batches of prompts."""
        n_in = n_out = 0

        def prompts() -> Iterator[tuple[tuple[str, int], list[int]]]:
            nonlocal n_in
            for batch in batches:
                token_ids = batch.column("token_ids")
                # Token ids are converted prompt by prompt: as Python integers a batch is many times its size in Arrow.
                numbers, ends = token_ids.values.to_numpy(), token_ids.offsets.to_pylist()
                for key, begin, end in zip(batch.column("generation_key").to_pylist(), ends, ends[1:], strict=False):
                    n_in += 1
                    yield (key, end - begin), numbers[begin:end].tolist()

        window: RequestWindow[tuple[str, int]] = RequestWindow(self._open_session(), self._make_share())
        rows: list[tuple[object, ...]] = []
        for (key, n_tokens), answer in window.ask_all(prompts()):
            rows.append(self._make_row(key, n_tokens, answer))
            n_out += 1
            if len(rows) == _ROWS_OUT:
                yield to_batch(rows, ANSWERS)
                rows = []
        if rows:
            yield to_batch(rows, ANSWERS)
        if n_in != n_out:
            raise RowCountError(
                f"the engine stage was given {n_in} prompts and returned {n_out} rows; nothing was committed"
            )

    def _open_session(self) -> Session:
        config, parameters = self.spec.config, json.loads(self.parameters)
        if endpoint := self.endpoint:
            return RemoteSession(endpoint, parameters, config.request_seconds)
        return ResidentSession(
            lambda: connect(self.spec, self.run_id),
            parameters,
            config.request_seconds,
            lambda n_deaths: forgive(self.spec, n_deaths),
            config.max_crashing_prompts,
            self.run_id,
            self.spec.model_name,
        )

    def _make_share(self) -> Share:
        """Return this task's share of the executor's window, which limits the requests to a remote engine as well."""
        owner, size = find_owner(), self.spec.window_size
        if endpoint := self.endpoint:
            remove_leftovers()  # of killed slots; elsewhere the start of an engine removes them
            return PassingShare(locate_owner_directory(owner) / fingerprint(endpoint.url, endpoint.model)[:12], size)
        return Share(make_engine_directory(owner, self.spec.key) / "slots", size)

    @property
    def endpoint(self) -> Endpoint | None:
        """The remote engine that answers; None where the executor's own engine answers."""
        return Endpoint.of(self.spec.config, self.stage, self.spec.refiner.card.name)

    def _make_row(self, key: str, n_tokens: int, answer: Answer) -> tuple[object, ...]:
        text, finish_reason, probability = answer.text, answer.finish_reason, None
        if self.verdict_tokens and answer.error_code is None:
            probability = self.verdict_tokens.compute_drop_probability(answer)
            text = self.verdict_tokens.drop if probability >= 0.5 else self.verdict_tokens.keep
            finish_reason = "stop"  # one token is the whole verdict
        return (
            key,
            text,
            finish_reason,
            probability,
            n_tokens,
            answer.output_tokens,
            answer.error_code,
            answer.error_message,
            answer.engine_id,
            answer.answered_at and datetime.fromtimestamp(answer.answered_at, UTC),
            answer.seconds,
            answer.queue_seconds,
            answer.cached_tokens,
            answer.n_sends,
        )
