"""Writing new and changed documents of an input into the table `documents`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.lake.buckets import bucket_of
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.inputs.carried import CarriedJson, fit_to
from prox_spark.pipeline.inputs.found import Found
from prox_spark.pipeline.inputs.judge import EXACT_JSON, Arrival, hash_input, is_document
from prox_spark.pipeline.inputs.naming import ROW_ID, quote
from prox_spark.runs.run import Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Intake:
    """The documents of an input on their way into the lake.

    Attributes:
        lake: the lake that they are written into.
        rows: rows of the input, columns `rows.ROW_COLUMNS` and `ROW_ID`.
        judged: the same rows, persisted; their texts may be null.
        arrivals: what `judge` returned for them, persisted.
        documents: the table in the version that `judge` compared them with.
        carried: the way in which JSON becomes columns.
        run: the run, for its id and versions.
    """

    lake: Lake
    rows: DataFrame
    judged: DataFrame
    arrivals: DataFrame
    documents: DataFrame
    carried: CarriedJson
    run: Run

    def write(self, found: Found) -> int:
        """Append the new documents, which moves no text, and merge the changed ones.

        Returns:
            Number of documents with an unchanged text that were written because other columns differ.

        Raises:
            LakeError: a value does not fit the lake's column, or another ingest wrote meanwhile.
        """
        # All frames are made before one is written, so that a value that does not fit fails the run with nothing written.
        new = self._choose_new(found)
        changed, n_differing = self._choose_changed(found)
        # New documents come first: only an addition notices another run that wrote meanwhile, and then nothing is written.
        if new is not None:
            self.lake.add_new(schemas.DOCUMENTS, new, self.run.run_id, self.run.versions_in["documents"])
        if changed is not None:
            self.lake.upsert(schemas.DOCUMENTS, changed, self.run.run_id, changed="true")
        return n_differing

    def _choose_new(self, found: Found) -> DataFrame | None:
        if not found.arrivals[Arrival.NEW]:
            return None
        if found.all_are_new:
            return self._check_and_fit(lambda rows: rows.where(is_document())).drop(ROW_ID)
        return self._check_and_fit(self._keep_where(F.col("arrival") == str(Arrival.NEW))).drop(ROW_ID)

    def _choose_changed(self, found: Found) -> tuple[DataFrame | None, int]:
        """Return the documents to replace, and how many of them have the same text as in the lake."""
        changed, n_differing = [], 0
        if found.arrivals[Arrival.CHANGED]:
            changed.append(self._check_and_fit(self._keep_where(F.col("arrival") == str(Arrival.CHANGED))))
        if found.n_asked:
            are_asked = self._keep_where((F.col("arrival") == str(Arrival.UNCHANGED)) & ~F.col("is_same"))
            # Texts are left out. Usually nothing differs, and then a second ingest compares nothing else.
            differing = self._find_differing(self._fit(are_asked(self.judged), check=True))
            n_differing = differing.count()
            if n_differing:
                asked = self._fit(are_asked(self.rows), check=False)
                changed.append(asked.join(differing, on=ROW_ID, how="left_semi"))
        if not changed:
            return None, 0
        return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), changed).drop(ROW_ID), n_differing

    def _keep_where(self, condition: Column) -> Callable[[DataFrame], DataFrame]:
        """Return a transformation that keeps the rows for which a condition on the result of `judge` holds."""
        chosen = self.arrivals.where(condition).select(ROW_ID)
        return lambda rows: rows.join(chosen, on=ROW_ID, how="left_semi")

    def _check_and_fit(self, choose: Callable[[DataFrame], DataFrame]) -> DataFrame:
        """Return chosen rows in the columns of `documents`, after a check that the values of the judged ones fit."""
        self._fit(choose(self.judged), check=True)
        return self._fit(choose(self.rows), check=False)

    def _fit(self, rows: DataFrame, check: bool) -> DataFrame:
        """Return the rows in the columns of `documents`, and `ROW_ID`."""
        stamps = {"input_hash": hash_input(rows), "ingested_at": F.lit(self.run.started_at)}
        stamped = rows.withColumns(stamps | {schemas.BUCKET.name: bucket_of(F.col("doc_id"))})
        is_json = isinstance(rows.schema["carried"].dataType, T.StringType)
        typed = (self.carried.parse if is_json else self.carried.name)(stamped, self.documents.schema)
        return fit_to(self.documents, typed.select(*schemas.DOCUMENTS.columns, "carried", ROW_ID), check)

    def _find_differing(self, asked: DataFrame) -> DataFrame:
        """Return `ROW_ID` of the rows whose url, source or carried columns differ from the lake's. Columns that the input lacks stay."""
        carried = [name for name in asked.columns if name not in (*schemas.DOCUMENTS.columns, ROW_ID)]
        compared = ["url", "source", *carried]
        known = [name for name in compared if name in self.documents.columns]
        # Compared as JSON: there is no other way for maps, and there a null equals a missing field or column.
        new = asked.select(
            ROW_ID,
            "doc_id",
            F.xxhash64(F.to_json(F.struct(*(quote(name) for name in compared)), EXACT_JSON)).alias("new"),
        )
        old = self.documents.select(
            "doc_id", F.xxhash64(F.to_json(F.struct(*(quote(name) for name in known)), EXACT_JSON)).alias("old")
        )
        return new.join(old, on="doc_id").where("old <> new").select(ROW_ID)
