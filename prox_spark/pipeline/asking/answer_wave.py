"""Both stages of a wave: its prompts and the answers to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prox_spark.frames import persisted, persisted_rows
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.asking.settings import Settings
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.wave_prompts import WavePrompts, keep_documents, make_prompts
from prox_spark.pipeline.waves import Turn, Wave
from prox_spark.runs.run import Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class AnsweredWave:
    """A wave whose prompts are all answered.

    Attributes:
        documents: of the wave, persisted.
        prompts: about these documents.
        generations: rows of that table that answer the prompts.
    """

    documents: DataFrame
    prompts: WavePrompts
    generations: DataFrame


@contextmanager
def answer_wave(
    wave: Wave, turn: Turn, generate: GenerateMissing, stages: RefinerStages, settings: Settings, run: Run
) -> Iterator[AnsweredWave]:
    """Have both stages answer the prompts of a wave, and keep its frames for the block.

    Args:
        wave: its documents have `DOCUMENT_KEY` and text.
        turn: entered for each stage.
        generate: asks the engines.
        stages: their refiners are asked.
        settings: the chunk stage is asked about documents below `chunk_below`.
        run: told how long each stage takes.
    """
    # Texts are read once and prompts are made once, for asking and for applying.
    with ExitStack() as stack:
        with turn("doc"), run.timed("doc"):
            # Within the turn, because settings of the session change for a moment, and one wave at a time may do that.
            documents = stack.enter_context(persisted_rows(wave.documents))
            doc = stack.enter_context(persisted(make_prompts(documents, stages.doc, with_token_ids=True)))
            verdicts = stack.enter_context(generate(doc, stages.doc, wave.number, f"doc stage{wave}"))
        kept = keep_documents(documents, doc, verdicts, settings.chunk_below)
        chunk = stack.enter_context(persisted(make_prompts(kept, stages.chunk, with_token_ids=True)))
        with turn("chunk"), run.timed("chunk"):
            programs = stack.enter_context(generate(chunk, stages.chunk, wave.number, f"chunk stage{wave}"))
        yield AnsweredWave(documents, WavePrompts(doc, chunk), verdicts.unionByName(programs))
