"""The tables of a lake, column by column. A column's comment gives its meaning, its unit and when it is null.

Spark types only: importing this package needs pyspark but no session.
"""

from prox_spark.schemas.documents import (
    DOCUMENT_KEY,
    DOCUMENTS,
    N_WORDS_BY_WHITE_SPACE,
    NORMALIZATION,
    PROVENANCE,
    QUARANTINE,
    REFINED,
    REMOVED_SPAN,
)
from prox_spark.schemas.labels import INDUCED, LABELS, LEFTOVER
from prox_spark.schemas.programs import DIAGNOSTIC, GENERATIONS, OPERATION, PROGRAMS
from prox_spark.schemas.runs import ENGINE_WAVE, RUNS
from prox_spark.schemas.table import BUCKET, N_BUCKETS, Table

TABLES = (DOCUMENTS, GENERATIONS, PROGRAMS, REFINED, QUARANTINE, LABELS, RUNS)

__all__ = [
    "BUCKET",
    "DIAGNOSTIC",
    "DOCUMENTS",
    "DOCUMENT_KEY",
    "ENGINE_WAVE",
    "GENERATIONS",
    "INDUCED",
    "LABELS",
    "LEFTOVER",
    "NORMALIZATION",
    "N_BUCKETS",
    "N_WORDS_BY_WHITE_SPACE",
    "OPERATION",
    "PROGRAMS",
    "PROVENANCE",
    "QUARANTINE",
    "REFINED",
    "REMOVED_SPAN",
    "RUNS",
    "TABLES",
    "Table",
]
