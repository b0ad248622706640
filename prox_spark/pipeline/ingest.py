"""Ingest: input files into `documents`, what can't be a document into `quarantine`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.errors import AnalysisException
from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.config import InputConfig, Recipe
from prox_spark.errors import InputError, LakeError, ReasonCode, RecipeError, first_line
from prox_spark.ingest import InputFormat
from prox_spark.ingest.records import NO_SUCH_COLUMN, SNIPPET_CHARS
from prox_spark.lineage import Run, recorded
from prox_spark.pipeline.carried import fit_to, parse_carried
from prox_spark.pipeline.inputs import Inputs, find_inputs, read_inputs
from prox_spark.tables import Lake, quarantine_id
from udfs.columns import count_words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

LOG = logging.getLogger(__name__)

_STAGE = "ingest"
_WRITTEN = ("documents", "quarantine")
# What becomes of a row. Documents: new, changed or unchanged against the table; a duplicate is one row too many.
_NEW, _CHANGED, _UNCHANGED, _DUPLICATE, _REJECTED, _SKIPPED = (
    "new",
    "changed",
    "unchanged",
    "duplicate",
    "rejected",
    "skipped",
)


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest found and did. n_read = n_new + n_changed + n_unchanged + n_duplicates + all quarantined.

    Attributes:
        run_id: UUID of the run.
        lake: where the tables are.
        n_read: records read, and files that could not be.
        n_new: documents added.
        n_changed: documents whose text, url, source or carried columns were replaced.
        n_unchanged: documents that the lake had with the same of all of these.
        n_duplicates: records with the id and the content of another of the same input.
        n_skipped: WARC and WET records that are no pages.
        quarantined: reason → records, those that an earlier ingest quarantined included.
        seconds: per step, and `total`.
        versions_in: table versions before.
        versions_out: table versions after.
    """

    run_id: str
    lake: str
    n_new: int
    n_changed: int
    n_unchanged: int
    n_duplicates: int
    n_skipped: int
    quarantined: dict[str, int]
    seconds: dict[str, float]
    versions_in: dict[str, int]
    versions_out: dict[str, int]
    n_read: int = field(init=False)

    def __post_init__(self) -> None:
        kept = self.n_new + self.n_changed + self.n_unchanged + self.n_duplicates
        object.__setattr__(self, "n_read", kept + sum(self.quarantined.values()))

    @property
    def counts(self) -> dict[str, int]:
        """The figures as the `runs` table has them."""
        figures = {
            "input": self.n_read,
            "new": self.n_new,
            "changed": self.n_changed,
            "unchanged": self.n_unchanged,
            "duplicates": self.n_duplicates,
            "skipped": self.n_skipped,
        }
        return figures | {f"quarantined_{reason}": n for reason, n in self.quarantined.items()}

    def summary(self) -> str:
        """For the terminal."""
        lines = [
            f"{self.n_read:,} records read into {self.lake} in {self.seconds['total']:.1f} s",
            f"  {self.n_new:,} new, {self.n_changed:,} changed, {self.n_unchanged:,} unchanged, "
            f"{self.n_duplicates:,} duplicates",
        ]
        if self.quarantined:
            reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(self.quarantined.items()))
            lines.append(f"  {sum(self.quarantined.values()):,} in quarantine: {reasons}")
        if self.n_skipped:
            lines.append(f"  {self.n_skipped:,} records passed over: requests, redirects, images and the like")
        versions = ", ".join(f"{table} {self.versions_out[table]}" for table in _WRITTEN)
        return "\n".join([*lines, f"  table versions: {versions}"])


