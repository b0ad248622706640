"""Arrow UDF from a raw text and its clean version to the program between them. CPU only."""

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
    """A function for `mapInArrow` over rows with two texts that appends the columns of `schemas.INDUCED` to each row.

    Args:
        raw_column: column of the original text.
        clean_column: column of the wanted text.
        max_chars: a pair with a longer text gets a reason instead of a program.
    """

    raw_column: str
    clean_column: str
    max_chars: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield a batch for each batch, with one row per row and all other columns unchanged."""
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
