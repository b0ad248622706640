"""Waves that overlap: each stage has another one, so that engines have prompts while the last answers of a wave come in and its programs are applied."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, TypeAlias

from prox_spark.errors import first_line
from prox_spark.pipeline.plan import Wave
from prox_spark.threads import inherit_thread_settings

if TYPE_CHECKING:
    from pyspark import SparkContext

LOG = logging.getLogger(__name__)
# As many as there are stages. Generation holds all task slots until its end, and the stage that waits for them must not be the
# only one to come: with two waves the engines would idle while programs are applied.
_AT_ONCE = 3
_CANCEL_SECONDS = 0.5

# Called with the name of a stage: a block that the wave may be in.
Turn: TypeAlias = Callable[[str], AbstractContextManager[None]]
Work: TypeAlias = Callable[[Wave, Turn], None]


def one_by_one(waves: Iterable[Wave], work: Work) -> None:
    """Does the work of each wave when that of the one before is done."""
    for wave in waves:
        work(wave, lambda _stage: nullcontext())


def staggered(context: SparkContext, waves: Iterable[Wave], work: Work, run_id: str) -> None:
    """Does the work of a few waves at a time.

    A stage is one wave's at a time, in the order of the waves: so the commits of a stage are in order, too, and what is the same
    in two waves is asked once. When a wave fails, the others end the stages that they are in, which are paid for, and go no
    further.

    Args:
        context: whose jobs are cancelled when the caller is interrupted.
        waves: numbered from 0, without gaps.
        work: of a wave, in another thread than the caller's. Enters each of its stages by the turn it is given.
        run_id: names the jobs.

    Raises:
        Whatever `work` raised first.
    """
    turns, tag = Turns(), f"prox_spark-{run_id}"

    def tagged(wave: Wave, turn: Turn) -> None:
        context.addJobTag(tag)
        work(wave, turn)

    def watched(wave: Wave, work: Work) -> None:
        try:
            turns.check_open()
            work(wave, lambda stage: turns.of(stage, wave.number))
        except Closed:
            pass
        except BaseException as error:  # raised again in the caller's thread
            turns.fail(wave, error)

    planned = list(waves)
    futures: list[Future[None]] = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prox-spark-wave") as pool:
        try:
            futures += (pool.submit(watched, wave, inherit_thread_settings(tagged)) for wave in planned)
            wait(futures)
        except BaseException as interrupt:  # by the user, for one
            turns.close()
            while wait(futures, _CANCEL_SECONDS).not_done:
                with suppress(Exception):  # such as when the JVM is what ended
                    context.cancelJobsWithTag(tag)
            raise interrupt from turns.failure
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

    def fail(self, wave: Wave, error: BaseException) -> None:
        """A wave failed: no stage begins any more. What fails after it, or is cancelled, does so for it, as a rule."""
        with self._changed:
            if self._closed:
                LOG.debug("another wave failed, too:%s", wave, exc_info=error)
            else:
                self.failure = error
                LOG.error(
                    "%s failed: %s; those beside it end their stages first",
                    str(wave).strip() or "the wave",
                    first_line(error),
                )
        self.close()

    def close(self) -> None:
        """No stage begins any more; those that have begun go on to their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Closed(Exception):
    """Ends a wave that is to go no further."""
