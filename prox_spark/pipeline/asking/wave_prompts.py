"""The prompts about documents: what each stage asks, and under which key its answer is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.pipeline.asking.stages import RefinerStage
from prox_spark.schemas import DOCUMENT_KEY
from prox_spark.udfs.prompts import PROMPTS, BuildPrompts

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class WavePrompts:
    """The prompts of some documents, columns of `prox_spark.udfs.prompts.PROMPTS`.

    Attributes:
        doc: one prompt per document.
        chunk: the prompts of the documents that the document stage keeps.
    """

    doc: DataFrame
    chunk: DataFrame


def make_prompts(
    documents: DataFrame, stage: RefinerStage, with_token_ids: bool = False, first_line: Column | None = None
) -> DataFrame:
    """Make the prompts of documents under a stage.

    Args:
        documents: doc_id, content_sha256, text.
        stage: whose prompts.
        with_token_ids: True to include the token ids. Without them rows hold keys and lines only.
        first_line: number of the first line of each text, an integer; 0 unless the texts are parts of documents.

    Returns:
        One row per prompt, columns of `prox_spark.udfs.prompts.PROMPTS`. A text without words has no row.
    """
    numbered_from = F.lit(0) if first_line is None else first_line
    columns = documents.select("doc_id", "content_sha256", "text", numbered_from.alias("first_line"))
    return columns.mapInArrow(BuildPrompts(stage.builder, with_token_ids), PROMPTS)


def keep_documents(documents: DataFrame, doc_prompts: DataFrame, generations: DataFrame, below: float) -> DataFrame:
    """Return the documents whose probability of dropping is below a threshold.

    Args:
        documents: with `DOCUMENT_KEY`.
        doc_prompts: their prompts of the document stage.
        generations: columns of that table.
        below: the threshold. An answer in words has no probability; its document is returned, and the answer is read when
            programs are applied.
    """
    unread = F.col("drop_probability").isNull() & F.col("error_code").isNull()
    keeping = generations.where(unread | (F.col("drop_probability") < below)).select("generation_key")
    keys = doc_prompts.join(keeping, on="generation_key", how="left_semi").select(*DOCUMENT_KEY)
    return documents.join(keys, on=DOCUMENT_KEY, how="left_semi")
