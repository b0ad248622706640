"""The stored answers to prompts, read as programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config.recipe import Semantics
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.wave_prompts import WavePrompts
from prox_spark.udfs.parse import DOC_STAGE, PARSED, STORED_ANSWERS, ParseAnswers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# The error of a prompt that was never asked. It is never stored.
NO_GENERATION = "no_generation"


def choose_answers(generations: DataFrame, *columns: str) -> DataFrame:
    """Choose one answer per prompt.

    Args:
        generations: rows of that table.
        columns: of the answers, besides the error.

    Returns:
        generation_key and generation, a struct of `columns`, error_code and error_message.
    """
    answer = F.struct(*columns, "error_code", "error_message")
    # A prompt that timed out and was asked again has two rows, and the answer counts. Of equal rows any will do.
    final = F.min_by(answer, F.col("error_code").isNotNull())
    return generations.groupBy("generation_key").agg(final.alias("generation"))


def parse_answers(
    generations: DataFrame, stages: RefinerStages, prompts: WavePrompts, semantics: Semantics
) -> DataFrame:
    """Read the stored answers to prompts by the parser of the semantics.

    Args:
        generations: rows of that table, with the answers.
        stages: of the prompts. A prompt over the context limit was not asked, and that is its error.
        prompts: of both stages.
        semantics: `strict` or `reference`.

    Returns:
        One row per prompt, columns of `prox_spark.udfs.parse.PARSED`. A prompt without an answer has the error NO_GENERATION.
    """
    answers = choose_answers(generations, "output_text", "drop_probability")
    doc_limit, chunk_limit = (stage.refiner.card.context_tokens for stage in (stages.doc, stages.chunk))
    limit = F.when(F.col("chunk_index") == DOC_STAGE, doc_limit).otherwise(chunk_limit)
    too_long = F.format_string("the prompt and its answer are over %d tokens", limit)
    code = F.coalesce(
        F.col("skip_reason"),
        F.col("generation.error_code"),
        F.when(F.col("generation").isNull(), F.lit(NO_GENERATION)),
    )
    return (
        prompts.doc.withColumn("chunk_index", F.lit(DOC_STAGE))
        .unionByName(prompts.chunk)
        .join(answers, on="generation_key", how="left")
        .withColumns(
            {
                "output_text": F.col("generation.output_text"),
                "drop_probability": F.col("generation.drop_probability"),
                "error_code": code,
                "error_message": F.when(F.col("skip_reason").isNotNull(), too_long).otherwise(
                    F.col("generation.error_message")
                ),
            }
        )
        .select(*STORED_ANSWERS.names)
        .mapInArrow(ParseAnswers(semantics), PARSED)
    )
