"""Arrow UDF: a raw text and its clean version to the program between them. CPU only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa

from prox_spark import schemas
from prox_spark.errors import ReasonCode
from prox_spark.programs import induce
from prox_spark.udfs.arrow import to_batch


@dataclass(frozen=True)
class Induce:
    """For `mapInArrow` over rows with two texts: the same rows with the columns of `schemas.INDUCED` behind theirs.

    Args:
        raw_column: the text as it was.
        clean_column: the text as it should be.
        max_chars: a pair with a longer text is named and left without a program.
    """

    raw_column: str
    clean_column: str
    max_chars: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Streams; rows out are rows in, and what is carried is passed on as it is."""
        for batch in batches:
            pairs = zip(*(batch.column(name).to_pylist() for name in (self.raw_column, self.clean_column)), strict=True)
            induced = to_batch([self._make_row(raw, clean) for raw, clean in pairs], schemas.INDUCED)
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *induced.columns], schema=pa.schema([*batch.schema, *induced.schema])
            )

    def _make_row(self, raw: str | None, clean: str | None) -> tuple[object, ...]:
        nothing = (None,) * (len(schemas.INDUCED) - 2)
        for name, text in ((self.raw_column, raw), (self.clean_column, clean)):
            if text is None:
                return *nothing, ReasonCode.NULL_TEXT, f"{name!r} is null"
            if len(text) > self.max_chars:
                message = f"{name!r} has {len(text):,} characters, more than input.max_text_chars = {self.max_chars:,}"
                return *nothing, ReasonCode.TEXT_TOO_LONG, message
        induction = induce(raw or "", clean or "")
        return (
            str(induction.program),
            [asdict(op) for op in induction.program.ops],
            induction.exact,
            induction.exact_but_white_space,
            [asdict(leftover) for leftover in induction.leftovers],
            None,
            None,
        )
