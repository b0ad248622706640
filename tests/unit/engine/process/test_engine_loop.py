"""An engine's thread and its clients, around a FAKE of vLLM's engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import wait_until

from prox_spark.engine.process.engine_loop import EngineLoop, Refusal

pytestmark = pytest.mark.unit


class DeadError(Exception):
    """The engine is dead."""


class FakeLLMEngine:
    """An engine that answers a prompt after as many steps as its first token says.

    It refuses a prompt without tokens, and one with the token 12 after it has taken it. It is dead after a prompt with the
    token 14, and dies in a step with the token 13.
    """

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.prompts: dict[str, list[int]] = {}
        self.aborted: list[str] = []
        self.threads: set[int] = set()
        self.may_step = threading.Event()
        self.may_step.set()

    def has_unfinished_requests(self) -> bool:
        return bool(self.left)

    def add_request(self, request_id: str, prompt: list[int], parameters: Any, lora_request: Any) -> None:
        self.threads.add(threading.get_ident())
        if not prompt:
            raise ValueError("the prompt is empty")
        self.left[request_id], self.prompts[request_id] = prompt[0], prompt
        if 12 in prompt:
            raise ValueError("no grammar can be made of it")
        if 14 in prompt:
            raise DeadError

    def abort_request(self, request_ids: list[str]) -> None:
        self.threads.add(threading.get_ident())
        self.aborted += request_ids
        for request_id in request_ids:
            self.left.pop(request_id, None)

    def step(self) -> list[Any]:
        self.may_step.wait(10)
        if any(13 in self.prompts[request_id] for request_id in self.left):
            raise RuntimeError("the fake engine was given its poison")
        self.left = {request_id: n - 1 for request_id, n in self.left.items()}
        outputs = [SimpleNamespace(request_id=i, finished=n == 0, prompt=self.prompts[i]) for i, n in self.left.items()]
        self.left = {request_id: n for request_id, n in self.left.items() if n}
        return outputs


def run_asking(engine: FakeLLMEngine, ask: Callable[[EngineLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine that asks an engine in another thread than the engine's, and return its result."""

    async def run() -> Any:
        loop = EngineLoop(engine, asyncio.get_running_loop(), DeadError)  # type: ignore[arg-type]
        threading.Thread(target=loop.run, daemon=True).start()
        return await ask(loop)

    return asyncio.run(run())


async def hold_back(engine: FakeLLMEngine, loop: EngineLoop) -> asyncio.Future[Any]:
    """Return the future answer to a prompt that the engine has and holds back until `may_step` is set."""
    engine.may_step.clear()
    answer = asyncio.ensure_future(loop.generate([1], None, None))  # type: ignore[arg-type]
    await asyncio.to_thread(wait_until, engine.has_unfinished_requests, "it is in the engine", 10)
    return answer


def test_each_prompt_has_its_own_answer_and_the_engine_one_thread() -> None:
    engine = FakeLLMEngine()
    prompts = [[1 + n % 5, n] for n in range(20, 60)]

    async def ask(loop: EngineLoop) -> list[Any]:
        return await asyncio.gather(*(loop.generate(prompt, None, None) for prompt in prompts))  # type: ignore[arg-type]

    assert [output.prompt for output in run_asking(engine, ask)] == prompts
    assert len(engine.threads) == 1 and threading.get_ident() not in engine.threads


def test_a_refused_prompt_is_told_so_and_the_others_are_answered() -> None:
    async def ask(loop: EngineLoop) -> list[Any]:
        asking = (loop.generate(prompt, None, None) for prompt in ([1], [], [10**9, 12], [2]))  # type: ignore[arg-type]
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert loop.n_in_flight == 0
        return found

    engine = FakeLLMEngine()
    first, *refusals, last = run_asking(engine, ask)
    assert all(isinstance(refusal, Refusal) for refusal in refusals) and (first.prompt, last.prompt) == ([1], [2])
    assert [str(refusal) for refusal in refusals] == [
        "ValueError: the prompt is empty",
        "ValueError: no grammar can be made of it",
    ]
    assert not engine.left


def test_a_prompt_that_nobody_waits_for_any_more_ends_in_the_engine() -> None:
    engine = FakeLLMEngine()

    async def ask(loop: EngineLoop) -> Any:
        long = asyncio.ensure_future(loop.generate([1_000_000_000], None, None))  # type: ignore[arg-type]
        await asyncio.to_thread(wait_until, engine.has_unfinished_requests, "it is in the engine", 10)
        assert loop.n_in_flight == 1
        long.cancel()
        await asyncio.to_thread(wait_until, lambda: not engine.has_unfinished_requests(), "it is not any more", 10)
        assert loop.n_in_flight == 0
        return await loop.generate([3], None, None)  # type: ignore[arg-type]

    assert run_asking(engine, ask).prompt == [3]
    assert len(engine.aborted) == 1


def test_an_answer_that_comes_too_late_harms_nobody() -> None:
    engine = FakeLLMEngine()

    async def ask(loop: EngineLoop) -> Any:
        late = await hold_back(engine, loop)
        late.cancel()
        await asyncio.sleep(0)
        engine.may_step.set()  # the step answers a prompt that was given up meanwhile
        return await loop.generate([3], None, None)  # type: ignore[arg-type]

    assert run_asking(engine, ask).prompt == [3]


def test_a_function_of_the_engine_is_called_in_its_thread() -> None:
    engine = FakeLLMEngine()

    async def ask(loop: EngineLoop) -> Any:
        def fail(_: Any) -> None:
            raise OSError("no such adapter")

        with pytest.raises(OSError, match="no such adapter"):
            await loop.call(fail)
        return await loop.call(lambda of: (of, threading.get_ident()))

    called, thread = run_asking(engine, ask)
    assert called is engine and thread != threading.get_ident()


def test_a_function_that_nobody_waits_for_any_more_is_not_called() -> None:
    engine = FakeLLMEngine()

    async def ask(loop: EngineLoop) -> Any:
        answer = await hold_back(engine, loop)
        given_up = asyncio.ensure_future(loop.call(lambda of: of.left.clear()))  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        engine.may_step.set()
        return await answer, await loop.generate([3], None, None)  # type: ignore[arg-type]

    assert [output.prompt for output in run_asking(engine, ask)] == [[1], [3]]


@pytest.mark.parametrize(("prompt", "error"), [([13], RuntimeError), ([1, 14], DeadError)])
def test_an_engine_that_fails_ends_the_loop_with_its_words(prompt: list[int], error: type[Exception]) -> None:
    asking = asyncio.new_event_loop()
    thread = threading.Thread(target=asking.run_forever, daemon=True)
    thread.start()
    loop = EngineLoop(FakeLLMEngine(), asking, DeadError)  # type: ignore[arg-type]
    asyncio.run_coroutine_threadsafe(loop.generate(prompt, None, None), asking)  # type: ignore[arg-type]
    with pytest.raises(error):
        loop.run()
    asking.call_soon_threadsafe(asking.stop)
    thread.join()
