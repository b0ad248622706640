"""Ingest: input files into `documents`, what can't be a document into `quarantine`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.errors import ReasonCode
from prox_spark.frames import persisted_rows
from prox_spark.lake.tables import Lake
from prox_spark.pipeline.inputs.carried import CarriedJson
from prox_spark.pipeline.inputs.checks import check_replaces_nothing, check_usable
from prox_spark.pipeline.inputs.found import count_found
from prox_spark.pipeline.inputs.judge import Arrival, judge, reject_null_partitions
from prox_spark.pipeline.inputs.naming import ROW_ID
from prox_spark.pipeline.inputs.rejections import remove_mended, write_quarantine
from prox_spark.pipeline.inputs.rows import Inputs, find_inputs, read_inputs, reading
from prox_spark.pipeline.inputs.take_in import TakeIn
from prox_spark.report.ingest import IngestSummary
from prox_spark.runs.run import Run, recorded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOG = logging.getLogger(__name__)

# By so many files is told whether an input was ingested before.
_MAX_ASKED_FILES = 10
_TABLES = ("documents", "quarantine")


def ingest(spark: SparkSession, recipe: Recipe, inputs: Inputs | None = None) -> IngestSummary:
    """Take the recipe's inputs up into the lake. Repeatable: the same input again commits nothing.

    Args:
        spark: a session with Delta.
        recipe: `input` and `lake` are what counts.
        inputs: what `find_inputs` found before; None looks now.

    Raises:
        RecipeError: nothing at a path, or a format or column that can't be found.
        InputError: not one file can be read, or a file's documents would replace those of another.
        LakeError: a column of the input does not fit the one that the lake has, or another ingest wrote meanwhile.
    """
    inputs = inputs or find_inputs(recipe.input)
    LOG.info("ingest: reading %s", " ".join(recipe.input.paths))
    lake = Lake(spark, recipe.lake)
    lake.ensure()
    run = Run("ingest", recipe, versions_in={table: lake.version(table) for table in _TABLES})
    with recorded(lake, run):
        documents = lake.read("documents", run.versions_in["documents"])

        # Of files that the lake knows, rows are judged without their texts, which are read once more for what is to be written:
        # as a rule that is little or nothing. Else the input is read once, and kept for the block.
        reads_twice = inputs.may_be_read_twice(recipe.input) and _knows(documents, inputs)

        def read(with_texts: bool) -> DataFrame:
            rows = read_inputs(spark, inputs, recipe.input, with_texts, is_read_twice=reads_twice)
            rows = rows.withColumn(ROW_ID, F.monotonically_increasing_id())
            return reject_null_partitions(rows) if "source" in lake.partition_columns["documents"] else rows

        with (
            persisted_rows(read(with_texts=not reads_twice)) as judged,
            persisted_rows(judge(judged, documents)) as arrivals,
        ):
            rows = read(with_texts=True) if reads_twice else judged
            with run.stage("read"), reading(inputs):
                found = count_found(judged, arrivals, recipe.input.max_keys)
            notes = check_usable(judged, arrivals, found, recipe.input, inputs)
            if found.arrivals[Arrival.CHANGED] and recipe.input.id_scope is None:
                check_replaces_nothing(arrivals)
            carried = CarriedJson(found.types, recipe.input.as_json, recipe.input.max_keys)
            with run.stage("documents"):
                n_differing = TakeIn(lake, rows, judged, arrivals, documents, carried, run).write(found)
            with run.stage("quarantine"):
                remove_mended(lake, arrivals, inputs, run)
                if found.reasons:
                    # Of a second text under an id the beginning is shown.
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
            notes=[*inputs.notes, *notes, *carried.notes()],
            seconds=run.seconds | {"total": run.total_seconds},
            versions_in=run.versions_in,
            versions_out=run.versions_out(lake),
        )
        run.counts = summary.counts
    return summary


def _knows(documents: DataFrame, inputs: Inputs) -> bool:
    """Return True if the lake has documents of the first files of the input."""
    files = [file.uri for file, _ in inputs.files[:_MAX_ASKED_FILES]]
    return not documents.where(F.col("provenance.file").isin(files)).isEmpty()
