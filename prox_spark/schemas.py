"""The tables of a lake, column by column. A comment says what an on-call engineer would ask: unit, when null.

Spark types only: importing this module needs pyspark but no session.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import types as T


def _field(name: str, data_type: T.DataType, comment: str) -> T.StructField:
    return T.StructField(name, data_type, True, {"comment": comment})


@dataclass(frozen=True)
class Table:
    """A table's name, schema and the columns that identify a row."""

    name: str
    schema: T.StructType
    key: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return self.schema.names


PROVENANCE = T.StructType(
    [
        _field("file", T.StringType(), "path or URI of the input file"),
        _field(
            "offset",
            T.LongType(),
            "first byte of the record in the file (compressed offset in .gz WARC/WET); for text lines the line number",
        ),
        _field("length", T.LongType(), "bytes of the record; null where the format does not say"),
    ]
)

DOCUMENTS = Table(
    "documents",
    T.StructType(
        [
            _field(
                "doc_id", T.StringType(), "stable id: the input's own, the WARC record id, or SHA-256 of url and text"
            ),
            _field("text", T.StringType(), "the raw text; never null, may be empty"),
            _field("content_sha256", T.StringType(), "SHA-256 of the UTF-8 text, hex"),
            _field(
                "n_words",
                T.LongType(),
                "words of the text as Python's str.split() counts them; null in rows of an older lake",
            ),
            _field("url", T.StringType(), "null where the input names none"),
            _field("source", T.StringType(), "partition column by default: where the document came from"),
            _field(
                "provenance", PROVENANCE, "where in the input files the record lies; null for Parquet and Delta input"
            ),
            _field("metadata", T.MapType(T.StringType(), T.StringType()), "WARC/WET headers; null for other formats"),
            _field("ingested_at", T.TimestampType(), "when this version of the row was written"),
        ]
    ),
    key=("doc_id",),
)

GENERATIONS = Table(
    "generations",
    T.StructType(
        [
            _field(
                "generation_key",
                T.StringType(),
                "SHA-256 over stage, model, prompt template, sampling and exact prompt",
            ),
            _field("stage", T.StringType(), "doc or chunk"),
            _field("refiner", T.StringType(), "name of the refiner that answered"),
            _field("model_fingerprint", T.StringType(), "SHA-256 over base, adapter and revision"),
            _field("prompt_fingerprint", T.StringType(), "SHA-256 over template, limits and answer words"),
            _field("sampling", T.StringType(), "sampling parameters, JSON"),
            _field("output_text", T.StringType(), "what the model wrote; null when error_code is set"),
            _field(
                "finish_reason", T.StringType(), "stop, length (cut at the answer limit); null when error_code is set"
            ),
            _field(
                "drop_probability",
                T.DoubleType(),
                "doc stage: probability of drop against keep, 0..1; null in the chunk stage and the self-test",
            ),
            _field("prompt_tokens", T.IntegerType(), "tokens sent"),
            _field("output_tokens", T.IntegerType(), "tokens generated"),
            _field("error_code", T.StringType(), "null, or a ReasonCode: the request was refused or not sent"),
            _field("error_message", T.StringType(), "the engine's words; null without error_code"),
            _field(
                "engine_id",
                T.StringType(),
                "FAMILY-NUMBER: which engine process answered, the number-th in place of one that died; null for a remote engine",
            ),
            _field("answered_at", T.TimestampType(), "UTC, by the executor's clock; null in rows of an older lake"),
            _field(
                "request_seconds", T.DoubleType(), "from its last sending to its answer; null in rows of an older lake"
            ),
            _field("queue_seconds", T.DoubleType(), "of these, waiting inside the engine; null where it does not say"),
            _field(
                "cached_tokens", T.IntegerType(), "of the prompt, found in the prefix cache; null where it does not say"
            ),
            _field(
                "n_sends",
                T.IntegerType(),
                "more than 1 where an engine died with it in flight, or a remote one was busy",
            ),
            _field("run_id", T.StringType(), "the run that paid for it"),
            _field(
                "wave", T.IntegerType(), "of that run, from 0; -1 its prompt self-test; null in rows of an older lake"
            ),
        ]
    ),
    key=("generation_key",),
)

OPERATION = T.StructType(
    [
        _field("op", T.StringType(), "remove_lines, normalize, keep_chunk, keep_doc, drop_doc"),
        _field("line_start", T.LongType(), "first line, numbered over the document; remove_lines only"),
        _field("line_end", T.LongType(), "last line, included; remove_lines only"),
        _field("source_str", T.StringType(), "normalize only"),
        _field("target_str", T.StringType(), "normalize only"),
    ]
)