def ingest(spark: SparkSession, recipe: Recipe, inputs: Inputs | None = None) -> IngestSummary:
    """Takes the recipe's inputs up into the lake. Repeatable: the same input again commits nothing.

    Args:
        spark: a session with Delta.
        recipe: `input` and `lake` are what counts.
        inputs: what `find_inputs` found before; None looks now.

    Raises:
        RecipeError: nothing at a path, or a format or column that can't be found.
        InputError: not one file can be read.
        LakeError: a column of the input does not fit the one that the lake has.
    """
    inputs = inputs or find_inputs(recipe.input)
    LOG.info("ingest: reading %s", " ".join(recipe.input.paths))
    lake = Lake(spark, recipe.lake)
    lake.ensure()
    run = Run("ingest", recipe, versions_in=_versions(lake))
    with recorded(lake, run):
        documents = lake.read("documents", run.versions_in["documents"])
        # Everything below reads these rows, and the input is read once for them.
        rows = (
            read_inputs(spark, inputs, recipe.input).transform(judge(documents)).persist(StorageLevel.MEMORY_AND_DISK)
        )
        try:
            with run.stage("read"):
                found = _count(rows)
            _check_usable(rows, found, recipe.input, inputs)
            with run.stage("documents"):
                fresh = _fresh(lake, documents, rows, found)
                if found.verdicts[_NEW] or found.verdicts[_CHANGED]:
                    _write_documents(lake, fresh, run)
            with run.stage("quarantine"):
                rejected = rows.where(F.col("verdict") == _REJECTED).withColumn("quarantine_id", _quarantine_id())
                _remove_mended(lake, rejected, inputs, run.run_id)
                if found.verdicts[_REJECTED]:
                    _write_quarantine(lake, rejected, run.run_id)
        finally:
            rows.unpersist()
        summary = IngestSummary(
            run_id=run.run_id,
            lake=str(lake),
            n_new=found.verdicts[_NEW],
            n_changed=found.verdicts[_CHANGED],
            n_unchanged=found.verdicts[_UNCHANGED],
            n_duplicates=found.verdicts[_DUPLICATE],
            n_skipped=found.n_skipped,
            quarantined=dict(found.reasons),
            seconds=run.seconds | {"total": run.total_seconds},
            versions_in=run.versions_in,
            versions_out=_versions(lake),
        )
        run.counts = summary.counts
    return summary


def _versions(lake: Lake) -> dict[str, int]:
    return {table: lake.version(table) for table in _WRITTEN}


@dataclass(frozen=True)
class _Found:
    verdicts: Counter[str]
    reasons: Counter[str]
    n_skipped: int


def _count(rows: DataFrame) -> _Found:
    """Counts the judged rows, and by that fills the cache."""
    counts = rows.groupBy("verdict", "reason").agg(F.count("*").alias("n"), F.sum("n_skipped").alias("n_skipped"))
    verdicts, reasons, n_skipped = Counter[str](), Counter[str](), 0
    for row in counts.collect():
        n_skipped += row["n_skipped"] or 0
        verdicts[row["verdict"]] += row["n"]
        if row["verdict"] == _REJECTED:
            reasons[row["reason"]] += row["n"]
    return _Found(verdicts, reasons, n_skipped)


def judge(documents: DataFrame) -> Callable[[DataFrame], DataFrame]:
    """Says of each row of the input what becomes of it, against the documents that the lake has.

    Args:
        documents: the table as it is.

    Returns:
        A transformation of `inputs.ROW_COLUMNS`: adds `verdict`, of a document by its text; a second text under one id
        gets its reason and message.
    """
    return lambda rows: (
        rows.withColumns({"kind": _kind(), "key": _key(), "others": _hash_of_others(rows)})
        .withColumns({"nth": _nth("kind", "key"), "nth_of_content": _nth("kind", "key", "content_sha256")})
        # Joined by the columns that the windows are partitioned by: texts are shuffled once.
        .join(_known(documents), on=["kind", "key"], how="left")
        .withColumn("verdict", _verdict())
        .transform(_with_duplicate_ids_rejected)
        .drop("kind", "key", "others", "nth", "nth_of_content", "known_sha256")
    )


def _kind() -> Column:
    return (
        F.when(F.col("n_skipped").isNotNull(), F.lit(_SKIPPED))
        .when(F.col("reason").isNotNull(), F.lit(_REJECTED))
        .otherwise(F.lit("document"))
    )


