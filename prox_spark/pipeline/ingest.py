"""Input files into `documents`, and records that can't be a document into `quarantine`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.errors import NOTES, ReasonCode
from prox_spark.frames import persisted_rows
from prox_spark.lake.lake import Lake
from prox_spark.lake.log_store import warn_of_log_store
from prox_spark.pipeline.inputs.carried import CarriedJson
from prox_spark.pipeline.inputs.checks import check_replaces_nothing, check_rereadable, check_usable
from prox_spark.pipeline.inputs.find import Inputs, find_inputs_of
from prox_spark.pipeline.inputs.found import count_found
from prox_spark.pipeline.inputs.intake import Intake
from prox_spark.pipeline.inputs.judge import Arrival, judge, reject_null_partitions
from prox_spark.pipeline.inputs.naming import ROW_ID
from prox_spark.pipeline.inputs.rejections import remove_mended, write_quarantine
from prox_spark.pipeline.inputs.rows import naming_tables, read_inputs
from prox_spark.readers import PassedOver
from prox_spark.runs.run import recorded
from prox_spark.spark_driver import can_persist

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOG = logging.getLogger(__name__)

# This many files tell whether an input was ingested before.
_MAX_ASKED_FILES = 10
_TABLES = ("documents", "quarantine")


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest found and did. n_read = n_new + n_changed + n_unchanged + n_duplicates + quarantined without notes.

    Attributes:
        run_id: UUID of the run.
        lake: root or catalog of the tables.
        n_read: records read, and files or parts of files that could not be read.
        n_new: documents added.
        n_changed: documents whose text, url, source or carried columns were replaced.
        n_unchanged: documents that the lake had with the same text, url, source and carried columns.
        n_duplicates: records with the id and the content of another record of the input.
        skipped: by kind, records that are no documents by their kind, such as images and redirects.
        passed_over: files that are no data, such as a README.md beside it.
        quarantined: by reason, records, including those that an earlier ingest quarantined.
        notes: remarks on what was carried in another form than it came.
        seconds: by part of the run, and `total`.
        versions_in: table versions before.
        versions_out: table versions after.
    """

    run_id: str
    lake: str
    n_new: int
    n_changed: int
    n_unchanged: int
    n_duplicates: int
    skipped: Mapping[str, int]
    passed_over: Sequence[PassedOver]
    quarantined: Mapping[str, int]
    notes: Sequence[str]
    seconds: Mapping[str, float]
    versions_in: Mapping[str, int]
    versions_out: Mapping[str, int]
    n_read: int = field(init=False)

    def __post_init__(self) -> None:
        kept = self.n_new + self.n_changed + self.n_unchanged + self.n_duplicates
        rejected = sum(n for reason, n in self.quarantined.items() if reason not in NOTES)
        object.__setattr__(self, "n_read", kept + rejected)

    @property
    def n_skipped(self) -> int:
        """Records that are no documents by their kind."""
        return sum(self.skipped.values())

    @property
    def counts(self) -> dict[str, int]:
        """The figures as in `runs.counts`."""
        figures = {
            "input": self.n_read,
            "new": self.n_new,
            "changed": self.n_changed,
            "unchanged": self.n_unchanged,
            "duplicates": self.n_duplicates,
            "skipped": self.n_skipped,
            "files_passed_over": len(self.passed_over),
        }
        return figures | {f"quarantined_{reason}": n for reason, n in self.quarantined.items()}


def ingest(spark: SparkSession, recipe: Recipe, inputs: Inputs | None = None) -> IngestSummary:
    """Bring the recipe's inputs into the lake. Repeatable: the same input again commits nothing.

    Args:
        spark: a session with Delta.
        recipe: its sections `input` and `lake`.
        inputs: as `find_inputs` found them; None looks now, with the credentials that Hadoop has.

    Raises:
        ConnectError: the compute keeps no frames, and the input is a table that Spark's own readers read.
        RecipeError: a path holds nothing, or a format or column can't be found.
        InputError: not one file can be read, or the documents of a file would replace those of another.
        LakeError: a column of the input does not fit the lake's, or another ingest wrote meanwhile.
    """
    inputs = inputs or find_inputs_of(spark, recipe.input)
    LOG.info("ingest: reading %s", " ".join(recipe.input.paths))
    keeps_rows = can_persist(spark)
    if not keeps_rows:
        check_rereadable(inputs)
    lake = Lake(spark, recipe.lake)
    lake.ensure()
    warn_of_log_store(spark, recipe.lake)
    versions = {table: lake.version(table) for table in _TABLES}
    with recorded(lake, "ingest", recipe) as run:
        run.read_at(versions)
        documents = lake.read("documents", versions["documents"])

        # If the lake knows the files, rows are judged without their texts, and texts are read again for the rows to be written,
        # most often few or none. Otherwise the input is read once and kept for the block.
        reads_twice = inputs.may_be_read_twice(recipe.input) and _knows(documents, inputs)

        def read(with_texts: bool) -> DataFrame:
            rows = read_inputs(spark, inputs, recipe.input, with_texts, is_read_twice=reads_twice or not keeps_rows)
            rows = rows.withColumn(ROW_ID, F.monotonically_increasing_id())
            return reject_null_partitions(rows) if "source" in lake.partition_columns["documents"] else rows

        with (
            persisted_rows(read(with_texts=not reads_twice)) as judged,
            persisted_rows(judge(judged, documents)) as arrivals,
        ):
            rows = read(with_texts=True) if reads_twice else judged
            with run.timed("read"), naming_tables(inputs):
                found = count_found(judged, arrivals, recipe.input.max_keys)
            notes = check_usable(judged, arrivals, found, recipe.input, inputs)
            if found.arrivals[Arrival.CHANGED] and recipe.input.id_scope is None:
                check_replaces_nothing(arrivals)
            carried = CarriedJson(found.types, recipe.input.as_json, recipe.input.max_keys)
            with run.timed("documents"):
                n_differing = Intake(lake, rows, judged, arrivals, documents, carried, run).write(found)
            with run.timed("quarantine"):
                remove_mended(lake, arrivals, inputs, run)
                if found.reasons:
                    # The beginning of a second text under an id is shown.
                    shown = rows if found.reasons[ReasonCode.DUPLICATE_ID.value] else judged
                    write_quarantine(lake, shown, arrivals, run)
        summary = IngestSummary(
            run_id=run.run_id,
            lake=str(lake),
            n_new=found.arrivals[Arrival.NEW],
            n_changed=found.arrivals[Arrival.CHANGED] + n_differing,
            n_unchanged=found.arrivals[Arrival.UNCHANGED] - n_differing,
            n_duplicates=found.arrivals[Arrival.DUPLICATE],
            skipped=found.skipped,
            passed_over=inputs.passed_over,
            quarantined=found.reasons,
            notes=[*inputs.notes, *notes, *carried.list_notes()],
            seconds=run.seconds | {"total": run.total_seconds},
            versions_in=run.versions_in,
            versions_out=run.versions_out(lake),
        )
        run.count(**summary.counts)
    return summary


def _knows(documents: DataFrame, inputs: Inputs) -> bool:
    """Return True if the lake has documents of the first files of the input."""
    files = [file.uri for file, _ in inputs.files[:_MAX_ASKED_FILES]]
    return not documents.where(F.col("provenance.file").isin(files)).isEmpty()
