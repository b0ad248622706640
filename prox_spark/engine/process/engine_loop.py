"""vLLM's engine in one thread, and the event loop of its clients in another."""

from __future__ import annotations

import asyncio
import itertools
import queue
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from vllm.inputs.engine import TokensInput
    from vllm.lora.request import LoRARequest
    from vllm.outputs import RequestOutput
    from vllm.sampling_params import SamplingParams
    from vllm.v1.engine.llm_engine import LLMEngine

T = TypeVar("T")


class Refusal(Exception):
    """vLLM does not take a request, although the engine works."""


class EngineLoop:
    """The loop that steps an engine, in the thread that calls `run`, while there are requests to answer.

    Args:
        engine: vLLM's engine, which must be used from one thread.
        asking: the event loop, of another thread, that awaits the answers.
        fatal: the exception that a dead engine raises; any other concerns only the request.
    """

    def __init__(self, engine: LLMEngine, asking: asyncio.AbstractEventLoop, fatal: type[Exception]) -> None:
        self._engine = engine
        self._asking = asking
        self._fatal = fatal
        self._work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._answers: dict[str, asyncio.Future[RequestOutput]] = {}
        self._ids = map(str, itertools.count())

    @property
    def n_in_flight(self) -> int:
        """Requests that wait for their answer. vLLM's own gauges change only with its steps, even after an abort."""
        return len(self._answers)

    def run(self) -> None:
        """Run until the engine fails, and raise its exception."""
        while True:
            if not self._engine.has_unfinished_requests():
                self._work.get()()
            while not self._work.empty():
                self._work.get()()
            if self._engine.has_unfinished_requests():
                finished = [output for output in self._engine.step() if output.finished]
                if finished:  # one wake-up for all answers of a step
                    self._asking.call_soon_threadsafe(self._answer, finished)

    async def call(self, function: Callable[[LLMEngine], T]) -> T:
        """Call a function of the engine between two steps, and return or raise what it does."""
        result: Future[T] = Future()

        def call() -> None:
            if not result.set_running_or_notify_cancel():
                return  # its caller has gone
            try:
                result.set_result(function(self._engine))
            except self._fatal:
                raise
            except Exception as error:
                result.set_exception(error)

        self._work.put(call)
        return await asyncio.wrap_future(result)

    async def generate(
        self, prompt: TokensInput, parameters: SamplingParams, adapter: LoRARequest | None
    ) -> RequestOutput:
        """Return the answer to a prompt. Cancelling it also ends the prompt in the engine.

        Raises:
            Refusal: vLLM does not take the prompt.
        """
        request_id = next(self._ids)
        answer = self._answers[request_id] = self._asking.create_future()

        def add() -> None:
            try:
                self._engine.add_request(request_id, prompt, parameters, lora_request=adapter)
            except self._fatal:
                raise
            except Exception as error:  # vLLM's validation raises several kinds
                self._engine.abort_request([request_id])  # the engine may have taken it in part
                self._asking.call_soon_threadsafe(self._refuse, request_id, error)

        self._work.put(add)
        try:
            return await answer
        finally:
            if self._answers.pop(request_id, None):  # cancelled
                self._work.put(partial(self._engine.abort_request, [request_id]))

    def _answer(self, outputs: list[RequestOutput]) -> None:
        for output in outputs:
            if answer := self._take(output.request_id):
                answer.set_result(output)

    def _refuse(self, request_id: str, why: Exception) -> None:
        if answer := self._take(request_id):
            answer.set_exception(Refusal(f"{type(why).__name__}: {why}"))

    def _take(self, request_id: str) -> asyncio.Future[RequestOutput] | None:
        """Remove and return the future of an answer; None where nothing waits for it any more."""
        answer = self._answers.pop(request_id, None)
        return answer if answer and not answer.done() else None
