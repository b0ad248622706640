"""The prompt self-test: a refiner's answers to a fixed sample show if its prompts have the format it was trained with.

A released checkpoint ships without a chat template, and a model that is asked in the wrong format does not fail: it
writes no programs, or programs that do nothing. No Spark, no model: prompts and answers in, figures out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prox_spark.config import SelfTestConfig
from prox_spark.errors import SelfTestError
from prox_spark.programs import ChunkProgram, Gates, execute_chunks, parse
from prox_spark.prompts import Prompt
from prox_spark.refiners.card import RefinerCard, Stage

# Without gates: the figures are about programs, and the pages of the sample are shorter than real ones.
_GATES = Gates(min_word_ratio=0.0, min_words=0)
_TAIL_CHARS, _ANSWER_CHARS = 60, 200


@dataclass(frozen=True, slots=True)
class SampleAnswer:
    """A refiner's answer to a prompt of the sample.

    Attributes:
        page: the text of the page.
        prompt: the prompt about it.
        prompt_text: the prompt's tokens as text.
        output: the answer; None if the request failed.
        error: the engine's error; None if it answered.
    """

    page: str
    prompt: Prompt
    prompt_text: str
    output: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure and its limit, a field of the recipe's section `self_test`."""

    what: str
    value: float
    limit: float
    field: str

    @property
    def holds(self) -> bool:
        """True if the figure is within its limit."""
        return self.value <= self.limit if self.field.startswith("max_") else self.value >= self.limit

    def __str__(self) -> str:
        return f"{self.what} {self.value:.2f} ({self.field} = {self.limit:g}{'' if self.holds else ', missed'})"


def measure_gates(
    card: RefinerCard, stage: Stage, answers: Sequence[SampleAnswer], config: SelfTestConfig
) -> list[Gate]:
    """Measure the figures of a stage, each with its limit.

    Args:
        card: the refiner's card.
        stage: doc or chunk.
        answers: the answers to all prompts of the sample, at least one; an error counts as an empty answer.
        config: the limits.
    """
    return _measure_verdicts(answers, card, config) if stage == "doc" else _measure_programs(answers, config)


def check(card: RefinerCard, stage: Stage, answers: Sequence[SampleAnswer], config: SelfTestConfig) -> str:
    """Check a refiner's figures against the limits.

    Returns:
        The figures, for the log.

    Raises:
        SelfTestError: a limit is missed. The message holds all figures, an example and advice.
    """
    found = measure_gates(card, stage, answers, config)
    figures = ", ".join(map(str, found))
    if all(gate.holds for gate in found):
        return figures
    example = answers[0]
    answer = f"the error {example.error}" if example.output is None else repr(example.output[:_ANSWER_CHARS])
    raise SelfTestError(
        f"refiner {card.name} failed the prompt self-test of the {stage} stage, so it was asked nothing about documents: {figures}. "
        f"For example, a prompt that begins with {example.prompt_text[:_TAIL_CHARS]!r} and ends with "
        f"{example.prompt_text[-_TAIL_CHARS:]!r} was answered by {answer}. Does its card give the prompt format that it was "
        f"trained with (tasks.{stage}.template is {card.task(stage).template!r}, bos is {card.bos!r})? Correct refiner.yaml, or "
        f"choose another refiners.{stage}. A refiner that is meant to answer so needs other limits, or self_test.enabled=false"
    )


def _measure_verdicts(answers: Sequence[SampleAnswer], card: RefinerCard, config: SelfTestConfig) -> list[Gate]:
    # In a run the first token decides, so the answer must begin with the verdict; a Llama writes a blank before it.
    n_parsed = sum((answer.output or "").lstrip(" ").startswith((card.doc.keep, card.doc.drop)) for answer in answers)
    return [Gate("share of verdicts", n_parsed / len(answers), config.min_parsed, "min_parsed")]


def _measure_programs(answers: Sequence[SampleAnswer], config: SelfTestConfig) -> list[Gate]:
    n_parsed = n_acting = words_before = words_after = 0
    for page in dict.fromkeys(answer.page for answer in answers):
        chunks = [_parse_program(answer) for answer in answers if answer.page == page]
        done = execute_chunks(page, chunks, _GATES)
        n_parsed += sum(
            bool(c.program.ops) and not v.n_errors for c, v in zip(chunks, done.chunk_outcomes, strict=True)
        )
        n_acting += len({span.chunk_index for span in done.removed} | {hit.chunk_index for hit in done.normalized})
        words_before += done.words_before
        words_after += done.words_after
    kept = words_after / words_before
    return [
        Gate("share of programs that parse", n_parsed / len(answers), config.min_parsed, "min_parsed"),
        Gate("share that act", n_acting / len(answers), config.min_acting, "min_acting"),
        Gate("words kept", kept, config.min_words_kept, "min_words_kept"),
        Gate("words kept", kept, config.max_words_kept, "max_words_kept"),
    ]


def _parse_program(answer: SampleAnswer) -> ChunkProgram:
    index, start, end = answer.prompt.chunk_index, answer.prompt.line_start, answer.prompt.line_end
    if index is None or start is None or end is None:
        raise SelfTestError(f"the prompt {answer.prompt.key} names no lines: it is none of the chunk stage")
    return ChunkProgram(index, start, end, parse(answer.output or "", range(start, end + 1)))
