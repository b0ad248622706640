"""From a question to the prompts that a teacher reads, in its own chat format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from prox_spark.annotation.questions import SCORES, Question
from prox_spark.config import AnnotationConfig
from prox_spark.errors import RecipeError, RefinerError
from prox_spark.programs.grammar import PROGRAM_GRAMMAR
from prox_spark.prompts import PromptBuilder
from prox_spark.refiners.card import ChunkTask, DocTask, RefinerCard, Tasks

# A digit, and what some tokenizers put before it.
_SCORE_TOKENS = 4
# A cut text may become a few tokens more when it is read again.
_SLACK_TOKENS = 16
# What chat formats that tell the date are given for today: with another prompt all that is answered would be asked again tomorrow.
_TODAY = datetime(2024, 7, 26)


@dataclass(frozen=True, kw_only=True)
class QuestionPrompts(PromptBuilder):
    """Builds the prompts of one question; its `card` is that of the teacher with the question as its only task.

    Args:
        question: its name in `generations`.
        constrained: answers are held to a score or to the grammar of programs.
        answer_tokens: a longer answer is cut.
    """

    question: str
    constrained: bool
    answer_tokens: int

    @property
    def name(self) -> str:
        """Under which `stage` its generations are stored."""
        return self.question

    @cached_property
    def request_parameters(self) -> dict[str, Any]:
        """Body of a completions request, but for model and prompt."""
        parameters: dict[str, Any] = {"temperature": 0, "max_tokens": self.answer_tokens}
        if self.constrained:
            forms = {"doc": {"choice": [str(score) for score in SCORES]}, "chunk": {"grammar": PROGRAM_GRAMMAR}}
            parameters["structured_outputs"] = forms[self.stage]
        return parameters


def build_question_prompts(
    question: Question, teacher: RefinerCard, fingerprint: str, tokenizer: Path, config: AnnotationConfig
) -> QuestionPrompts:
    """The builder of a question's prompts for a teacher.

    Args:
        question: what is asked.
        teacher: its card.
        fingerprint: of its weights.
        tokenizer: directory of its tokenizer.
        config: limits.

    Raises:
        RefinerError: the teacher has no chat format, or one that does not take the question.
        RecipeError: question, text and answer together are over the teacher's context.
    """
    template = format_chat(tokenizer, teacher.name, question.build_messages(config.constrained), config.constrained)
    if question.asks_for_score:
        answer_tokens = _SCORE_TOKENS if config.constrained else config.max_answer_tokens
        tasks = Tasks(doc=DocTask(template=template, max_text_tokens=config.max_text_tokens))
        text_tokens = config.max_text_tokens + _SLACK_TOKENS
    else:
        answer_tokens = config.max_answer_tokens
        # The longest line as in web-135m: a third of the chunk.
        chunk = ChunkTask(
            template=template,
            max_chunk_tokens=config.max_chunk_tokens,
            max_line_tokens=config.max_chunk_tokens // 3,
            max_answer_tokens=answer_tokens,
        )
        tasks = Tasks(chunk=chunk)
        # With a break to each line, whose number alone is three tokens. Within the context no chunk is ever halved, and all
        # questions are about the same ones.
        text_tokens = config.max_chunk_tokens * 4 // 3 + _SLACK_TOKENS
    builder = QuestionPrompts(
        card=teacher.model_copy(update={"tasks": tasks}),
        stage="doc" if question.asks_for_score else "chunk",
        model_fingerprint=fingerprint,
        tokenizer_json=(tokenizer / "tokenizer.json").read_text(encoding="utf-8"),
        question=question.stage,
        constrained=config.constrained,
        answer_tokens=answer_tokens,
    )
    if (needed := builder.frame_tokens + text_tokens + answer_tokens) > teacher.context_tokens:
        raise RecipeError(
            f"teacher {teacher.name} reads {teacher.context_tokens} tokens, and the question {question.name} with its text and "
            f"answer needs {needed}: lower annotation.max_text_tokens, max_chunk_tokens or max_answer_tokens"
        )
    return builder


def format_chat(tokenizer: Path, teacher: str, messages: list[dict[str, str]], constrained: bool) -> str:
    """The messages in the chat format of a tokenizer, up to where the answer begins; `{text}` is in it once.

    Args:
        tokenizer: its directory.
        teacher: name of the teacher, for errors.
        messages: role and content of each.
        constrained: tells formats that know the difference that no thoughts come first.

    Raises:
        RefinerError: there is no chat format, or it loses the text.
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
