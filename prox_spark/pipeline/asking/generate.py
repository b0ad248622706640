"""Asking the engines: the only costly part, paid for once per distinct prompt."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.engine.driver import find_earliest_start, find_local_executor, read_engine_ids
from prox_spark.errors import ReasonCode
from prox_spark.frames import persisted
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.asking.gpu_profile import make_generation_profile
from prox_spark.pipeline.asking.stages import RefinerStage
from prox_spark.runs.run import Run
from prox_spark.runs.usage import AnswerSums, EngineWave, find_last_engines
from prox_spark.spark_driver import count_slots, is_connect, is_local, refuse_local_engine
from prox_spark.spark_versions import checkpoint_on_disk, collect_arrow, create_frame
from prox_spark.udfs.generate import ANSWERS
from prox_spark.watching.progress import Workload, engine_progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LOG = logging.getLogger(__name__)
# A task that fails loses the answers it holds. At most this many are asked again.
_PROMPTS_PER_TASK = 4096
# At most this many hashes of earlier answers are kept in the driver: 128 MiB.
_MAX_HASHES = 1 << 24


@dataclass(frozen=True)
class _ToAsk:
    """The prompts of a stage that have to be asked.

    Attributes:
        prompts: generation_key and token_ids of those without an answer.
        n_prompts: number of these prompts.
        n_tokens: number of their tokens.
        stored: rows of `generations` that answer the other prompts; None if there are none.
    """

    prompts: DataFrame
    n_prompts: int
    n_tokens: int
    stored: DataFrame | None = None


class AskedBefore:
    """The prompts that may have an answer already, as hashes of their keys.

    It holds those that were answered when the run began and those that the run has asked since, by stage. That is eight
    bytes per prompt; without it each wave would read the keys of all generations.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, NDArray[np.int64]] = {}
        self._too_many = set[str]()

    def may_hold(self, stage: str, hashes: NDArray[np.int64], stored: Callable[[], NDArray[np.int64] | None]) -> bool:
        """True if any of some prompts may have been asked before.

        Args:
            stage: its name.
            hashes: of the prompts' keys.
            stored: returns the hashes of the prompts that the table has answers for, or None if they are too many. Called once
                per stage, before the run asks anything.
        """
        if stage not in self._hashes:
            found = stored()
            if found is None:
                self._too_many.add(stage)
            self._hashes[stage] = np.array([], np.int64) if found is None else np.unique(found)
        return stage in self._too_many or bool(self._find(stage, hashes).any())

    def add(self, stage: str, hashes: NDArray[np.int64]) -> None:
        """Remember prompts.

        Args:
            stage: its name.
            hashes: of the prompts' keys, in order.
        """
        known, new = self._hashes[stage], hashes[~self._find(stage, hashes)]
        self._hashes[stage] = np.insert(known, np.searchsorted(known, new), new)

    def _find(self, stage: str, hashes: NDArray[np.int64]) -> NDArray[np.bool_]:
        # By bisection, because the known hashes are in order. numpy's set routines would sort them for each wave.
        known = self._hashes[stage]
        if not len(known):
            return np.zeros(len(hashes), np.bool_)
        return known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes


