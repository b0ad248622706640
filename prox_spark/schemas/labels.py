"""The table of labels, and the columns of induced programs."""

from __future__ import annotations

from pyspark.sql import types as T

from prox_spark.schemas.programs import OPERATION
from prox_spark.schemas.table import Table, field

LABELS = Table(
    "labels",
    T.StructType(
        [
            field("label_set", T.StringType(), "name of the label set: the teacher's, or that of the imported file"),
            field(
                "label_id",
                T.StringType(),
                "id within the set; a teacher's label has the doc_id, and for a chunk its lines: doc_id:0-17",
            ),
            field("text", T.StringType(), "the raw text: a document, or consecutive lines of one"),
            field("first_line", T.IntegerType(), "number of the text's first line within its document"),
            field("keep", T.BooleanType(), "whether the document should stay; null if unknown"),
            field("edu", T.IntegerType(), "educational value, 0 to 5; null without a score"),
            field("format", T.IntegerType(), "quality of the format, 0 to 5; null without a score"),
            field(
                "ops",
                T.ArrayType(OPERATION),
                "the program for the text; empty if there is nothing to do; null if unknown",
            ),
            field(
                "reason",
                T.StringType(),
                "code of the rejection of a teacher's answers; keep and ops are then null; null for a label",
            ),
            field("message", T.StringType(), "description of the problem; null without reason"),
            field("doc_id", T.StringType(), "id in `documents`; null for an imported label"),
            field("content_sha256", T.StringType(), "hash of the document's text; null for an imported label"),
            field(
                "generation_keys",
                T.ArrayType(T.StringType()),
                "keys of the teacher's answers in `generations`; null for an imported label",
            ),
            field("origin", T.StringType(), "name of the teacher, or the imported file"),
            field("run_id", T.StringType(), "id of the run that wrote the row"),
        ]
    ),
    key=("label_set", "label_id"),
)

LEFTOVER = T.StructType(
    [
        field("kind", T.StringType(), "kind of the difference, see prox_spark.programs.LeftoverKind"),
        field("raw_start", T.LongType(), "first raw line concerned, from 0; null if there is none"),
        field("raw_end", T.LongType(), "last raw line concerned, included"),
        field("clean_start", T.LongType(), "first clean line concerned, from 0; null if there is none"),
        field("clean_end", T.LongType(), "last clean line concerned, included"),
        field("detail", T.StringType(), "the text concerned, cut to one short line"),
    ]
)

# The columns that `induce` adds to its input. They are no table of a lake: the output is a place of its own.
INDUCED = T.StructType(
    [
        field("program", T.StringType(), "the program as a refiner would write it; null if reason is set"),
        field("ops", T.ArrayType(OPERATION), "its operations in order"),
        field("exact", T.BooleanType(), "whether the strict executor produces the clean text exactly"),
        field("exact_but_white_space", T.BooleanType(), "whether it produces the clean text's words in their order"),
        field("leftovers", T.ArrayType(LEFTOVER), "differences that no program can express; empty if there are none"),
        field("reason", T.StringType(), "reason code of a row that is no pair; null for a pair"),
        field("message", T.StringType(), "description of the problem; null without reason"),
    ]
)
