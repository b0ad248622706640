"""Feeding an engine: a window of requests in flight that does not know where one Arrow batch ends and the next begins."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import aiohttp

from prox_spark.engine.cost import Cost
from prox_spark.engine.resident import Engine
from prox_spark.engine.spec import MODEL_NAME
from prox_spark.errors import EngineError, ReasonCode

Tag = TypeVar("Tag")
# Restarts have their own limit (engine.max_restarts); this one ends a prompt whose connection breaks while the engine lives.
_MAX_SENDS = 10


@dataclass(frozen=True)
class Answer:
    """What came back for one prompt.

    Attributes:
        text: the generated text; None with error_code.
        finish_reason: stop or length; None with error_code.
        output_tokens: generated tokens.
        log_probabilities: by token id, natural logarithm, where they were asked for.
        error_code, error_message: the request failed; the engine is well.
        engine_id: who answered.
        cost: what it took; None where nothing was sent.
    """

    text: str | None = None
    finish_reason: str | None = None
    output_tokens: int = 0
    log_probabilities: Mapping[int, float] = field(default_factory=dict)
    error_code: ReasonCode | None = None
    error_message: str | None = None
    engine_id: str | None = None
    cost: Cost | None = field(default=None, compare=False)


class Window(Generic[Tag]):
    """Keeps up to `size` requests in flight at the executor's engine.

    Args:
        connect: finds or starts the engine; called again when it died, raises when it died too often.
        parameters: body of each completions request, but for model and prompt.
        size: requests in flight.
        request_seconds: deadline of one request.

    Example:
        >>> for tag, answer in Window(connect, {"max_tokens": 8}, size=70).answers(prompts):  # doctest: +SKIP
        ...     print(tag, answer.text)
    """

    def __init__(
        self, connect: Callable[[], Engine], parameters: Mapping[str, Any], size: int, request_seconds: float
    ) -> None:
        self._connect = connect
        self._parameters = parameters
        self._size = size
        self._timeout = aiohttp.ClientTimeout(total=request_seconds)

    def answers(self, prompts: Iterable[tuple[Tag, list[int]]]) -> Iterator[tuple[Tag, Answer]]:
        """Sends prompts as fast as the window allows and yields answers as they come, each with its tag.

        Args:
            prompts: (tag, token ids); drawn only when there is room, so that a slow engine holds its source back.

        Raises:
            EngineError: the engine died and could not be started again.
        """
        done: queue.SimpleQueue[tuple[Tag, Answer] | BaseException] = queue.SimpleQueue()
        n_in_flight = 0
        with _LoopThread() as loop:
            session = _Session(self._connect, self._parameters, self._timeout)
            try:
                for tag, token_ids in prompts:
                    loop.submit(self._one(session, tag, token_ids, done))
                    n_in_flight += 1
                    while n_in_flight and (n_in_flight >= self._size or not done.empty()):
                        yield _taken(done)
                        n_in_flight -= 1
                while n_in_flight:
                    yield _taken(done)
                    n_in_flight -= 1
            finally:
                loop.cancel_all()
                loop.submit(session.close()).result()

    async def _one(
        self,
        session: _Session,
        tag: Tag,
        token_ids: list[int],
        done: queue.SimpleQueue[tuple[Tag, Answer] | BaseException],
    ) -> None:
        try:
            done.put((tag, await session.ask(token_ids)))
        except BaseException as error:  # it must reach the thread that waits for it, whatever it is
            done.put(error)


class _Session:
    """The connection to an engine, renewed when the engine was."""

    def __init__(
        self, connect: Callable[[], Engine], parameters: Mapping[str, Any], timeout: aiohttp.ClientTimeout
    ) -> None:
        self._connect = connect
        self._parameters = parameters
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._engine: Engine | None = None
        self._http: aiohttp.ClientSession | None = None
        self._failure: Exception | None = None

    async def ask(self, token_ids: list[int]) -> Answer:
        """One prompt. An engine that dies meanwhile is replaced and asked again; only unanswered prompts come here twice."""
        engine: Engine | None = None
        for n_sends in range(1, _MAX_SENDS + 1):
            engine, http = await self._connected(instead_of=engine)
            sent = time.monotonic()
            try:
                async with http.post(
                    "/v1/completions", json={"model": MODEL_NAME, "prompt": token_ids, **self._parameters}
                ) as response:
                    if response.status == 200:
                        content = await response.json()
                        return replace(_answer(200, content, engine), cost=Cost.of(content, sent, n_sends))
                    body = (await response.text())[:500]
                    if response.status < 500:
                        return _answer(response.status, _json(body), engine)
                if await asyncio.to_thread(engine.is_alive):
                    return Answer(error_code=ReasonCode.REQUEST_REFUSED, error_message=body, engine_id=engine.engine_id)
            except TimeoutError:
                if not await asyncio.to_thread(engine.is_alive):
                    continue  # not this request is slow, the engine hangs
                message = f"no answer in engine.request_seconds = {self._timeout.total:g} s"
                return Answer(error_code=ReasonCode.REQUEST_TIMEOUT, error_message=message, engine_id=engine.engine_id)
            except aiohttp.ClientError:
                continue  # the connection broke: the engine is gone, or going
        raise EngineError(
            f"the engine broke off the same request {_MAX_SENDS} times. Its last words:\n{engine and engine.last_lines()}"
        )

    async def close(self) -> None:
        """Closes the connections; requests in flight end in the engine too."""
        if self._http:
            await self._http.close()

    async def _connected(self, instead_of: Engine | None) -> tuple[Engine, aiohttp.ClientSession]:
        async with self._lock:  # one of all waiting requests connects
            if self._engine is None or self._http is None or self._engine is instead_of:
                if self._failure:
                    raise self._failure
                try:
                    engine = await asyncio.to_thread(self._connect)
                except Exception as error:
                    self._failure = error  # told to all who wait, not tried again by each
                    raise
                if self._engine is None or self._http is None or self._engine.engine_id != engine.engine_id:
                    await self.close()
                    connector = aiohttp.UnixConnector(path=engine.socket, limit=0)
                    self._http = aiohttp.ClientSession("http://engine", connector=connector, timeout=self._timeout)
                # Else one connection broke and the engine lives: the other requests in flight stay.
                self._engine = engine
            return self._engine, self._http


class _LoopThread:
    """An event loop in a thread of its own: requests go on while the caller waits for its next Arrow batch."""

    def __enter__(self) -> _LoopThread:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="prox-spark-engine-client", daemon=True)
        self._thread.start()
        return self

    def submit(self, work: Awaitable[None]) -> Any:
        """Runs a coroutine in the loop; returns its concurrent future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)  # type: ignore[arg-type]

    def cancel_all(self) -> None:
        """Ends all that runs; first of all, lest a request that is cut off ask for a new engine."""

        async def cancel_all() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.submit(cancel_all()).result()

    def __exit__(self, *_: object) -> None:
        self.cancel_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _taken(done: queue.SimpleQueue[tuple[Tag, Answer] | BaseException]) -> tuple[Tag, Answer]:
    item = done.get()
    if isinstance(item, EngineError):
        raise item
    if isinstance(item, BaseException):
        raise EngineError(f"the engine's client failed: {item!r}") from item
    return item


def _answer(status: int, body: Mapping[str, Any], engine: Engine) -> Answer:
    if status != 200:
        error = body.get("error", body)
        message = error.get("message", str(error)) if isinstance(error, Mapping) else str(error)
        return Answer(
            error_code=ReasonCode.REQUEST_REFUSED,
            error_message=f"{status}: {message}"[:500],
            engine_id=engine.engine_id,
        )
    choice = body["choices"][0]
    top = (choice.get("logprobs") or {}).get("top_logprobs") or [{}]
    return Answer(
        text=choice["text"],
        finish_reason=choice["finish_reason"],
        output_tokens=body["usage"]["completion_tokens"],
        # Asked for as `token_id:N`, see PromptBuilder.request_parameters.
        log_probabilities={
            int(token.split(":")[1]): value for token, value in top[0].items() if token.startswith("token_id:")
        },
        engine_id=engine.engine_id,
    )


def _json(body: str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return found if isinstance(found, Mapping) else {"error": body}