@dataclass(frozen=True)
class GenerateMissing:
    """Generates the answers that a stage lacks.

    Args:
        lake: holds the generations that are looked up and appended.
        run: books them.
        before_asking: called with a stage before it asks an engine.
    """

    lake: Lake
    run: Run
    before_asking: Callable[[RefinerStage], None] | None = None
    _asked: AskedBefore = field(default_factory=AskedBefore)

    @contextmanager
    def __call__(self, prompts: DataFrame, stage: RefinerStage, wave: int, label: str) -> Iterator[DataFrame]:
        """Ask the engine for the prompts that have no generation yet, and commit the answers.

        Args:
            prompts: of the stage, with token ids; read more than once.
            stage: which refiner asks what.
            wave: number of the wave. The waves of a stage come in rising order.
            label: for the progress line.

        Yields:
            The rows of `generations` that answer the prompts, as they were committed, kept for the block. If none is missing no
            engine is started.
        """
        with ExitStack() as stack:
            parts = []
            to_ask = self._to_ask(prompts, stage, stack)
            if to_ask.n_prompts:
                refuse_local_engine(self.lake.spark, stage.generate.spec.config.endpoint)
                if self.before_asking:
                    self.before_asking(stage)
                answers = self._ask(to_ask, stage, wave)
                if is_local(self.lake.spark) and not stage.generate.spec.config.endpoint:
                    # A checkpoint instead of a persisted frame: Spark may forget the latter and would ask once more. The only
                    # executor holds the checkpoint on its disk until the frame is collected as garbage.
                    answers = checkpoint_on_disk(answers)
                    self._commit(answers, to_ask, stage, wave, label)
                else:
                    # An executor that is lost takes its cached answers with it, so they are read back from the table.
                    self._commit(answers, to_ask, stage, wave, label)
                    answers = stack.enter_context(persisted(self._read_committed(stage, wave)))
                self._book(answers, stage, wave, label)
                parts.append(answers)
            if to_ask.stored is not None:
                parts.append(to_ask.stored)
            yield (
                reduce(lambda a, b: a.unionByName(b), parts)
                if parts
                else create_frame(self.lake.spark, [], schemas.GENERATIONS.schema)
            )

    def _to_ask(self, prompts: DataFrame, stage: RefinerStage, stack: ExitStack) -> _ToAsk:
        """Find the distinct prompts without an answer, and the answers to the others."""
        name = stage.builder.name
        sent = prompts.where(F.col("skip_reason").isNull()).select("generation_key", "token_ids")
        tokens = F.coalesce(F.sum(F.size("token_ids")), F.lit(0))
        n_prompts, n_tokens, hashes = sent.select(
            F.count("*"), tokens, F.collect_list(F.xxhash64("generation_key"))
        ).first()
        keys = np.unique(np.array(hashes, np.int64))
        may_be_stored = self._asked.may_hold(name, keys, lambda: self._stored_hashes(stage))
        version = self.lake.version("generations")  # This also notices additions of other runs.
        may_be_stored |= "generations" in self.lake.beside_others
        self._asked.add(name, keys)
        if not may_be_stored and len(keys) == n_prompts:
            return _ToAsk(sent, n_prompts, n_tokens)
        stored, missing = None, sent.dropDuplicates(["generation_key"])
        if may_be_stored:
            # Read at a version, because Spark forgets persisted frames over a table that grows.
            generations = self.lake.read("generations", version)
            known = without_timeouts(generations).where(F.col("stage") == name)
            wanted = sent.select("generation_key").distinct()
            # Keys first: the table is large, and its other columns are read only if something is found.
            found = known.select("generation_key").join(wanted, on="generation_key", how="left_semi")
            found = stack.enter_context(persisted(found))
            if not found.isEmpty():
                stored = stack.enter_context(persisted(known.join(found, on="generation_key", how="left_semi")))
                missing = missing.join(found, on="generation_key", how="left_anti")
        missing = stack.enter_context(persisted(missing))
        n_missing, n_tokens = missing.select(F.count("*"), tokens).first()
        return _ToAsk(missing, n_missing, n_tokens, stored)

    def _stored_hashes(self, stage: RefinerStage) -> NDArray[np.int64] | None:
        """Return the hashes of the keys that the table has answers for, of the stage's model and prompts; None if they are too many."""
        builder = stage.builder
        prints = {
            "stage": builder.name,
            "model_fingerprint": builder.model_fingerprint,
            "prompt_fingerprint": builder.prompt_fingerprint,
            "sampling": builder.sampling,
        }
        conditions = (F.col(name) == value for name, value in prints.items())
        stored = without_timeouts(self.lake.read("generations")).where(reduce(and_, conditions))
        n_stored = stored.count()
        if n_stored > _MAX_HASHES:
            return None
        if not n_stored:
            return np.array([], np.int64)
        return collect_arrow(stored.select(F.xxhash64("generation_key"))).column(0).to_numpy()

    def _commit(self, answers: DataFrame, to_ask: _ToAsk, stage: RefinerStage, wave: int, label: str) -> None:
        """Have the engine answer the prompts, and commit the answers."""
        work = Workload(to_ask.n_prompts, to_ask.n_tokens, type(stage.generate).__name__)
        with (
            engine_progress(self.lake.spark, label, work, stage.generate.spec),
            self._booking_failures(stage, wave),
        ):
            self.lake.append("generations", answers, self.run.run_id)

    def _read_committed(self, stage: RefinerStage, wave: int) -> DataFrame:
        """Return the answers of a wave from the table, where a task that ran twice counts once."""
        generations = self.lake.read("generations", self.lake.version("generations"))
        # Delta skips all other files by these two columns.
        of_wave = (F.col("run_id") == self.run.run_id) & (F.col("wave") == wave)
        return generations.where(of_wave & (F.col("stage") == stage.builder.name))

    def _ask(self, to_ask: _ToAsk, stage: RefinerStage, wave: int) -> DataFrame:
        spark = self.lake.spark
        n_slots = count_slots(spark)
        n_tasks = min(to_ask.n_prompts, max(n_slots, math.ceil(to_ask.n_prompts / _PROMPTS_PER_TASK)))
        profile = None if is_connect(spark) else make_generation_profile(spark.sparkContext, stage.generate.spec.config)
        options = {"profile": profile} if profile else {}
        generate = replace(stage.generate, run_id=self.run.run_id)
        answers = to_ask.prompts.repartition(n_tasks).mapInArrow(generate, ANSWERS, **options)
        return answers.withColumns(
            {
                "stage": F.lit(stage.builder.name),
                "refiner": F.lit(stage.refiner.card.name),
                "model_fingerprint": F.lit(stage.builder.model_fingerprint),
                "prompt_fingerprint": F.lit(stage.builder.prompt_fingerprint),
                "sampling": F.lit(stage.builder.sampling),
                "run_id": F.lit(self.run.run_id),
                "wave": F.lit(wave),
            }
        ).select(*schemas.GENERATIONS.columns)

    def _book(self, answers: DataFrame, stage: RefinerStage, wave: int, label: str) -> None:
        """Add to the run what was paid for."""
        sums, window_size = sum_by_engine(answers), stage.generate.spec.window_size
        LOG.info("%s: %s", label, self.run.book(wave, stage.builder.name, sums, window_size, self._earlier_engines))

    @contextmanager
    def _booking_failures(self, stage: RefinerStage, wave: int) -> Iterator[None]:
        """Add to the run the engines that the block started in vain, as far as the driver knows of them.

        In local mode it knows all. On a cluster the knowledge of the executors is lost with the tasks that failed, except for
        the error's message.
        """
        executor = None if stage.generate.spec.config.endpoint else find_local_executor(self.lake.spark)
        before = read_engine_ids(executor)
        try:
            yield
        except BaseException:
            if new := read_engine_ids(executor) - before:
                sums = [AnswerSums(engine_id) for engine_id in sorted(new)]
                window_size = stage.generate.spec.window_size
                failed = EngineWave.of(wave, stage.builder.name, sums, find_last_engines(before), window_size)
                self.run.book_failure(failed)
            raise

    def _earlier_engines(self) -> dict[str, int]:
        """Return the last engine of each family that answered other runs of this session. In a notebook an engine outlives runs.

        Delta's statistics hold the time range of the answers in each file of `generations`, so only the latest files are read.
        """
        since = F.timestamp_seconds(F.lit(find_earliest_start(self.lake.spark)))
        others = (F.col("run_id") != self.run.run_id) & F.col("engine_id").isNotNull() & (F.col("answered_at") >= since)
        rows = self.lake.read("generations").where(others).select("engine_id").distinct().collect()
        return find_last_engines(row["engine_id"] for row in rows)


