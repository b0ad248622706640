"""Feeding an engine: a window of requests in flight that spans Arrow batches."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

import uvloop

from prox_spark.engine.ask.resident_session import Session
from prox_spark.engine.slots.sharing import Share
from prox_spark.engine.wire.answers import Answer
from prox_spark.errors import EngineError

Tag = TypeVar("Tag")
# Longest time until a slot with few requests in flight notices that it may send more.
_RECHECK_SECONDS = 0.25


class RequestWindow(Generic[Tag]):
    """A slot's window, which keeps as many requests in flight as the slot's share allows.

    Args:
        session: the session that asks; closed at the end.
        share: the slot's share of the executor's window.

    Example:
        >>> for tag, answer in RequestWindow(session, Share(directory, size=70)).ask_all(prompts):  # doctest: +SKIP
        ...     print(tag, answer.text)
    """

    def __init__(self, session: Session, share: Share) -> None:
        self._session = session
        self._share = share

    def ask_all(self, prompts: Iterable[tuple[Tag, list[int]]]) -> Iterator[tuple[Tag, Answer]]:
        """Send prompts as fast as the window allows and yield answers as they arrive, each with its tag.

        Args:
            prompts: (tag, token ids); drawn only when there is room, so that a slow engine slows its source.

        Raises:
            EngineError: the engine died and could not be started again.
        """
        done: queue.SimpleQueue[tuple[Tag, Answer] | BaseException] = queue.SimpleQueue()

        async def ask(tag: Tag, token_ids: list[int]) -> None:
            try:
                answer = await self._session.ask(token_ids)
            except BaseException as error:  # any error must reach the thread that waits for the answer
                done.put(error)
            else:
                # At once, even where the consumer is busy elsewhere: other slots may use the room now.
                self._share.count_answered()
                done.put((tag, answer))

        with self._share as share, _LoopThread() as loop:
            try:
                for tag, token_ids in prompts:
                    share.count_sent()
                    loop.start(ask(tag, token_ids))
                    while share.n_open and not (done.empty() and share.has_room()):
                        with suppress(queue.Empty):
                            yield self._pass_on(done.get(timeout=_RECHECK_SECONDS))
                while share.n_open:
                    yield self._pass_on(done.get())
            finally:
                loop.cancel_all()
                loop.run(self._session.close())

    def _pass_on(self, item: tuple[Tag, Answer] | BaseException) -> tuple[Tag, Answer]:
        self._share.count_passed_on()
        if isinstance(item, EngineError):
            raise item
        if isinstance(item, BaseException):
            raise EngineError(f"the engine's client failed: {item!r}") from item
        return item


class _LoopThread:
    """An event loop in a thread of its own, so that requests go on while the caller waits for its next Arrow batch."""

    def __enter__(self) -> _LoopThread:
        self._new: deque[Coroutine[Any, Any, None]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        # asyncio's own loop costs a tenth more CPU time per request, and a fast engine waits for exactly that.
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="prox-spark-engine-client", daemon=True)
        self._thread.start()
        return self

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine in the loop.

        Waking the loop is the costly part, so one wake-up serves all coroutines that wait.
        """
        self._new.append(work)
        if len(self._new) == 1:
            self._loop.call_soon_threadsafe(self._start_new)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the loop to its end."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def cancel_all(self) -> None:
        """Cancel all tasks. Call this before closing connections, or a cut-off request would start a new engine."""

        async def cancel_all() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(cancel_all())

    def __exit__(self, *_: object) -> None:
        self.cancel_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _start_new(self) -> None:
        while self._new:
            task = self._loop.create_task(self._new.popleft())
            self._running.add(task)  # the loop itself holds only weak references to tasks
            task.add_done_callback(self._running.discard)
