"""Answers of an engine, read from the bodies of OpenAI-compatible completions responses."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prox_spark.errors import ReasonCode


@dataclass(frozen=True)
class Answer:
    """The answer to one prompt.

    Attributes:
        text: the generated text; None with error_code.
        finish_reason: stop or length; None with error_code.
        output_tokens: number of generated tokens.
        log_probabilities: by token id, natural logarithm; empty where the request asked for none.
        error_code, error_message: set where the request failed although the engine works.
        engine_id: the engine that answered; None for a remote engine, which we do not start.
        queue_seconds: time spent waiting inside the engine; None where the server does not say.
        cached_tokens: prompt tokens found in the engine's prefix cache; None where the server does not say.
        answered_at: seconds since the epoch.
        seconds: time from the last sending to the answer.
        n_sends: more than 1 where an engine died with the prompt in flight, or a remote engine was busy.
    """

    text: str | None = None
    finish_reason: str | None = None
    output_tokens: int = 0
    log_probabilities: Mapping[int, float] = field(default_factory=dict)
    error_code: ReasonCode | None = None
    error_message: str | None = None
    engine_id: str | None = None
    queue_seconds: float | None = None
    cached_tokens: int | None = None
    answered_at: float | None = field(default=None, compare=False)
    seconds: float = field(default=0.0, compare=False)
    n_sends: int = field(default=1, compare=False)

    def stamp(self, sent: float) -> Answer:
        """Return the answer stamped with its arrival time, which is now, and its duration.

        Args:
            sent: `time.monotonic()` of its last sending.
        """
        return replace(self, answered_at=time.time(), seconds=time.monotonic() - sent)


def read_answer(body: bytes, engine_id: str | None) -> Answer:
    """Read the answer in the body of a 200 response."""
    content = json.loads(body)
    choice = content["choices"][0]
    top = (choice.get("logprobs") or {}).get("top_logprobs") or [{}]
    usage = content["usage"]
    # Our server sends both. vLLM's needs --enable-per-request-metrics and --enable-prompt-tokens-details.
    queue_milliseconds = (content.get("metrics") or {}).get("queue_time_ms")
    return Answer(
        text=choice["text"],
        finish_reason=choice["finish_reason"],
        output_tokens=usage["completion_tokens"],
        # Requests ask for names of the form `token_id:N`, see PromptBuilder.request_parameters.
        log_probabilities={
            int(token.split(":")[1]): value for token, value in top[0].items() if token.startswith("token_id:")
        },
        engine_id=engine_id,
        queue_seconds=None if queue_milliseconds is None else queue_milliseconds / 1000,
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
    )


def read_refusal(status: int, body: bytes, engine_id: str | None) -> Answer:
    """Read the error of a refused request, in the server's words. After a 5xx status another run asks again."""
    message = f"{status}: {read_error_message(body)}"[:500]
    code = ReasonCode.REQUEST_TIMEOUT if status >= 500 else ReasonCode.REQUEST_REFUSED
    return Answer(error_code=code, error_message=message, engine_id=engine_id)


def read_error_message(body: bytes) -> str:
    """Read the message of a response without status 200: OpenAI's error object, FastAPI's detail, or plain text."""
    text = body.decode(errors="replace")
    try:
        content: Any = json.loads(text)
    except ValueError:
        return text
    error = content.get("error", content) if isinstance(content, Mapping) else content
    return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)