def without_timeouts(generations: DataFrame) -> DataFrame:
    """Return the generations without time-outs and server failures, which the next run asks again."""
    return generations.where(~F.col("error_code").eqNullSafe(ReasonCode.REQUEST_TIMEOUT.value))


def sum_by_engine(answers: DataFrame) -> list[AnswerSums]:
    """Sum up what each engine did, over rows of `generations`."""
    has_cache_figure = F.col("cached_tokens").isNotNull()
    answered_at = F.col("answered_at").cast("double")
    rows = answers.groupBy("engine_id").agg(
        F.count("*").alias("prompts"),
        F.count("error_code").alias("errors"),
        F.sum("prompt_tokens").alias("prompt_tokens"),
        F.sum("output_tokens").alias("output_tokens"),
        F.min(answered_at - F.col("request_seconds")).alias("begun"),
        F.max(answered_at).alias("ended"),
        F.coalesce(F.sum("request_seconds"), F.lit(0.0)).alias("request_seconds"),
        F.coalesce(F.sum("queue_seconds"), F.lit(0.0)).alias("queue_seconds"),
        F.count("queue_seconds").alias("queued"),
        F.coalesce(F.sum("cached_tokens"), F.lit(0)).alias("cached_tokens"),
        F.coalesce(F.sum(F.when(has_cache_figure, F.col("prompt_tokens"))), F.lit(0)).alias("cacheable_tokens"),
        F.coalesce(F.sum(F.col("n_sends") - 1), F.lit(0)).alias("resent"),
    )
    return [AnswerSums(**row.asDict()) for row in rows.collect()]
