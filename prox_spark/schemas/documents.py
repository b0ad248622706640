"""Tables of documents, refined documents and quarantined records."""

from __future__ import annotations

from typing import Final

from pyspark.sql import types as T

from prox_spark.schemas.table import BUCKET, Table, field

PROVENANCE = T.StructType(
    [
        field("file", T.StringType(), "path or URI of the input file; path or name of a Delta table"),
        field(
            "offset",
            T.LongType(),
            "first byte of the record in the file (compressed offset in .gz WARC/WET); line number in files of text "
            "lines, row number from 0 in Parquet; null for Delta",
        ),
        field("length", T.LongType(), "bytes of the record; null if the format does not give it"),
    ]
)

# The comment of n_words tells how a lake counted words, since a table keeps the comments that it was made with. Neither
# this one, from the time when words were those of `str.split()`, nor the one of today may change.
N_WORDS_BY_WHITE_SPACE = "words of the text as Python's str.split() counts them; null in rows of an older lake"

# The columns that identify one text of one document. A list, since Spark's `join` takes no other sequence.
DOCUMENT_KEY: Final = ["doc_id", "content_sha256"]

DOCUMENTS = Table(
    "documents",
    T.StructType(
        [
            field(
                "doc_id", T.StringType(), "stable id: the input's own, the WARC record id, or SHA-256 of url and text"
            ),
            BUCKET,
            field("text", T.StringType(), "the raw text; never null, may be empty"),
            field("content_sha256", T.StringType(), "SHA-256 of the UTF-8 text, hex"),
            field(
                "n_words",
                T.LongType(),
                "words of the text: what white space separates, each letter by itself in scripts without blanks; "
                "null in rows of an older lake",
            ),
            field("url", T.StringType(), "URL of the document; null if the input has none"),
            field("source", T.StringType(), "name of the source: the record's own, else that of the input"),
            field("provenance", PROVENANCE, "place of the record in the input"),
            field("metadata", T.MapType(T.StringType(), T.StringType()), "WARC/WET headers; null for other formats"),
            field(
                "input_hash",
                T.LongType(),
                "xxHash64 of url, source and carried columns as in the input, by which a later ingest finds what is "
                "unchanged; null in rows of an older lake",
            ),
            field("ingested_at", T.TimestampType(), "time at which this version of the row was written"),
        ]
    ),
    key=("doc_id",),
)

REMOVED_SPAN = T.StructType(
    [
        field("line_start", T.LongType(), "first removed line of the raw text"),
        field("line_end", T.LongType(), "last removed line, included"),
        field("chunk_index", T.IntegerType(), "index of the chunk whose program removed it"),
        field("op_index", T.IntegerType(), "index of the operation in that program"),
    ]
)

NORMALIZATION = T.StructType(
    [
        field("chunk_index", T.IntegerType(), "index of the chunk whose program replaced it"),
        field("op_index", T.IntegerType(), "index of the operation in that program"),
        field("source_str", T.StringType(), "text that was replaced"),
        field("target_str", T.StringType(), "text in its place"),
        field("n_hits", T.IntegerType(), "number of replacements"),
    ]
)

REFINED = Table(
    "refined",
    T.StructType(
        [
            field("doc_id", T.StringType(), "id of the document"),
            BUCKET,
            field("content_sha256", T.StringType(), "hash of the raw text that it was made from"),
            field(
                "recipe_fingerprint",
                T.StringType(),
                "fingerprint of the models, prompts, semantics and thresholds that made it",
            ),
            field("text", T.StringType(), "the refined text; empty when dropped or blanked"),
            field(
                "status",
                T.StringType(),
                "kept_unchanged, edited, dropped_doc, blanked_ratio, blanked_short or program_discarded",
            ),
            field(
                "drop_probability",
                T.DoubleType(),
                "probability of dropping, from the document stage, 0..1; null for a text without words",
            ),
            field(
                "words_before",
                T.LongType(),
                "words of the raw text, counted as n_words of documents, or by white space if semantics is reference",
            ),
            field("words_after", T.LongType(), "words of the refined text, counted likewise"),
            field("removed", T.ArrayType(REMOVED_SPAN), "removed line spans, each with the operation that removed it"),
            field(
                "normalized",
                T.ArrayType(NORMALIZATION),
                "replaced strings, each with its operation and number of replacements",
            ),
            field("documents_version", T.LongType(), "version of the documents table that was read"),
            field("run_id", T.StringType(), "id of the run that wrote the row"),
        ]
    ),
    key=("doc_id",),
)

QUARANTINE = Table(
    "quarantine",
    T.StructType(
        [
            field(
                "quarantine_id",
                T.StringType(),
                "SHA-256 over stage, reason and the quarantined record; makes a repeated write a no-op",
            ),
            field("doc_id", T.StringType(), "id of the document; null if the record has none"),
            field("content_sha256", T.StringType(), "hash of the raw text or record; null for a file"),
            field("stage", T.StringType(), "stage that quarantined it: ingest, doc or chunk"),
            field("reason", T.StringType(), "reason code, see prox_spark.errors.ReasonCode"),
            field("message", T.StringType(), "description of the problem"),
            field("snippet", T.StringType(), "first 200 characters of the quarantined text"),
            field("provenance", PROVENANCE, "place of the record in the input; null if unknown"),
            field("recipe_fingerprint", T.StringType(), "fingerprint of the recipe; null for ingest"),
            field("run_id", T.StringType(), "id of the run that quarantined it"),
        ]
    ),
    key=("quarantine_id",),
)