def _key() -> Column:
    """What makes a row the same as another: the id of a document, the finding of a rejection."""
    return (
        F.when(F.col("n_skipped").isNotNull(), F.col("provenance.file"))
        .when(F.col("reason").isNotNull(), _quarantine_id())
        .otherwise(F.col("doc_id"))
    )


def _nth(*columns: str) -> Column:
    """1 for the first in the order of the input. Tables have no such order: there it goes by what the row holds."""
    order = ("provenance.file", "provenance.offset", "content_sha256", "others")
    return F.row_number().over(Window.partitionBy(*columns).orderBy(*order))


def _hash_of_others(rows: DataFrame) -> Column:
    """Of what documents with the same text may differ in."""
    is_json = isinstance(rows.schema["carried"].dataType, T.StringType)
    return F.xxhash64("url", "source", "carried" if is_json else F.to_json("carried"))


def _known(documents: DataFrame) -> DataFrame:
    return documents.select(
        F.lit("document").alias("kind"),
        F.col("doc_id").alias("key"),
        F.col("content_sha256").alias("known_sha256"),
    )


def _verdict() -> Column:
    return (
        F.when(F.col("kind") == _SKIPPED, F.lit(_SKIPPED))
        # The same content a second time, under the same id or as the same finding.
        .when(F.col("nth_of_content") > 1, F.lit(_DUPLICATE))
        .when((F.col("kind") == _REJECTED) | (F.col("nth") > 1), F.lit(_REJECTED))
        .when(F.col("known_sha256").isNull(), F.lit(_NEW))
        .when(F.col("known_sha256") != F.col("content_sha256"), F.lit(_CHANGED))
        .otherwise(F.lit(_UNCHANGED))
    )


def _with_duplicate_ids_rejected(rows: DataFrame) -> DataFrame:
    second = (F.col("verdict") == _REJECTED) & F.col("reason").isNull()
    message = "another record of this input has the same id and another text; the first in the input's order was kept"
    return rows.withColumns(
        {
            "reason": F.when(second, F.lit(str(ReasonCode.DUPLICATE_ID))).otherwise(F.col("reason")),
            "message": F.when(second, F.lit(message)).otherwise(F.col("message")),
            "snippet": F.when(second, F.substring("text", 1, SNIPPET_CHARS)).otherwise(F.col("snippet")),
        }
    )


def _quarantine_id() -> Column:
    place = (F.col("provenance.file"), F.col("provenance.offset"))
    return quarantine_id(F.lit(_STAGE), F.col("reason"), *place, F.col("doc_id"), F.col("content_sha256"))


def _check_usable(rows: DataFrame, found: _Found, config: InputConfig, inputs: Inputs) -> None:
    """A column that not one record has is a mistake in the recipe, not in the records; and so it is with files.

    Raises:
        RecipeError: no record has a column that the recipe names.
        InputError: there are files, and not one can be read.
    """
    documents = set(found.verdicts) - {_REJECTED, _DUPLICATE, _SKIPPED}
    names_url = config.url_column and any(kind is InputFormat.JSONL for _, kind in inputs.files)
    if documents and names_url and rows.where(F.col("url").isNotNull()).isEmpty():
        raise RecipeError(
            f"not one record of the input has a URL in {config.url_column!r} (input.url_column): correct the name, or leave it unset"
        )
    if documents or not found.verdicts[_REJECTED]:
        return
    rejected = rows.where(F.col("verdict") == _REJECTED)
    message, file = rejected.select("message", "provenance.file").first()
    if rejected.where(~F.col("message").startswith(NO_SUCH_COLUMN)).isEmpty():
        raise RecipeError(f"not one record of the input could be used: {message}")
    if found.reasons[str(ReasonCode.UNREADABLE_FILE)] == len(inputs.files):
        raise InputError(
            f"not one of {len(inputs.files):,} files of the input could be read; the first, {file}: {message}"
        )


