"""The prompt self-test: are a refiner's answers to the fixed sample those of a model that was asked as it was trained to be?

A released checkpoint ships without a chat template, and a model that is asked in the wrong format does not fail: it writes
no programs, or such as do nothing. Pure: prompts and answers in, figures out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prox_spark.config import SelfTestConfig
from prox_spark.errors import SelfTestError
from prox_spark.programs import ChunkProgram, Gates, execute_chunks, parse
from prox_spark.prompts import Prompt
from prox_spark.refiners.card import DocTask, RefinerCard, Stage

# The figures are about programs, not about what becomes of pages that are shorter than any real one.
_GATES = Gates(min_word_ratio=0.0, min_words=0)
_TAIL_CHARS, _ANSWER_CHARS = 60, 200


@dataclass(frozen=True, slots=True)
class SampleAnswer:
    """A refiner's answer to a prompt of the sample.

    Attributes:
        page: the text that was asked about.
        prompt: how.
        prompt_text: the prompt's tokens as text.
        output: the answer; None where there was an error.
        error: what the engine said instead of an answer.
    """

    page: str
    prompt: Prompt
    prompt_text: str
    output: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure, and the limit of the recipe's section `self_test` that it is held to."""

    what: str
    value: float
    limit: float
    field: str

    @property
    def holds(self) -> bool:
        """Is the figure within its limit."""
        return self.value <= self.limit if self.field.startswith("max_") else self.value >= self.limit

    def __str__(self) -> str:
        return f"{self.what} {self.value:.2f} ({self.field} = {self.limit:g}{'' if self.holds else ', missed'})"


def measure_gates(
    card: RefinerCard, stage: Stage, answers: Sequence[SampleAnswer], config: SelfTestConfig
) -> list[Gate]:
    """The figures of a stage beside their limits.

    Args:
        card: of the refiner.
        stage: doc or chunk.
        answers: one or more, to all prompts of the sample; an error is an answer that says nothing.
        config: the limits.
    """
    return _verdict_gates(answers, card, config) if stage == "doc" else _program_gates(answers, config)


def check(card: RefinerCard, stage: Stage, answers: Sequence[SampleAnswer], config: SelfTestConfig) -> str:
    """Holds a refiner to the limits.

    Returns:
        The figures, for the log.

    Raises:
        SelfTestError: one is missed. The message holds all of them, an example and what to change.
    """
    found = measure_gates(card, stage, answers, config)
    told = ", ".join(map(str, found))
    if all(gate.holds for gate in found):
        return told
    example = answers[0]
    answer = f"the error {example.error}" if example.output is None else repr(example.output[:_ANSWER_CHARS])
    raise SelfTestError(
        f"refiner {card.name} failed the prompt self-test of the {stage} stage, so it was asked nothing about documents: {told}. "
        f"For example, a prompt that begins with {example.prompt_text[:_TAIL_CHARS]!r} and ends with "
        f"{example.prompt_text[-_TAIL_CHARS:]!r} was answered by {answer}. Does its card give the prompt format that it was "
        f"trained with (tasks.{stage}.template is {card.task(stage).template!r}, bos is {card.bos!r})? Correct refiner.yaml, or "
        f"choose another refiners.{stage}. A refiner that is meant to answer so needs other limits, or self_test.enabled=false"
    )


def _verdict_gates(answers: Sequence[SampleAnswer], card: RefinerCard, config: SelfTestConfig) -> list[Gate]:
    task = card.task("doc")
    assert isinstance(task, DocTask)
    # In a run the first token decides, so the answer must begin with it; a Llama writes a blank before.
    n_parsed = sum((answer.output or "").lstrip(" ").startswith((task.keep, task.drop)) for answer in answers)
    return [Gate("share of verdicts", n_parsed / len(answers), config.min_parsed, "min_parsed")]


def _program_gates(answers: Sequence[SampleAnswer], config: SelfTestConfig) -> list[Gate]:
    n_parsed = n_acting = words_before = words_after = 0
    for page in dict.fromkeys(answer.page for answer in answers):
        chunks = [_program(answer) for answer in answers if answer.page == page]
        done = execute_chunks(page, chunks, _GATES)
        n_parsed += sum(bool(c.program.ops) and not v.n_errors for c, v in zip(chunks, done.verdicts, strict=True))
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


def _program(answer: SampleAnswer) -> ChunkProgram:
    index, start, end = answer.prompt.chunk_index, answer.prompt.line_start, answer.prompt.line_end
    assert index is not None and start is not None and end is not None, "a prompt of the chunk stage"
    return ChunkProgram(index, start, end, parse(answer.output or "", range(start, end + 1)))
