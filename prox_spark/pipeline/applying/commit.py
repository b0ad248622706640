"""Commits of the derived tables `programs`, `refined` and `quarantine`. Deterministic, needs no engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.errors import ReasonCode
from prox_spark.frames import persisted
from prox_spark.lake.buckets import bucket_of
from prox_spark.lake.frames import quarantine_id
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.applying.outcomes import IS_ANSWERED, decide_outcomes
from prox_spark.pipeline.asking.settings import Settings
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.stored_answers import NO_GENERATION, parse_answers
from prox_spark.pipeline.asking.wave_prompts import WavePrompts
from prox_spark.pipeline.waves import Wave
from prox_spark.readers.records import SNIPPET_CHARS
from prox_spark.schemas import DOCUMENT_KEY

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The small files of a table are joined after this many commits.
_COMPACT_EVERY = 32
_COMMITS_OF_WAVE = {"generations": 2, "programs": 1, "refined": 1}
# A row of `refined` is replaced under this condition.
_IS_OTHER = "NOT (old.content_sha256 <=> new.content_sha256 AND old.recipe_fingerprint <=> new.recipe_fingerprint)"


@dataclass(frozen=True)
class ApplyAnswers:
    """Writes `programs`, `quarantine` and `refined` for the documents of a wave.

    Args:
        lake: read from and written to.
        stages: their answers are applied.
        settings: semantics, thresholds and fingerprint.
        versions: of the tables when the run began.
        run_id: goes into the rows and the commits.
    """

    lake: Lake
    stages: RefinerStages
    settings: Settings
    versions: Mapping[str, int]
    run_id: str

    def __call__(self, wave: Wave, documents: DataFrame, prompts: WavePrompts, generations: DataFrame) -> int:
        """Apply the answers of the models and commit the derived tables.

        The order is programs, quarantine, refined: a document that is in `refined` is done.

        Args:
            wave: its buckets, and whether its documents replace rows.
            documents: of the wave, persisted.
            prompts: about these documents.
            generations: with the answers to these prompts.

        Returns:
            Number of documents left out because one of their prompts was never answered.
        """
        config = self.settings.recipe.apply
        parsed = parse_answers(generations, self.stages, prompts, config.semantics)
        decided = decide_outcomes(documents, parsed, config, self.settings.drop_threshold)
        with persisted(decided) as applied:
            n_waiting = self._commit(wave, documents, applied)
        self._compact(wave)
        return n_waiting

    def _commit(self, wave: Wave, documents: DataFrame, applied: DataFrame) -> int:
        reasons = {row["reason"]: row["count"] for row in applied.groupBy("failure.reason").count().collect()}
        n_waiting = reasons.pop(NO_GENERATION, 0)
        if not reasons:
            return n_waiting
        answered = applied.where(IS_ANSWERED)
        self._add(schemas.PROGRAMS, self._programs(answered), wave, may_match=self._has_programs)
        if self._has_timed_out:
            stamped = applied.select(*DOCUMENT_KEY).withColumns(self._stamp())
            self.lake.remove(schemas.QUARANTINE, stamped, (*DOCUMENT_KEY, "recipe_fingerprint"), self.run_id)
        if reasons.keys() - {None}:
            quarantined = self._quarantined(answered, documents)
            self.lake.insert_new(schemas.QUARANTINE, quarantined, self.run_id)
            if wave.replaces:
                # Their rows in `refined` are of an earlier text or recipe.
                self.lake.remove(schemas.REFINED, quarantined.select("doc_id"), ("doc_id",), self.run_id)
        if None in reasons:
            self._add(schemas.REFINED, self._refined(answered, documents), wave, may_match=wave.replaces)
        return n_waiting

    def _add(self, table: schemas.Table, rows: DataFrame, wave: Wave, may_match: bool) -> None:
        """Commit the rows of a wave. They are appended if the table is known to have no rows with their keys, else merged."""
        if not may_match and table.name not in self.lake.beside_others:
            self.lake.append_alone(table, rows, self.run_id, wave.buckets)
        elif table == schemas.PROGRAMS:
            self.lake.insert_new(table, rows, self.run_id, wave.buckets)
        else:
            self.lake.upsert(table, rows, self.run_id, _IS_OTHER, wave.buckets)

    def _compact(self, wave: Wave) -> None:
        """Join small files after a number of commits, whether one run made them or many."""
        for name, n_commits in _COMMITS_OF_WAVE.items():
            n_before = self.versions[name] + n_commits * wave.number
            if name in self.lake.written and n_before // _COMPACT_EVERY != (n_before + n_commits) // _COMPACT_EVERY:
                self.lake.compact(name, self.run_id)

    @cached_property
    def _has_programs(self) -> bool:
        """True if the table had rows of the recipe when the run began. A run that was killed may have left them for documents of this run."""
        programs = self.lake.read("programs", self.versions["programs"])
        return not programs.where(F.col("recipe_fingerprint") == self.settings.fingerprint).isEmpty()

    @cached_property
    def _has_timed_out(self) -> bool:
        """True if an earlier run quarantined documents for a time-out or a failing server. This run may have their answers."""
        quarantine = self.lake.read("quarantine", self.versions["quarantine"])
        mine = quarantine.where(F.col("recipe_fingerprint") == self.settings.fingerprint)
        return not mine.where(F.col("reason") == ReasonCode.REQUEST_TIMEOUT.value).isEmpty()

    def _programs(self, applied: DataFrame) -> DataFrame:
        rows = applied.select(*DOCUMENT_KEY, F.inline("programs"))
        return rows.withColumns(self._stamp() | _bucket()).select(*schemas.PROGRAMS.columns)

    def _quarantined(self, applied: DataFrame, documents: DataFrame) -> DataFrame:
        raw = documents.select("doc_id", "provenance", F.substring("text", 1, SNIPPET_CHARS).alias("snippet"))
        return (
            applied.where(F.col("failure").isNotNull())
            .select(*DOCUMENT_KEY, "failure.*")
            .join(raw, on="doc_id", how="left")
            .withColumns(self._stamp())
            .withColumn(
                "quarantine_id", quarantine_id(*map(F.col, (*DOCUMENT_KEY, "stage", "reason", "recipe_fingerprint")))
            )
            .select(*schemas.QUARANTINE.columns)
        )

    def _refined(self, applied: DataFrame, documents: DataFrame) -> DataFrame:
        ours = [name for name in schemas.REFINED.columns if name in applied.columns]
        # `refined` has n_words as words_before.
        ours_only = {*schemas.REFINED.columns, "ingested_at", "n_words", "input_hash"}
        carried = [name for name in documents.columns if name not in ours_only]
        version = self.versions["documents"]
        return (
            applied.where(F.col("failure").isNull())
            .select(*ours)
            .join(documents.select(*DOCUMENT_KEY, *carried), on=DOCUMENT_KEY, how="inner")
            .withColumns({**self._stamp(), **_bucket(), "documents_version": F.lit(version).cast("long")})
            .select(*schemas.REFINED.columns, *carried)
        )

    def _stamp(self) -> dict[str, Column]:
        return {"recipe_fingerprint": F.lit(self.settings.fingerprint), "run_id": F.lit(self.run_id)}


def _bucket() -> dict[str, Column]:
    return {schemas.BUCKET.name: bucket_of(F.col("doc_id"))}
