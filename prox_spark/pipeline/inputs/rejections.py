"""Rejected records: they are written into `quarantine`, and removed from it when the input was mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.errors import ReasonCode
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.inputs.find import Inputs
from prox_spark.pipeline.inputs.judge import STAGE, Arrival, make_finding_id
from prox_spark.pipeline.inputs.naming import ROW_ID
from prox_spark.readers.records import SNIPPET_CHARS
from prox_spark.runs.run import Run
from prox_spark.spark_versions import create_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_FILE = T.StructType([T.StructField("file", T.StringType())])


def remove_mended(lake: Lake, arrivals: DataFrame, inputs: Inputs, run: Run) -> None:
    """Remove from quarantine the findings of files that were read to the end now, if they are not found any more."""
    known = _read_known(lake, run).where(F.col("stage") == STAGE)
    if known.isEmpty():
        return
    rejected = _choose_rejected(arrivals)
    files = create_frame(lake.spark, [{"file": place} for place in inputs.places], _FILE)
    broken = rejected.where(F.col("reason") == ReasonCode.UNREADABLE_FILE.value)
    read = files.join(broken.select("file"), on="file", how="left_anti")
    mended = (
        known.join(read, on=F.col("provenance.file") == F.col("file"), how="left_semi")
        .join(rejected.select("quarantine_id"), on="quarantine_id", how="left_anti")
        .select(*schemas.QUARANTINE.key)
    )
    # A MERGE that finds nothing to do would still make a version.
    if not mended.isEmpty():
        lake.remove(schemas.QUARANTINE, mended, schemas.QUARANTINE.key, run.run_id)


def write_quarantine(lake: Lake, rows: DataFrame, arrivals: DataFrame, run: Run) -> None:
    """Add the findings that quarantine lacks."""
    new = _choose_rejected(arrivals).join(
        _read_known(lake, run).select("quarantine_id"), on="quarantine_id", how="left_anti"
    )
    if new.isEmpty():
        return
    shown = F.coalesce("snippet", F.substring("text", 1, SNIPPET_CHARS)).alias("snippet")
    written = (
        rows.select(ROW_ID, shown, "provenance")
        .join(new, on=ROW_ID)
        .withColumns(
            {
                "stage": F.lit(STAGE),
                "recipe_fingerprint": F.lit(None).cast("string"),
                "run_id": F.lit(run.run_id),
            }
        )
    )
    lake.insert_new(schemas.QUARANTINE, written.select(*schemas.QUARANTINE.columns), run.run_id)


def _read_known(lake: Lake, run: Run) -> DataFrame:
    return lake.read("quarantine", run.versions_in["quarantine"])


def _choose_rejected(arrivals: DataFrame) -> DataFrame:
    """Return the rows of `judge` that belong in quarantine, with their keys there."""
    kinds = (str(Arrival.REJECTED), str(Arrival.NOTE))
    return arrivals.where(F.col("arrival").isin(*kinds)).withColumn("quarantine_id", make_finding_id())
