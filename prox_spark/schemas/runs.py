"""The table of runs, and the figures of their engine waves."""

from __future__ import annotations

from pyspark.sql import types as T

from prox_spark.schemas.table import Table, field

ENGINE_WAVE = T.StructType(
    [
        field("wave", T.IntegerType(), "wave of the run, from 0"),
        field("stage", T.StringType(), "stage, as in generations"),
        field("prompts", T.LongType(), "prompts answered, including errors"),
        field("errors", T.LongType(), "prompts of these with an error_code"),
        field("prompt_tokens", T.LongType(), "tokens of the prompts"),
        field("output_tokens", T.LongType(), "tokens generated"),
        field(
            "seconds",
            T.DoubleType(),
            "seconds from the first sending to the last answer, without the engine's start before it",
        ),
        field("tokens_per_second", T.DoubleType(), "prompt and output tokens per second, over all engines"),
        field("in_flight", T.DoubleType(), "requests in flight on average, over all engines"),
        field(
            "window_occupancy",
            T.DoubleType(),
            "in_flight as a share of the windows of all executors; below 1 the engines wait for prompts or for the "
            "slowest task at the end, or have prompts of another wave in their windows; null for a remote engine",
        ),
        field(
            "queue_seconds",
            T.DoubleType(),
            "seconds that a request waited in the engine's queue, on average; null if the engine does not say",
        ),
        field(
            "prefix_cache_hit_rate",
            T.DoubleType(),
            "share of the prompt tokens found in the prefix cache, 0..1; null if the engine does not say",
        ),
        field("engines", T.IntegerType(), "engine processes that answered; 0 for a remote engine"),
        field(
            "starts",
            T.IntegerType(),
            "engine processes started since the wave before, of the families that answered in this one",
        ),
        field("restarts", T.IntegerType(), "processes of these started in place of one that died"),
        field(
            "resent",
            T.LongType(),
            "repeated sendings, since an engine died with the prompt in flight or a remote one was busy",
        ),
    ]
)

RUNS = Table(
    "runs",
    T.StructType(
        [
            field("run_id", T.StringType(), "UUID of the run"),
            field("command", T.StringType(), "ingest, refine, refine_frame, apply, annotate or evaluate"),
            field("status", T.StringType(), "succeeded or failed"),
            field("error", T.StringType(), "the error's message; null if the run succeeded"),
            field("recipe", T.StringType(), "the whole recipe, JSON, secrets redacted"),
            field("recipe_fingerprint", T.StringType(), "fingerprint of what generates and applies; null for ingest"),
            field("started_at", T.TimestampType(), "time of the start, UTC"),
            field("ended_at", T.TimestampType(), "time of the end, UTC"),
            field(
                "seconds",
                T.MapType(T.StringType(), T.DoubleType()),
                "seconds per part of the run, such as plan, doc, chunk and apply, and `total`",
            ),
            field("versions_in", T.MapType(T.StringType(), T.LongType()), "versions of the tables that were read"),
            field("versions_out", T.MapType(T.StringType(), T.LongType()), "versions of the same tables after the run"),
            field(
                "counts",
                T.MapType(T.StringType(), T.LongType()),
                "numbers of rows: input, pending, documents, per status, quarantined per reason, generations, labels",
            ),
            field("prompt_tokens", T.LongType(), "tokens of the prompts that this run sent"),
            field("output_tokens", T.LongType(), "tokens generated for this run"),
            field("engine_starts", T.IntegerType(), "engine processes started for this run"),
            field(
                "engine_restarts",
                T.IntegerType(),
                "processes of these started in place of one that died; null in rows of an older lake",
            ),
            field("requests_resent", T.LongType(), "repeated sendings of a prompt; null in rows of an older lake"),
            field(
                "engine_waves",
                T.ArrayType(ENGINE_WAVE),
                "figures of the engines per wave and stage with prompts; null in rows of an older lake",
            ),
            field(
                "packages",
                T.MapType(T.StringType(), T.StringType()),
                "versions of Python, Spark, Delta, vLLM and others",
            ),
            field("application_id", T.StringType(), "Spark's id of the application"),
        ]
    ),
    key=("run_id",),
)
