"""Tables of the models' answers and of the programs read from them."""

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
            field("output_text", T.StringType(), "text that the model generated; null if error_code is set"),
            field(
                "finish_reason", T.StringType(), "stop, or length (cut at the answer limit); null if error_code is set"
            ),
            field(
                "drop_probability",
                T.DoubleType(),
                "probability of drop against keep, 0..1; null in all stages but doc and in the self-test",
            ),
            field("prompt_tokens", T.IntegerType(), "tokens of the prompt"),
            field("output_tokens", T.IntegerType(), "tokens generated"),
            field(
                "error_code",
                T.StringType(),
                "reason code of a request that was refused or failed; null for an answer",
            ),
            field("error_message", T.StringType(), "the engine's error message; null without error_code"),
            field(
                "engine_id",
                T.StringType(),
                "engine process that answered, FAMILY-NUMBER; the number counts restarts after a crash; null for a "
                "remote engine",
            ),
            field(
                "answered_at",
                T.TimestampType(),
                "time of the answer, UTC, by the executor's clock; null in rows of an older lake",
            ),
            field(
                "request_seconds",
                T.DoubleType(),
                "seconds from its last sending to its answer; null in rows of an older lake",
            ),
            field(
                "queue_seconds",
                T.DoubleType(),
                "seconds of these that it waited in the engine's queue; null if the engine does not say",
            ),
            field(
                "cached_tokens",
                T.IntegerType(),
                "tokens of the prompt found in the prefix cache; null if the engine does not say",
            ),
            field(
                "n_sends",
                T.IntegerType(),
                "times that it was sent; above 1 if an engine died with it in flight, or a remote one was busy",
            ),
            field("run_id", T.StringType(), "id of the run that generated it"),
            field(
                "wave",
                T.IntegerType(),
                "wave of that run, from 0; -1 for its prompt self-test; null in rows of an older lake",
            ),
        ]
    ),
    key=("generation_key",),
)

OPERATION = T.StructType(
    [
        field("op", T.StringType(), "remove_lines, normalize, keep_chunk, keep_doc or drop_doc"),
        field("line_start", T.LongType(), "first line, numbered over the document; remove_lines only"),
        field("line_end", T.LongType(), "last line, included; remove_lines only"),
        field("source_str", T.StringType(), "string to replace; normalize only"),
        field("target_str", T.StringType(), "its replacement; normalize only"),
    ]
)

DIAGNOSTIC = T.StructType(
    [
        field("code", T.StringType(), "code of the finding, see prox_spark.programs.DiagnosticCode"),
        field("op_index", T.IntegerType(), "position in ops; null if the finding is about no operation"),
        field("detail", T.StringType(), "the text concerned, or a figure"),
    ]
)

PROGRAMS = Table(
    "programs",
    T.StructType(
        [
            field("doc_id", T.StringType(), "id of the document"),
            BUCKET,
            field("content_sha256", T.StringType(), "hash of its text"),
            field("chunk_index", T.IntegerType(), "index of the chunk, from 0; -1 for the document stage"),
            field("recipe_fingerprint", T.StringType(), "fingerprint of the recipe that generated and applied it"),
            field("line_start", T.IntegerType(), "first line of the chunk; null for the document stage"),
            field("line_end", T.IntegerType(), "last line of the chunk, included; null for the document stage"),
            field("generation_key", T.StringType(), "key of the answer that it was parsed from"),
            field("ops", T.ArrayType(OPERATION), "parsed operations in order"),
            field("diagnostics", T.ArrayType(DIAGNOSTIC), "findings of the parser and the executor"),
            field("status", T.StringType(), "applied, applied_with_notes or discarded"),
            field("run_id", T.StringType(), "id of the run that wrote the row"),
        ]
    ),
    key=("doc_id", "content_sha256", "chunk_index", "recipe_fingerprint"),
)
