"""Waves: how documents are cut into them, and how they are run, one by one or side by side in different stages."""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pyspark.sql import functions as F

from prox_spark.errors import first_line
from prox_spark.lake.buckets import EVERY, Buckets, bucket_of
from prox_spark.spark_driver import cancel_queries, free_plans, tag_queries
from prox_spark.threads import inherit_thread_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOG = logging.getLogger(__name__)
# One wave per stage. Generation holds all task slots until its end. With two waves the stage that waits for the slots would be
# the only other one, and the engines would idle while programs are applied.
_AT_ONCE = 3
_CANCEL_SECONDS = 0.5

# Called with the name of a stage, it returns the block in which the wave may work on that stage.
Turn: TypeAlias = Callable[[str], AbstractContextManager[None]]
Work: TypeAlias = Callable[["Wave", Turn], None]


@dataclass(frozen=True)
class Wave:
    """Documents that are refined and committed together; prints as ` wave 2 of 5`, or as nothing if it is the only one.

    Attributes:
        number: from 0.
        n_waves: of the run.
        choose: returns the documents of some buckets.
        buckets: of the wave.
        replaces: True if `refined` has rows of some of its documents, under another recipe or of another text.
    """

    number: int
    n_waves: int
    choose: Callable[[Buckets], DataFrame]
    buckets: Buckets = EVERY
    replaces: bool = True

    def __str__(self) -> str:
        return f" wave {self.number + 1} of {self.n_waves}" if self.n_waves > 1 else ""

    @property
    def documents(self) -> DataFrame:
        """The documents, read anew."""
        return self.choose(self.buckets)


def cut_waves(
    counts: Mapping[int, tuple[int, bool]], size: int, documents: Callable[[Buckets], DataFrame]
) -> list[Wave]:
    """Cut documents into waves: ranges of buckets with about the same number of documents in each.

    Args:
        counts: by bucket, the number of documents, and whether some of them replace a row of `refined`.
        size: documents in a wave. A wave may have up to a bucket more, because buckets are not divided.
        documents: returns the documents of some buckets.
    """
    n_all = sum(n for n, _ in counts.values())
    n_waves = math.ceil(n_all / size)
    n_before, parts = 0, dict[int, list[int]]()
    for bucket in sorted(counts):
        parts.setdefault(n_before * n_waves // n_all, []).append(bucket)
        n_before += counts[bucket][0]
    return [
        Wave(
            number,
            len(parts),
            documents,
            Buckets(part[0], part[-1]) if len(parts) > 1 else EVERY,
            any(counts[bucket][1] for bucket in part),
        )
        for number, part in enumerate(parts.values())
    ]


def cut_frame(documents: DataFrame, size: int) -> tuple[list[Wave], int]:
    """Cut the rows of a frame into waves.

    Args:
        documents: with `doc_id`; read once to count them and once for each wave.
        size: as in `cut_waves`.

    Returns:
        The waves, and the number of documents.
    """
    bucket = bucket_of(F.col("doc_id")).alias("bucket")
    counts = {row["bucket"]: (row["count"], True) for row in documents.groupBy(bucket).count().collect()}
    return cut_waves(counts, size, lambda buckets: buckets.of(documents)), sum(n for n, _ in counts.values())


def run_one_by_one(waves: Iterable[Wave], work: Work) -> None:
    """Do the work of each wave after that of the wave before."""
    for wave in waves:
        work(wave, lambda _stage: nullcontext())
        free_plans()


def run_staggered(spark: SparkSession, waves: Iterable[Wave], work: Work, run_id: str) -> None:
    """Do the work of a few waves at a time, each in another stage.

    Engines then have prompts while the last answers of one wave come in and the programs of another are applied. One wave at
    a time is in a stage, in the order of the waves. So the commits of a stage are in order, too, and a prompt of two waves is
    asked once. If a wave fails, the others finish the stages that they are in, which are paid for, and go no further.

    Args:
        spark: its queries are cancelled when the caller is interrupted.
        waves: numbered from 0, without gaps.
        work: does the work of a wave, in another thread than the caller's. It enters each stage by the turn it is given.
        run_id: tags the queries.

    Raises:
        Whatever `work` raised first.
    """
    turns, tag = Turns(), f"prox_spark-{run_id}"

    def work_tagged(wave: Wave, turn: Turn) -> None:
        tag_queries(spark, tag)
        work(wave, turn)

    def work_watched(wave: Wave, work: Work) -> None:
        try:
            turns.check_open()
            work(wave, lambda stage: turns.of(stage, wave.number))
            free_plans()
        except Closed:
            pass
        except BaseException as error:  # It is raised again in the caller's thread.
            turns.fail(wave, error)

    planned = list(waves)
    futures: list[Future[None]] = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prox-spark-wave") as pool:
        try:
            futures += (
                pool.submit(work_watched, wave, inherit_thread_settings(work_tagged, spark)) for wave in planned
            )
            wait(futures)
        except BaseException as interrupt:  # By the user, for one.
            turns.close()
            while wait(futures, _CANCEL_SECONDS).not_done:
                with suppress(Exception):  # The JVM itself may have ended.
                    cancel_queries(spark, tag)
            raise interrupt from turns.failure
    if turns.failure:
        raise turns.failure


class Turns:
    """Admits one wave at a time to each stage, in the order of the waves.

    Attributes:
        failure: error that ended the first wave that failed; None so far.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._closed = False
        self._ended = Counter[str]()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, stage: str, wave: int) -> Iterator[None]:
        """Wait until the wave before has left a stage, then hold the stage for the block.

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
        """Do nothing if stages may begin.

        Raises:
            Closed: no stage begins any more.
        """
        if self._closed:
            raise Closed

    def fail(self, wave: Wave, error: BaseException) -> None:
        """Note that a wave failed, so that no stage begins any more. Later failures are most often a consequence of the first."""
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
        """Let no stage begin any more. Stages that have begun go on to their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Closed(Exception):
    """Raised in a wave when another wave failed or the run was interrupted."""
