"""Prompts of the questions to a teacher, in its own chat format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from prox_spark.annotation.questions import SCORES, Question
from prox_spark.config import AnnotationConfig
from prox_spark.errors import RecipeError, RefinerError
from prox_spark.programs.grammar import PROGRAM_GRAMMAR
from prox_spark.prompts import ChunkPrompts, DocumentPrompts, PromptBuilder
from prox_spark.refiners.card import ChunkTask, DocTask, RefinerCard, Tasks

# A digit, and the tokens that some tokenizers put before it.
_SCORE_TOKENS = 4
# A cut text may have a few tokens more when it is tokenized again.
_SLACK_TOKENS = 16
# Chat formats that state the date get this one: with today's every prompt would change, and be asked again, daily.
_TODAY = datetime(2024, 7, 26)


@dataclass(frozen=True)
class ScorePrompts(DocumentPrompts):
    """Builder of the prompts that ask for a score; its `card` is the teacher's, with the question as its only task.

    Args:
        constrained: whether the engine allows only a score as the answer.
        answer_tokens: limit of an answer; a longer one is cut.
    """

    constrained: bool
    answer_tokens: int

    @cached_property
    def request_parameters(self) -> dict[str, Any]:
        """Body of a completions request, without model and prompt."""
        parameters: dict[str, Any] = {"temperature": 0, "max_tokens": self.answer_tokens}
        if self.constrained:
            parameters["structured_outputs"] = {"choice": [str(score) for score in SCORES]}
        return parameters

    def without_constraints(self) -> Self:
        """Return a builder of the same prompts whose answers may be any text."""
        return replace(self, constrained=False)


def build_question_prompts(
    question: Question, teacher: RefinerCard, fingerprint: str, tokenizer: Path, config: AnnotationConfig
) -> PromptBuilder:
    """Return the builder of a question's prompts for a teacher.

    Args:
        question: the question to ask.
        teacher: the teacher's card.
        fingerprint: fingerprint of the teacher's weights.
        tokenizer: directory of the teacher's tokenizer.
        config: limits in tokens.

    Raises:
        RefinerError: the teacher has no chat format, or its format loses the text.
        RecipeError: question, text and answer together exceed the teacher's context.
    """
    template = format_chat(tokenizer, teacher.name, question.build_messages(config.constrained), config.constrained)
    tokenizer_json = (tokenizer / "tokenizer.json").read_text(encoding="utf-8")
    builder: PromptBuilder
    if question.asks_for_score:
        answer_tokens = _SCORE_TOKENS if config.constrained else config.max_answer_tokens
        tasks = Tasks(doc=DocTask(template=template, max_text_tokens=config.max_text_tokens))
        text_tokens = config.max_text_tokens + _SLACK_TOKENS
        card = teacher.model_copy(update={"tasks": tasks})
        builder = ScorePrompts(
            card, fingerprint, tokenizer_json, config.constrained, answer_tokens, question=question.stage
        )
    else:
        answer_tokens = config.max_answer_tokens
        # As in web-135m, a line may fill a third of the chunk.
        chunk = ChunkTask(
            template=template,
            max_chunk_tokens=config.max_chunk_tokens,
            max_line_tokens=config.max_chunk_tokens // 3,
            max_answer_tokens=answer_tokens,
        )
        # A third more for the line breaks: each line has one, and its number alone is three tokens. While chunks fit
        # the context none is halved, so all questions are about the same chunks.
        text_tokens = config.max_chunk_tokens * 4 // 3 + _SLACK_TOKENS
        card = teacher.model_copy(update={"tasks": Tasks(chunk=chunk)})
        grammar = PROGRAM_GRAMMAR if config.constrained else None
        builder = ChunkPrompts(card, fingerprint, tokenizer_json, grammar, question=question.stage)
    if (needed := builder.frame_tokens + text_tokens + answer_tokens) > teacher.context_tokens:
        raise RecipeError(
            f"teacher {teacher.name} reads {teacher.context_tokens} tokens, and the question {question.name} with its text and "
            f"answer needs {needed}: lower annotation.max_text_tokens, max_chunk_tokens or max_answer_tokens"
        )
    return builder


def format_chat(tokenizer: Path, teacher: str, messages: list[dict[str, str]], constrained: bool) -> str:
    """Format messages by a tokenizer's chat template, up to the beginning of the answer.

    Args:
        tokenizer: directory of the tokenizer.
        teacher: name of the teacher, for errors.
        messages: role and content of each message.
        constrained: True turns thoughts before the answer off, in formats that have the switch.

    Returns:
        A prompt with `{text}` in it once.

    Raises:
        RefinerError: transformers or the chat template is missing, or the template loses the text.
    """
    try:
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        message = f"teacher {teacher}: its chat format needs transformers on the driver: `pip install transformers`"
        raise RefinerError(message) from error
    loaded = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    if not loaded.chat_template:
        raise RefinerError(
            f"teacher {teacher}: {tokenizer} has no chat template: take a model that follows instructions"
        )
    text: str = loaded.apply_chat_template(
        messages,
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=not constrained,
        strftime_now=_TODAY.strftime,
    )
    if text.count("{text}") != 1:
        raise RefinerError(f"teacher {teacher}: its chat template makes no prompt of a question that ends with a page")
    return text
