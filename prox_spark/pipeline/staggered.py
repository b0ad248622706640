"""Two waves at a time: while the last prompts of a wave are answered and its programs applied, the engines have those of the next."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, TypeAlias

from pyspark.util import inheritable_thread_target

from prox_spark.pipeline.plan import Wave

if TYPE_CHECKING:
    from pyspark import SparkContext

LOG = logging.getLogger(__name__)
_AT_ONCE = 2
_CANCEL_SECONDS = 0.5

# Called with the name of a stage: a block that the wave may be in.
Turn: TypeAlias = Callable[[str], AbstractContextManager[None]]


def one_by_one(waves: Iterable[Wave], work: Callable[[Wave, Turn], None]) -> None:
    """Does the work of each wave when that of the one before is done."""
    for wave in waves:
        work(wave, lambda _stage: nullcontext())


def staggered(context: SparkContext, waves: Iterable[Wave], work: Callable[[Wave, Turn], None], run_id: str) -> None:
    """Does the work of two waves at a time.

    A stage is one wave's at a time, in the order of the waves: so the commits of a stage are in order, too, and what is the same
    in two waves is asked once. When a wave fails, the other ends the stage that it is in, which is paid for, and goes no further.

    Args:
        context: whose jobs are cancelled when the caller is interrupted.
        waves: numbered from 0, without gaps.
        work: of a wave, in a thread of its own. Enters each of its stages by the turn it is given.
        run_id: names the jobs.

    Raises:
        Whatever `work` raised first.
    """
    turns = Turns()
    tag = f"prox_spark-{run_id}"

    def alone(wave: Wave) -> None:
        try:
            turns.check_open()
            context.addJobTag(tag)
            work(wave, lambda stage: turns.of(stage, wave.number))
        except Closed:
            pass
        except BaseException as error:  # told by the caller's thread
            turns.fail(error)

    # What a notebook has set for its thread, such as how to cancel its jobs, holds for these threads as well.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark 4 would like its session, which 3.5 does not take
        inherited = inheritable_thread_target(alone)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prox-spark-wave") as pool:
        futures = [pool.submit(inherited, wave) for wave in waves]
        try:
            wait(futures)
        except BaseException:  # the caller was interrupted, by the user for one
            turns.close()
            while wait(futures, _CANCEL_SECONDS).not_done:
                with suppress(Exception):  # such as when the JVM is what ended
                    context.cancelJobsWithTag(tag)
            raise
    if turns.failure:
        raise turns.failure


class Turns:
    """Which wave may be in which stage.

    Attributes:
        failure: what ended the first wave that failed.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._closed = False
        self._ended = Counter[str]()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, stage: str, wave: int) -> Iterator[None]:
        """The block of a wave's stage. Waits for the wave before to be through it.

        Raises:
            Closed: no stage begins any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._ended[stage] == wave)
        self.check_open()
        yield
        with self._changed:
            self._ended[stage] += 1
            self._changed.notify_all()

    def check_open(self) -> None:
        """May stages begin.

        Raises:
            Closed: no more.
        """
        if self._closed:
            raise Closed

    def fail(self, error: BaseException) -> None:
        """A wave failed: no stage begins any more."""
        with self._changed:
            if self.failure:
                LOG.error("the wave beside it failed as well: %s: %s", type(error).__name__, error)
            self.failure = self.failure or error
        self.close()

    def close(self) -> None:
        """No stage begins any more; those that have begun go on to their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Closed(Exception):
    """Ends a wave that is to go no further."""
