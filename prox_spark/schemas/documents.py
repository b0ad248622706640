"""Documents, what became of them, and what could not be processed."""

from __future__ import annotations

from typing import Final

from pyspark.sql import types as T

from prox_spark.schemas.table import BUCKET, Table, field

PROVENANCE = T.StructType(
    [
        field("file", T.StringType(), "path or URI of the input file; of a Delta table its path or name"),
        field(
            "offset",
            T.LongType(),
            "first byte of the record in the file (compressed offset in .gz WARC/WET); for text lines the line number, in Parquet that of the "
            "row from 0; null for Delta",
        ),
        field("length", T.LongType(), "bytes of the record; null where the format does not say"),
    ]
)

# What the comment of n_words said while every word was one of `str.split()`. A table keeps the comments that it was made with.
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
            field("url", T.StringType(), "null where the input names none"),
            field("source", T.StringType(), "where the document came from"),
            field("provenance", PROVENANCE, "where in the input the record lies"),
            field("metadata", T.MapType(T.StringType(), T.StringType()), "WARC/WET headers; null for other formats"),
            field(
                "input_hash",
                T.LongType(),
                "xxHash64 of url, source and carried columns as the input had them, by which a later ingest knows what is unchanged; "
                "null in rows of an older lake",
            ),
            field("ingested_at", T.TimestampType(), "when this version of the row was written"),
        ]
    ),
    key=("doc_id",),
)

REMOVED_SPAN = T.StructType(
    [
        field("line_start", T.LongType(), "first removed line of the raw text"),
        field("line_end", T.LongType(), "last removed line, included"),
        field("chunk_index", T.IntegerType(), "the chunk whose program removed it"),
        field("op_index", T.IntegerType(), "the operation in that program"),
    ]
)

NORMALIZATION = T.StructType(
    [
        field("chunk_index", T.IntegerType(), "the chunk whose program replaced it"),
        field("op_index", T.IntegerType(), "the operation in that program"),
        field("source_str", T.StringType(), "what was replaced"),
        field("target_str", T.StringType(), "by what"),
        field("n_hits", T.IntegerType(), "how many times"),
    ]
)

REFINED = Table(
    "refined",
    T.StructType(
        [
            field("doc_id", T.StringType(), "the document"),
            BUCKET,
            field("content_sha256", T.StringType(), "the raw text this was made from"),
            field("recipe_fingerprint", T.StringType(), "models, prompts, semantics and thresholds that made it"),
            field("text", T.StringType(), "the refined text; empty when dropped or blanked"),
            field(
                "status",
                T.StringType(),
                "kept_unchanged, edited, dropped_doc, blanked_ratio, blanked_short or program_discarded",
            ),
            field("drop_probability", T.DoubleType(), "of the document stage, 0..1; null for a text without words"),
            field(
                "words_before",
                T.LongType(),
                "words of the raw text, counted as n_words of documents; by white space alone where semantics is reference",
            ),
            field("words_after", T.LongType(), "the same of the refined text"),
            field("removed", T.ArrayType(REMOVED_SPAN), "removed line spans and what removed them"),
            field("normalized", T.ArrayType(NORMALIZATION), "replacements and their number"),
            field("documents_version", T.LongType(), "version of the documents table that was read"),
            field("run_id", T.StringType(), "the run that wrote the row"),
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
                "SHA-256 over stage, reason and what is quarantined; makes a repeated write a no-op",
            ),
            field("doc_id", T.StringType(), "null where the record has none"),
            field("content_sha256", T.StringType(), "of the raw text or record; null for a file"),
            field("stage", T.StringType(), "ingest, doc or chunk"),
            field("reason", T.StringType(), "a ReasonCode"),
            field("message", T.StringType(), "what happened, for a person"),
            field("snippet", T.StringType(), "first 200 characters of what was quarantined"),
            field("provenance", PROVENANCE, "where it came from; null when unknown"),
            field("recipe_fingerprint", T.StringType(), "null for ingest"),
            field("run_id", T.StringType(), "the run that quarantined it"),
        ]
    ),
    key=("quarantine_id",),
)