DIAGNOSTIC = T.StructType(
    [
        _field("code", T.StringType(), "see prox_spark.programs.DiagnosticCode"),
        _field("op_index", T.IntegerType(), "position in ops; null when about no operation"),
        _field("detail", T.StringType(), "what was found"),
    ]
)

PROGRAMS = Table(
    "programs",
    T.StructType(
        [
            _field("doc_id", T.StringType(), "the document"),
            _field("content_sha256", T.StringType(), "the version of its text"),
            _field("chunk_index", T.IntegerType(), "0, 1, …; -1 is the document stage"),
            _field("recipe_fingerprint", T.StringType(), "what generated and applied it"),
            _field("line_start", T.IntegerType(), "first line of the chunk; null for the document stage"),
            _field("line_end", T.IntegerType(), "last line of the chunk, included; null for the document stage"),
            _field("generation_key", T.StringType(), "the answer it was parsed from"),
            _field("ops", T.ArrayType(OPERATION), "parsed operations in order"),
            _field("diagnostics", T.ArrayType(DIAGNOSTIC), "what was wrong or noteworthy"),
            _field("status", T.StringType(), "applied, applied_with_notes, discarded"),
            _field("run_id", T.StringType(), "the run that wrote the row"),
        ]
    ),
    key=("doc_id", "content_sha256", "chunk_index", "recipe_fingerprint"),
)

REMOVED_SPAN = T.StructType(
    [
        _field("line_start", T.LongType(), "first removed line of the raw text"),
        _field("line_end", T.LongType(), "last removed line, included"),
        _field("chunk_index", T.IntegerType(), "the chunk whose program removed it"),
        _field("op_index", T.IntegerType(), "the operation in that program"),
    ]
)

NORMALIZATION = T.StructType(
    [
        _field("chunk_index", T.IntegerType(), "the chunk whose program replaced it"),
        _field("op_index", T.IntegerType(), "the operation in that program"),
        _field("source_str", T.StringType(), "what was replaced"),
        _field("target_str", T.StringType(), "by what"),
        _field("n_hits", T.IntegerType(), "how many times"),
    ]
)

REFINED = Table(
    "refined",
    T.StructType(
        [
            _field("doc_id", T.StringType(), "the document"),
            _field("content_sha256", T.StringType(), "the raw text this was made from"),
            _field("recipe_fingerprint", T.StringType(), "models, prompts, semantics and thresholds that made it"),
            _field("text", T.StringType(), "the refined text; empty when dropped or blanked"),
            _field(
                "status",
                T.StringType(),
                "kept_unchanged, edited, dropped_doc, blanked_ratio, blanked_short or program_discarded",
            ),
            _field("drop_probability", T.DoubleType(), "of the document stage, 0..1; null for a text without words"),
            _field("words_before", T.LongType(), "white-space separated words of the raw text"),
            _field("words_after", T.LongType(), "the same of the refined text"),
            _field("removed", T.ArrayType(REMOVED_SPAN), "removed line spans and what removed them"),
            _field("normalized", T.ArrayType(NORMALIZATION), "replacements and their number"),
            _field("documents_version", T.LongType(), "version of the documents table that was read"),
            _field("run_id", T.StringType(), "the run that wrote the row"),
        ]
    ),
    key=("doc_id",),
)

QUARANTINE = Table(
    "quarantine",
    T.StructType(
        [
            _field(
                "quarantine_id",
                T.StringType(),
                "SHA-256 over stage, reason and what is quarantined; makes a repeated write a no-op",
            ),
            _field("doc_id", T.StringType(), "null where the record has none"),
            _field("content_sha256", T.StringType(), "of the raw text or record; null for a file"),
            _field("stage", T.StringType(), "ingest, doc or chunk"),
            _field("reason", T.StringType(), "a ReasonCode"),
            _field("message", T.StringType(), "what happened, for a person"),
            _field("snippet", T.StringType(), "first 200 characters of what was quarantined"),
            _field("provenance", PROVENANCE, "where it came from; null when unknown"),
            _field("recipe_fingerprint", T.StringType(), "null for ingest"),
            _field("run_id", T.StringType(), "the run that quarantined it"),
        ]
    ),
    key=("quarantine_id",),
)

