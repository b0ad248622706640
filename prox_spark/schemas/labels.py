"""Labels, and the programs between raw and clean texts."""

from __future__ import annotations

from pyspark.sql import types as T

from prox_spark.schemas.programs import OPERATION
from prox_spark.schemas.table import Table, field

LABELS = Table(
    "labels",
    T.StructType(
        [
            field("label_set", T.StringType(), "name of the set: the teacher's, or that of the imported file"),
            field(
                "label_id",
                T.StringType(),
                "unique within the set; of a teacher's labels the doc_id, for a chunk with its lines: doc_id:0-17",
            ),
            field("text", T.StringType(), "the raw text: a document, or consecutive lines of one"),
            field("first_line", T.IntegerType(), "number of the text's first line within its document"),
            field("keep", T.BooleanType(), "should the document stay; null where nobody said"),
            field("edu", T.IntegerType(), "educational value, 0 to 5; null where nobody scored it"),
            field("format", T.IntegerType(), "quality of the format, 0 to 5; null where nobody scored it"),
            field(
                "ops",
                T.ArrayType(OPERATION),
                "the program for the text; empty: nothing to do; null where nobody wrote one",
            ),
            field("reason", T.StringType(), "a Rejection: why it is no label; keep and ops are null then, else null"),
            field("message", T.StringType(), "what was wrong, for a person; null without reason"),
            field("doc_id", T.StringType(), "the document in `documents`; null for an imported label"),
            field("content_sha256", T.StringType(), "the version of its text; null for an imported label"),
            field(
                "generation_keys",
                T.ArrayType(T.StringType()),
                "the teacher's answers in `generations`; null for an imported label",
            ),
            field("origin", T.StringType(), "who said so: name of the teacher, or the imported file"),
            field("run_id", T.StringType(), "the run that wrote the row"),
        ]
    ),
    key=("label_set", "label_id"),
)

LEFTOVER = T.StructType(
    [
        field("kind", T.StringType(), "see prox_spark.programs.LeftoverKind"),
        field("raw_start", T.LongType(), "first raw line concerned, from 0; null when none is"),
        field("raw_end", T.LongType(), "last raw line concerned, included"),
        field("clean_start", T.LongType(), "first clean line concerned; null when none is"),
        field("clean_end", T.LongType(), "last clean line concerned, included"),
        field("detail", T.StringType(), "the text concerned, cut to one short line"),
    ]
)

# What `induce` adds to the columns of its input. No table of a lake: its output is a place of its own.
INDUCED = T.StructType(
    [
        field("program", T.StringType(), "the program as a refiner would write it; null when reason is set"),
        field("ops", T.ArrayType(OPERATION), "its operations in order"),
        field("exact", T.BooleanType(), "the strict executor makes the clean text of it, to the character"),
        field("exact_but_white_space", T.BooleanType(), "it makes the clean text's words in their order"),
        field("leftovers", T.ArrayType(LEFTOVER), "what the program can't express; empty when there is nothing"),
        field("reason", T.StringType(), "a ReasonCode where the row holds no pair, else null"),
        field("message", T.StringType(), "what is wrong with the row, for a person"),
    ]
)
