"""FakeEngineServer: stands in for vLLM's OpenAI-compatible server, on a Unix socket, without a model."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from aiohttp import web

from prox_spark.engine.host.executor import Owner
from prox_spark.engine.life.record import Engine

# Status and JSON body; None breaks the connection without an answer.
Reply = tuple[int, Any] | None
ME = Owner.of(psutil.Process())


def completion(text: str, top_logprobs: list[dict[str, float]] | None = None, n_tokens: int = 1) -> Reply:
    """Make a 200 answer as vLLM gives it."""
    logprobs = {"top_logprobs": top_logprobs} if top_logprobs is not None else None
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": logprobs}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": n_tokens}}


def echo(prompt: list[int]) -> Reply:
    """Answer with the prompt's numbers."""
    return completion(" ".join(map(str, prompt)))


class FakeEngineServer:
    """A server without a model, which gives the answers it is told when it is told to, and counts.

    Args:
        reply: the answer to a prompt.
        ready: True if it is time to answer this prompt; checked again after every change and on `recheck`.
        name: its engine id.

    Attributes:
        received: prompts in the order of their arrival.
        answered: prompts in the order of their replies; broken connections are no answers.
        in_flight, most_in_flight: requests that wait for their answer, now and at most.
    """

    def __init__(
        self,
        reply: Callable[[list[int]], Reply] = echo,
        ready: Callable[[FakeEngineServer, list[int]], bool] = lambda server, prompt: True,
        name: str = "fake",
    ) -> None:
        self._reply = reply
        self._ready = ready
        self._name = name
        self.received: list[list[int]] = []
        self.bodies: list[dict[str, Any]] = []
        self.answered: list[list[int]] = []
        self.in_flight = self.most_in_flight = 0
        self.is_well = True

    def __enter__(self) -> FakeEngineServer:
        # Not pytest's folder, whose path may be too long for a socket (107 bytes).
        self.folder = Path(tempfile.mkdtemp(prefix="fake-"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-engine", daemon=True)
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self.folder)

    def engine(self, pid: int = ME.pid, started: float | None = None) -> Engine:
        """Return the engine that `connect` would return.

        Its supervisor is this test process unless another is given.
        """
        started = ME.started if started is None else started
        return Engine(self._name, pid, started, str(self.folder / "s"), str(self.folder / "engine.log"), 1)

    def recheck(self) -> None:
        """Check `ready` again, from any thread."""
        self._call(self._notify())

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._changed = asyncio.Condition()
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_post("/v1/completions", self._complete)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.UnixSite(self._runner, os.fspath(self.folder / "s")).start()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self.is_well else 503)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body["prompt"]
        self.bodies.append(body)
        self.received.append(prompt)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._notify()
            async with self._changed:
                await self._changed.wait_for(lambda: self._ready(self, prompt))
            reply = self._reply(prompt)
            if reply is None:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            self.answered.append(prompt)
        finally:
            self.in_flight -= 1
        await self._notify()
        status, content = reply
        return (
            web.Response(status=status, text=content)
            if isinstance(content, str)
            else web.json_response(content, status=status)
        )
