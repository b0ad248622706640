"""What models said, and the programs read from it."""

from __future__ import annotations

from pyspark.sql import types as T

from prox_spark.schemas.table import BUCKET, Table, field

GENERATIONS = Table(
    "generations",
    T.StructType(
        [
            field(
                "generation_key",
                T.StringType(),
                "SHA-256 over stage, model, prompt template, sampling and exact prompt",
            ),
            field("stage", T.StringType(), "doc, chunk, or annotate_ and the name of a question to a teacher"),
            field("refiner", T.StringType(), "name of the refiner or teacher that answered"),
            field("model_fingerprint", T.StringType(), "SHA-256 over base, adapter and revision"),
            field("prompt_fingerprint", T.StringType(), "SHA-256 over template, limits and answer words"),
            field("sampling", T.StringType(), "sampling parameters, JSON"),
            field("output_text", T.StringType(), "what the model wrote; null when error_code is set"),
            field(
                "finish_reason", T.StringType(), "stop, length (cut at the answer limit); null when error_code is set"
            ),
            field(
                "drop_probability",
                T.DoubleType(),
                "doc stage: probability of drop against keep, 0..1; null in the chunk stage and the self-test",
            ),
            field("prompt_tokens", T.IntegerType(), "tokens sent"),
            field("output_tokens", T.IntegerType(), "tokens generated"),
            field("error_code", T.StringType(), "null, or a ReasonCode: the request was refused or not sent"),
            field("error_message", T.StringType(), "the engine's words; null without error_code"),
            field(
                "engine_id",
                T.StringType(),
                "FAMILY-NUMBER: which engine process answered, the number-th in place of one that died; null for a remote engine",
            ),
            field("answered_at", T.TimestampType(), "UTC, by the executor's clock; null in rows of an older lake"),
            field(
                "request_seconds", T.DoubleType(), "from its last sending to its answer; null in rows of an older lake"
            ),
            field("queue_seconds", T.DoubleType(), "of these, waiting inside the engine; null where it does not say"),
            field(
                "cached_tokens", T.IntegerType(), "of the prompt, found in the prefix cache; null where it does not say"
            ),
            field(
                "n_sends",
                T.IntegerType(),
                "more than 1 where an engine died with it in flight, or a remote one was busy",
            ),
            field("run_id", T.StringType(), "the run that paid for it"),
            field(
                "wave", T.IntegerType(), "of that run, from 0; -1 its prompt self-test; null in rows of an older lake"
            ),
        ]
    ),
    key=("generation_key",),
)

OPERATION = T.StructType(
    [
        field("op", T.StringType(), "remove_lines, normalize, keep_chunk, keep_doc, drop_doc"),
        field("line_start", T.LongType(), "first line, numbered over the document; remove_lines only"),
        field("line_end", T.LongType(), "last line, included; remove_lines only"),
        field("source_str", T.StringType(), "normalize only"),
        field("target_str", T.StringType(), "normalize only"),
    ]
)

DIAGNOSTIC = T.StructType(
    [
        field("code", T.StringType(), "see prox_spark.programs.DiagnosticCode"),
        field("op_index", T.IntegerType(), "position in ops; null when about no operation"),
        field("detail", T.StringType(), "what was found"),
    ]
)

PROGRAMS = Table(
    "programs",
    T.StructType(
        [
            field("doc_id", T.StringType(), "the document"),
            BUCKET,
            field("content_sha256", T.StringType(), "the version of its text"),
            field("chunk_index", T.IntegerType(), "0, 1, …; -1 is the document stage"),
            field("recipe_fingerprint", T.StringType(), "what generated and applied it"),
            field("line_start", T.IntegerType(), "first line of the chunk; null for the document stage"),
            field("line_end", T.IntegerType(), "last line of the chunk, included; null for the document stage"),
            field("generation_key", T.StringType(), "the answer it was parsed from"),
            field("ops", T.ArrayType(OPERATION), "parsed operations in order"),
            field("diagnostics", T.ArrayType(DIAGNOSTIC), "what was wrong or noteworthy"),
            field("status", T.StringType(), "applied, applied_with_notes, discarded"),
            field("run_id", T.StringType(), "the run that wrote the row"),
        ]
    ),
    key=("doc_id", "content_sha256", "chunk_index", "recipe_fingerprint"),
)
