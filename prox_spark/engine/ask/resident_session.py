"""Asking the resident engine.

A request outlives the engine that it was sent to, unless the request itself kills engines.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import orjson

from prox_spark.engine.life.record import Engine
from prox_spark.engine.slots.isolation import Isolation
from prox_spark.engine.spec import MODEL_NAME
from prox_spark.engine.wire.answers import Answer, read_answer, read_refusal
from prox_spark.engine.wire.connections import BrokenConnection, Connections
from prox_spark.errors import EngineError, ReasonCode

# This limit is for a prompt whose connection breaks while the engine lives. Restarts have their own
# (engine.max_restarts).
_MAX_BREAKS = 10
# Engines that died with a prompt in flight before it is asked alone. After the first death prompts are only asked
# again, because its cause may have come from outside.
_DEATHS_OF_A_SUSPECT = 2


class Session(Protocol):
    """The side of a session that a window uses: `ask` for each prompt, many at once. It lives in one event loop."""

    async def ask(self, token_ids: list[int]) -> Answer:
        """Return the answer to a prompt. Raise an EngineError where the engine failed and not the prompt."""
        ...

    async def close(self) -> None:
        """End the requests in flight."""
        ...


class _MissingAdapter(Exception):
    """The engine does not know this slot's adapter, because another slot started it anew.

    Connecting again loads the adapter.
    """


@dataclass(frozen=True)
class _Link:
    """An engine and the connections to it. A renewed link is a new object, even to the same engine."""

    engine: Engine
    connections: Connections
    isolation: Isolation

    async def is_alive(self) -> bool:
        return await asyncio.to_thread(self.engine.is_alive)


class ResidentSession:
    """A session with the executor's engine.

    An engine that dies is replaced, and its unanswered prompts are asked again. A prompt that was in flight when two
    engines died is asked alone, with nothing else in flight from any slot. If a third engine dies then, the prompt is
    the cause and its answer is `engine_crash`. So an engine that is killed from outside costs no prompt its answer,
    unless it is killed a third time at that moment.

    Args:
        connect: finds or starts the engine; called again when it died, raises when it died too often.
        parameters: body of each completions request, without model and prompt.
        request_seconds: deadline of one request.
        forgive: subtracts deaths that a prompt explains from those that `connect` counts.
        max_crashing_prompts: most prompts of a run that may crash an executor's engine; with more, the error is the
            engine's.
        run: id of the run. An executor may live for days and serve many runs.
        model: name of the refiner in the engine's server.
    """

    def __init__(
        self,
        connect: Callable[[], Engine],
        parameters: Mapping[str, Any],
        request_seconds: float,
        forgive: Callable[[int], None],
        max_crashing_prompts: int,
        run: str = "",
        model: str = MODEL_NAME,
    ) -> None:
        self._connect = connect
        self._parameters = parameters
        self._request_seconds = request_seconds
        self._forgive = forgive
        self._max_crashing_prompts = max_crashing_prompts
        self._run = run
        self._model = model
        self._connecting = asyncio.Lock()
        self._link: _Link | None = None
        self._failure: Exception | None = None

    async def ask(self, token_ids: list[int]) -> Answer:
        """Return the answer to a prompt. Only unanswered prompts are sent twice.

        Raises:
            EngineError: the engine can't be started again, or breaks off this request again and again.
        """
        body = orjson.dumps({"model": self._model, "prompt": token_ids, **self._parameters})
        reached: set[str] = set()  # engines that received this prompt and gave no answer
        breaks: Counter[str] = Counter()
        broken: _Link | None = None
        while True:
            link = await self._get_link(instead_of=broken)
            engine_id = link.engine.engine_id
            if breaks[engine_id] == _MAX_BREAKS:
                raise EngineError(
                    f"the engine broke off the same request {_MAX_BREAKS} times. Its last words:\n{link.engine.read_last_lines()}"
                )
            dead = reached - {engine_id}
            if len(dead) < _DEATHS_OF_A_SUSPECT:
                answer = await self._ask_among_others(link, body, reached)
            else:
                answer = await self._ask_alone(body, dead)
            if answer:
                return replace(answer, n_sends=len(reached) + 1) if reached else answer
            breaks[engine_id] += 1
            broken = link

    async def close(self) -> None:
        """Close the connections, which ends requests in flight in the engine too."""
        if self._link:
            self._link.connections.close()
            self._link.isolation.close()

    async def _ask_among_others(self, link: _Link, body: bytes, reached: set[str]) -> Answer | None:
        """Return the answer, or None if the connection broke before it came.

        Add the engine to `reached` if it received the prompt and gave no answer.
        """
        await link.isolation.enter()
        try:
            return await self._send(link, body)
        except BrokenConnection:
            reached.add(link.engine.engine_id)
        except (OSError, _MissingAdapter):
            pass  # the prompt was not sent because nothing listens, or it was refused because the adapter is missing
        finally:
            link.isolation.leave()
        return None

    async def _ask_alone(self, body: bytes, dead: set[str]) -> Answer | None:
        """Return the answer; None where the engine lives and gave none."""
        isolation = (await self._get_link()).isolation
        async with isolation.alone():
            link = await self._get_link()
            if not await link.is_alive():  # it died of a request that was in flight until now
                link = await self._get_link(instead_of=link)
            try:
                return await self._send(link, body)
            except _MissingAdapter:
                return None
            except OSError as error:
                if not isinstance(error, BrokenConnection) or await link.is_alive():
                    return None
            n_crashing = isolation.count_crash(self._run)
            if n_crashing > self._max_crashing_prompts:
                raise EngineError(
                    f"{n_crashing} prompts of this run have crashed the engine of this executor, engine.max_crashing_prompts is "
                    f"{self._max_crashing_prompts}: look at the engine rather than at them. Its last words "
                    f"({link.engine.log}):\n{link.engine.read_last_lines()}"
                )
            n_deaths = len(dead) + 1
            message = f"the engine died {n_deaths} times with this prompt in flight, at last with no other: {link.engine.read_last_lines()}"
            await asyncio.to_thread(self._forgive, n_deaths)
        return Answer(
            error_code=ReasonCode.ENGINE_CRASH, error_message=message[:1000], engine_id=link.engine.engine_id
        ).stamp(time.monotonic())

    async def _send(self, link: _Link, body: bytes) -> Answer:
        """Send a prompt and return the answer, stamped.

        Raises:
            OSError: the engine is gone.
            _MissingAdapter: the engine lives and has lost the adapter.
        """
        sent = time.monotonic()
        return (await self._exchange(link, body)).stamp(sent)

    async def _exchange(self, link: _Link, body: bytes) -> Answer:
        engine_id = link.engine.engine_id
        try:
            async with asyncio.timeout(self._request_seconds):
                status, content = await link.connections.post("/v1/completions", body)
        except TimeoutError:
            if not await link.is_alive():  # the request is not slow: the engine hangs
                raise BrokenConnection("the engine hangs") from None
            message = f"no answer in engine.request_seconds = {self._request_seconds:g} s"
            return Answer(error_code=ReasonCode.REQUEST_TIMEOUT, error_message=message, engine_id=engine_id)
        if status == 200:
            return read_answer(content, engine_id)
        if status >= 500 and not await link.is_alive():
            raise BrokenConnection(f"the engine's server says {status}")
        if status == 404 and self._model != MODEL_NAME:
            raise _MissingAdapter(f"the engine does not know {self._model}")
        return read_refusal(status, content, engine_id)

    async def _get_link(self, instead_of: _Link | None = None) -> _Link:
        """Return the present link. Connect where there is none, or only the broken one that is to be replaced."""
        if self._link and self._link is not instead_of:
            return self._link
        async with self._connecting:  # one of the waiting requests connects for all
            if self._link is None or self._link is instead_of:
                if self._failure:
                    raise self._failure
                try:
                    engine = await asyncio.to_thread(self._connect)
                except Exception as error:
                    self._failure = error  # all waiting requests raise it, instead of each trying again
                    raise
                self._link = self._renew_link(engine)
            return self._link

    def _renew_link(self, engine: Engine) -> _Link:
        if self._link is None:
            return _Link(engine, Connections(engine.socket), Isolation(Path(engine.socket).parent))
        if self._link.engine.engine_id == engine.engine_id:
            # One connection broke and the engine lives, so the other requests in flight stay.
            return _Link(engine, self._link.connections, self._link.isolation)
        self._link.connections.close()
        return _Link(engine, Connections(engine.socket), self._link.isolation)
