"""Counts of what an ingest has read."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.errors import ReasonCode
from prox_spark.pipeline.inputs.judge import Arrival, is_aside
from prox_spark.readers.json_types import JsonType, merge_types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Found:
    """Counts of what was read.

    Attributes:
        arrivals: numbers of rows by what becomes of them.
        reasons: numbers of rejected rows and notes by their reason.
        n_asked: number of unchanged texts whose other columns must be compared with the lake's.
        skipped: numbers of records passed over, by kind.
        types: types of the JSON keys that are carried.
    """

    arrivals: Counter[str]
    reasons: Counter[str]
    n_asked: int
    skipped: Counter[str]
    types: JsonType

    @property
    def n_documents(self) -> int:
        """Number of documents of the input that the lake has or will have."""
        return sum(self.arrivals[kind] for kind in (Arrival.NEW, Arrival.CHANGED, Arrival.UNCHANGED))

    @property
    def all_are_new(self) -> bool:
        """True if each row without a reason is a new document."""
        one_of_an_id = not self.arrivals[Arrival.DUPLICATE] and not self.reasons[str(ReasonCode.DUPLICATE_ID)]
        return one_of_an_id and self.n_documents == self.arrivals[Arrival.NEW]


def count_found(rows: DataFrame, arrivals: DataFrame, max_keys: int) -> Found:
    """Count what was read. This is the first pass over the persisted rows, so it fills the caches.

    Args:
        rows: columns `inputs.ROW_COLUMNS`, persisted.
        arrivals: what `judge` says of them, persisted.
        max_keys: as in the recipe.
    """
    by_arrival, reasons, skipped, n_asked = Counter[str](), Counter[str](), Counter[str](), 0
    for row in arrivals.groupBy("arrival", "reason", "is_same").count().collect():
        by_arrival[row["arrival"]] += row["count"]
        if row["arrival"] in (Arrival.REJECTED, Arrival.NOTE):
            reasons[row["reason"]] += row["count"]
        elif row["arrival"] == Arrival.UNCHANGED and not row["is_same"]:
            n_asked += row["count"]
    aside = rows.where(is_aside())
    types = []
    for row in aside.groupBy("message", "keys").agg(F.sum("n_skipped").alias("n")).collect():
        if row["keys"] is None:
            skipped[row["message"]] += row["n"]
        else:
            types.append(JsonType.from_dict(json.loads(row["keys"])))
    return Found(by_arrival, reasons, n_asked, skipped, merge_types(types, max_keys))
