"""The Arrow side of `induce` and the destination of its output, without a Spark session."""

from __future__ import annotations

import pyarrow as pa
import pytest

from prox_spark import schemas
from prox_spark.pipeline.induce import InduceSummary, Output
from prox_spark.readers import InputFormat
from prox_spark.report.summaries import describe_induce
from prox_spark.udfs.induce import Induce

pytestmark = pytest.mark.unit


def batch(*pairs: tuple[str | None, str | None]) -> pa.RecordBatch:
    raw, clean = zip(*pairs, strict=True)
    columns = {"n": list(range(len(pairs))), "raw": raw, "clean": clean, "tags": [["x"]] * len(pairs)}
    schema = pa.schema(
        [("n", pa.int32()), ("raw", pa.string()), ("clean", pa.string()), ("tags", pa.list_(pa.string()))]
    )
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def test_rows_keep_their_columns_and_get_the_program() -> None:
    rows = batch(("a\nb", "a"), ("a b", "a b"))
    (out,) = Induce("raw", "clean", 100)(iter([rows]))
    assert out.schema.names == [*rows.schema.names, *schemas.INDUCED.names]
    assert out.select(rows.schema.names) == rows
    assert out.column("program").to_pylist() == ["remove_lines(line_start=1, line_end=1)", "keep_chunk()"]
    assert out.column("ops").to_pylist()[0] == [
        {"op": "remove_lines", "line_start": 1, "line_end": 1, "source_str": None, "target_str": None}
    ]
    assert out.column("exact").to_pylist() == [True, True]
    assert out.column("leftovers").to_pylist() == [[], []]


def test_leftovers_are_rows_with_their_lines() -> None:
    (out,) = Induce("raw", "clean", 100)(iter([batch(("a b", "a b\nnew"))]))
    assert out.column("leftovers").to_pylist() == [
        [
            {
                "kind": "inserted_lines",
                "raw_start": None,
                "raw_end": None,
                "clean_start": 1,
                "clean_end": 1,
                "detail": "new",
            }
        ]
    ]


@pytest.mark.parametrize(
    ("pair", "reason", "message"),
    [
        ((None, "a"), "null_text", "'raw' is null"),
        (("a", None), "null_text", "'clean' is null"),
        ((None, None), "null_text", "'raw' is null"),
        (("a", "b" * 11), "text_too_long", "'clean' has 11 characters, more than input.max_text_chars = 10"),
    ],
)
def test_a_row_without_a_pair_is_data_not_an_error(
    pair: tuple[str | None, str | None], reason: str, message: str
) -> None:
    (out,) = Induce("raw", "clean", 10)(iter([batch(pair)]))
    row = out.to_pylist()[0]
    assert (row["reason"], row["message"]) == (reason, message)
    assert [row[name] for name in ("program", "ops", "exact", "exact_but_white_space", "leftovers")] == [None] * 5


def test_an_empty_batch_stays_empty() -> None:
    (out,) = Induce("raw", "clean", 10)(iter([batch(("a", "a")).slice(0, 0)]))
    assert out.num_rows == 0


@pytest.mark.parametrize(
    ("path", "given", "kind"),
    [
        ("/x/programs.jsonl", None, InputFormat.JSONL),
        ("/x/programs.parquet/", None, InputFormat.PARQUET),
        ("/x/programs", None, InputFormat.DELTA),
        ("/x/programs.jsonl", "delta", InputFormat.DELTA),
    ],
)
def test_the_format_of_the_output_goes_by_its_name(path: str, given: str | None, kind: InputFormat) -> None:
    assert Output.of(path, given).format is kind


def test_a_summary_of_nothing_is_readable() -> None:
    text = describe_induce(InduceSummary("/x", 0, 0, 0, 0, {}, {}, {"null_text": 7}, ("'a': 'raw' is null",), 1.0))
    assert text.startswith("induce: 0 pairs in 1.0 s into /x\n")
    assert text.endswith("7 rows without a pair: null_text 7\n    'a': 'raw' is null\n    and 6 more")