ENGINE_WAVE = T.StructType(
    [
        _field("wave", T.IntegerType(), "of the run, from 0; -1 the prompt self-test"),
        _field("stage", T.StringType(), "doc or chunk"),
        _field("prompts", T.LongType(), "prompts answered, errors among them"),
        _field("errors", T.LongType(), "of these, rows with an error_code"),
        _field("prompt_tokens", T.LongType(), "tokens sent"),
        _field("output_tokens", T.LongType(), "tokens generated"),
        _field(
            "seconds", T.DoubleType(), "from the first sending to the last answer, an engine's start before it left out"
        ),
        _field("tokens_per_second", T.DoubleType(), "prompt and output tokens, over all engines"),
        _field("in_flight", T.DoubleType(), "requests in flight on average, over all engines"),
        _field(
            "window_occupancy",
            T.DoubleType(),
            "in_flight as a share of the windows of all executors: under 1 the engines wait for prompts, or for the slowest task "
            "at the end; null for a remote engine",
        ),
        _field(
            "queue_seconds", T.DoubleType(), "waiting inside the engine, mean per request; null where it does not say"
        ),
        _field(
            "prefix_cache_hit_rate",
            T.DoubleType(),
            "share of the prompt tokens found in the prefix cache, 0..1; null where the engine does not say",
        ),
        _field("engines", T.IntegerType(), "engine processes that answered; 0 for a remote engine"),
        _field(
            "starts",
            T.IntegerType(),
            "engine processes started since the wave before, as far as one of their family answered",
        ),
        _field("restarts", T.IntegerType(), "of these, in place of one that died"),
        _field(
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
            _field("run_id", T.StringType(), "UUID"),
            _field("command", T.StringType(), "ingest, refine or apply"),
            _field("status", T.StringType(), "succeeded or failed"),
            _field("error", T.StringType(), "the error's message; null when succeeded"),
            _field("recipe", T.StringType(), "the whole recipe, JSON, secrets redacted"),
            _field("recipe_fingerprint", T.StringType(), "what generated and applied; null for ingest"),
            _field("started_at", T.TimestampType(), "UTC"),
            _field("ended_at", T.TimestampType(), "UTC"),
            _field("seconds", T.MapType(T.StringType(), T.DoubleType()), "seconds per stage, and `total`"),
            _field("versions_in", T.MapType(T.StringType(), T.LongType()), "table versions read"),
            _field(
                "versions_out", T.MapType(T.StringType(), T.LongType()), "versions of the same tables after the run"
            ),
            _field(
                "counts",
                T.MapType(T.StringType(), T.LongType()),
                "rows: input, per status, quarantined per reason, generations",
            ),
            _field("prompt_tokens", T.LongType(), "tokens sent by this run"),
            _field("output_tokens", T.LongType(), "tokens generated for this run"),
            _field("engine_starts", T.IntegerType(), "engine processes that were started for this run"),
            _field("engine_restarts", T.IntegerType(), "of these, in place of one that died; null in an older lake"),
            _field("requests_resent", T.LongType(), "sendings beyond the first of a prompt; null in an older lake"),
            _field(
                "engine_waves",
                T.ArrayType(ENGINE_WAVE),
                "what the engines did, per wave and stage that asked any; null in an older lake",
            ),
            _field("packages", T.MapType(T.StringType(), T.StringType()), "versions of Python, Spark, Delta, vLLM, …"),
            _field("application_id", T.StringType(), "Spark's id of the application"),
        ]
    ),
    key=("run_id",),
)

TABLES = (DOCUMENTS, GENERATIONS, PROGRAMS, REFINED, QUARANTINE, RUNS)

LEFTOVER = T.StructType(
    [
        _field("kind", T.StringType(), "see prox_spark.programs.LeftoverKind"),
        _field("raw_start", T.LongType(), "first raw line concerned, from 0; null when none is"),
        _field("raw_end", T.LongType(), "last raw line concerned, included"),
        _field("clean_start", T.LongType(), "first clean line concerned; null when none is"),
        _field("clean_end", T.LongType(), "last clean line concerned, included"),
        _field("detail", T.StringType(), "the text concerned, cut to one short line"),
    ]
)

# What `induce` adds to the columns of its input. No table of a lake: its output is a place of its own.
INDUCED = T.StructType(
    [
        _field("program", T.StringType(), "the program as a refiner would write it; null when reason is set"),
        _field("ops", T.ArrayType(OPERATION), "its operations in order"),
        _field("exact", T.BooleanType(), "the strict executor makes the clean text of it, to the character"),
        _field("exact_but_white_space", T.BooleanType(), "it makes the clean text's words in their order"),
        _field("leftovers", T.ArrayType(LEFTOVER), "what the program can't express; empty when there is nothing"),
        _field("reason", T.StringType(), "a ReasonCode where the row holds no pair, else null"),
        _field("message", T.StringType(), "what is wrong with the row, for a person"),
    ]
)
