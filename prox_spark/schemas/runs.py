"""What runs did."""

from __future__ import annotations

from pyspark.sql import types as T

from prox_spark.schemas.table import Table, field

ENGINE_WAVE = T.StructType(
    [
        field("wave", T.IntegerType(), "of the run, from 0"),
        field("stage", T.StringType(), "as in generations"),
        field("prompts", T.LongType(), "prompts answered, errors among them"),
        field("errors", T.LongType(), "of these, rows with an error_code"),
        field("prompt_tokens", T.LongType(), "tokens sent"),
        field("output_tokens", T.LongType(), "tokens generated"),
        field(
            "seconds", T.DoubleType(), "from the first sending to the last answer, an engine's start before it left out"
        ),
        field("tokens_per_second", T.DoubleType(), "prompt and output tokens, over all engines"),
        field("in_flight", T.DoubleType(), "requests in flight on average, over all engines"),
        field(
            "window_occupancy",
            T.DoubleType(),
            "in_flight as a share of the windows of all executors: under 1 the engines wait for prompts, or for the slowest task "
            "at the end, or have prompts of another wave beside these; null for a remote engine",
        ),
        field(
            "queue_seconds", T.DoubleType(), "waiting inside the engine, mean per request; null where it does not say"
        ),
        field(
            "prefix_cache_hit_rate",
            T.DoubleType(),
            "share of the prompt tokens found in the prefix cache, 0..1; null where the engine does not say",
        ),
        field("engines", T.IntegerType(), "engine processes that answered; 0 for a remote engine"),
        field(
            "starts",
            T.IntegerType(),
            "engine processes started since the wave before, as far as one of their family answered",
        ),
        field("restarts", T.IntegerType(), "of these, in place of one that died"),
        field(
            "resent",
            T.LongType(),
            "sendings beyond the first: an engine died with the prompt in flight, or a remote one was busy",
        ),
    ]
)

RUNS = Table(
    "runs",
    T.StructType(
        [
            field("run_id", T.StringType(), "UUID"),
            field("command", T.StringType(), "ingest, refine, apply, annotate or evaluate"),
            field("status", T.StringType(), "succeeded or failed"),
            field("error", T.StringType(), "the error's message; null when succeeded"),
            field("recipe", T.StringType(), "the whole recipe, JSON, secrets redacted"),
            field("recipe_fingerprint", T.StringType(), "what generated and applied; null for ingest"),
            field("started_at", T.TimestampType(), "UTC"),
            field("ended_at", T.TimestampType(), "UTC"),
            field("seconds", T.MapType(T.StringType(), T.DoubleType()), "seconds per stage, and `total`"),
            field("versions_in", T.MapType(T.StringType(), T.LongType()), "table versions read"),
            field("versions_out", T.MapType(T.StringType(), T.LongType()), "versions of the same tables after the run"),
            field(
                "counts",
                T.MapType(T.StringType(), T.LongType()),
                "rows: input, per status, quarantined per reason, generations",
            ),
            field("prompt_tokens", T.LongType(), "tokens sent by this run"),
            field("output_tokens", T.LongType(), "tokens generated for this run"),
            field("engine_starts", T.IntegerType(), "engine processes that were started for this run"),
            field("engine_restarts", T.IntegerType(), "of these, in place of one that died; null in an older lake"),
            field("requests_resent", T.LongType(), "sendings beyond the first of a prompt; null in an older lake"),
            field(
                "engine_waves",
                T.ArrayType(ENGINE_WAVE),
                "what the engines did, per wave and stage that asked any; null in an older lake",
            ),
            field("packages", T.MapType(T.StringType(), T.StringType()), "versions of Python, Spark, Delta, vLLM, …"),
            field("application_id", T.StringType(), "Spark's id of the application"),
        ]
    ),
    key=("run_id",),
)