def _fresh(lake: Lake, documents: DataFrame, rows: DataFrame, found: _Found) -> DataFrame:
    """The rows that are to be written, in the columns of `documents`. Moves in `found` what differs to changed."""
    # No carried column has this name.
    verdict = "_change_type"
    fitted = (
        parse_carried(lake.spark, rows.where(F.col("verdict").isin(_NEW, _CHANGED, _UNCHANGED)))
        .select(
            *(name for name in schemas.DOCUMENTS.columns if name not in ("n_words", "ingested_at")),
            "carried",
            F.col("verdict").alias(verdict),
        )
        .transform(lambda frame: fit_to(documents, frame))
    )
    fresh = fitted.where(F.col(verdict) != _UNCHANGED)
    if found.verdicts[_UNCHANGED]:
        # Without the texts: as a rule nothing differs, and then this is all that a second ingest compares.
        differing = _differing(fitted.where(F.col(verdict) == _UNCHANGED), documents, except_for=verdict)
        n_differing = differing.count()
        if n_differing:
            fresh = fresh.unionByName(fitted.join(differing, on="doc_id", how="left_semi"))
            found.verdicts[_UNCHANGED] -= n_differing
            found.verdicts[_CHANGED] += n_differing
    return fresh.drop(verdict)


def _differing(fitted: DataFrame, documents: DataFrame, except_for: str) -> DataFrame:
    """Ids of the rows whose url, source or carried columns are not those of the lake. What the input lacks stays."""
    carried = [name for name in fitted.columns if name not in (*schemas.DOCUMENTS.columns, except_for)]
    compared = ["url", "source", *carried]
    known = [name for name in compared if name in documents.columns]
    # As JSON: maps can't be compared otherwise, and null equals a field or column that is not there.
    new = fitted.select("doc_id", F.xxhash64(F.to_json(F.struct(*compared))).alias("new"))
    old = documents.select("doc_id", F.xxhash64(F.to_json(F.struct(*known))).alias("old"))
    return new.join(old, on="doc_id").where("old <> new").select("doc_id")


def _write_documents(lake: Lake, fresh: DataFrame, run: Run) -> None:
    rows = fresh.withColumns({"n_words": count_words(F.col("text")), "ingested_at": F.lit(run.started_at)})
    try:
        lake.upsert(schemas.DOCUMENTS, rows, run.run_id, changed=F.lit(True))
    except AnalysisException as error:
        raise LakeError(f"{lake.location('documents')} can't take up the input: {first_line(error)}") from error


def _remove_mended(lake: Lake, rejected: DataFrame, inputs: Inputs, run_id: str) -> None:
    """Takes out of quarantine what was in files that were read to their ends now, and is not any more."""
    known = lake.read("quarantine").where(F.col("stage") == _STAGE)
    if not inputs.files or known.isEmpty():
        return
    files = lake.spark.createDataFrame([(file.uri,) for file, _ in inputs.files], "file string")
    broken = rejected.where(F.col("reason") == ReasonCode.UNREADABLE_FILE.value)
    read = files.join(broken.select("provenance.file"), on="file", how="left_anti")
    mended = (
        known.join(read, on=F.col("provenance.file") == F.col("file"), how="left_semi")
        .join(rejected.select("quarantine_id"), on="quarantine_id", how="left_anti")
        .select(*schemas.QUARANTINE.key)
    )
    # A MERGE that finds nothing to do would still make a version.
    if not mended.isEmpty():
        lake.remove(schemas.QUARANTINE, mended, schemas.QUARANTINE.key, run_id)


def _write_quarantine(lake: Lake, rejected: DataFrame, run_id: str) -> None:
    """Adds what it lacks."""
    new = (
        rejected.withColumns(
            {
                "stage": F.lit(_STAGE),
                "recipe_fingerprint": F.lit(None).cast("string"),
                "run_id": F.lit(run_id),
            }
        )
        .select(*schemas.QUARANTINE.columns)
        .join(lake.read("quarantine").select("quarantine_id"), on="quarantine_id", how="left_anti")
        .select(*schemas.QUARANTINE.columns)
    )
    if not new.isEmpty():
        lake.insert_new(schemas.QUARANTINE, new, run_id)
