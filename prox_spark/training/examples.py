"""From labels to training examples, in the exact prompts that inference uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prox_spark.chunking import Chunk
from prox_spark.labels import Label, clip_removal, estimate_verdict_doubt, is_worth_keeping
from prox_spark.programs import Operation, OpName, print_program
from prox_spark.prompts import ChunkPrompts, PromptBuilder, VerdictPrompts
from prox_spark.refiners.card import Stage


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and the answer to learn.

    Attributes:
        stage: doc or chunk.
        label_set: set of the label that it is made of.
        prompt_ids: token ids, BOS included where the model has one.
        answer_ids: token ids of the answer, with the token that ends it.
        keep: document stage: the verdict; None in the chunk stage.
        line_ends: positions in the prompt of the tokens that end its lines; empty if line breaks are no tokens of their own.
        line_removed: for each of these positions, whether the line is removed.
        uniform: chunk stage: all lines stay or all are removed, and nothing in them is replaced.
        doubt: document stage: probability that the other verdict is right.
        other_id: document stage: first token of the other verdict's answer.
    """

    stage: Stage
    label_set: str
    prompt_ids: Sequence[int]
    answer_ids: Sequence[int]
    keep: bool | None = None
    line_ends: Sequence[int] = ()
    line_removed: Sequence[bool] = ()
    uniform: bool = False
    doubt: float = 0.0
    other_id: int = 0

    @property
    def n_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return len(self.prompt_ids) + len(self.answer_ids)


class ExampleBuilder(ABC):
    """Builds the examples of one stage."""

    prompts: PromptBuilder
    end_id: int

    def build_examples(self, labels: Iterable[Label]) -> Iterator[Example]:
        """Build the examples of all labels that have an answer for this stage, without prompts that inference skips."""
        for label in labels:
            yield from self._build_examples(label)

    @abstractmethod
    def _build_examples(self, label: Label) -> Iterator[Example]: ...

    def _encode_answer(self, text: str) -> list[int]:
        return [*self.prompts.tokenizer.encode(text, add_special_tokens=False).ids, self.end_id]


@dataclass(frozen=True)
class VerdictExamples(ExampleBuilder):
    """Builds the examples of the document stage.

    Args:
        prompts: builder of the prompts, as in inference.
        end_id: the token that ends an answer.
        score_noise: doubt about verdicts that follow from a teacher's scores, see `estimate_verdict_doubt`.
    """

    prompts: VerdictPrompts
    end_id: int
    score_noise: float = 0.0

    def _build_examples(self, label: Label) -> Iterator[Example]:
        if label.keep is None:
            return
        task = self.prompts.card.doc
        words = (task.keep, task.drop) if label.keep else (task.drop, task.keep)
        answer, other = map(self._encode_answer, words)
        for prompt in self.prompts.build_prompts(label.text):
            if prompt.token_ids:
                yield Example(
                    "doc",
                    label.label_set,
                    prompt.token_ids,
                    answer,
                    keep=label.keep,
                    doubt=self._estimate_doubt(label),
                    other_id=other[0],
                )

    def _estimate_doubt(self, label: Label) -> float:
        if label.edu is None or label.format is None or is_worth_keeping(label.edu, label.format) != label.keep:
            return 0.0
        return estimate_verdict_doubt(label.edu, label.format, self.score_noise)


@dataclass(frozen=True)
class ChunkExamples(ExampleBuilder):
    """Builds the examples of the chunk stage.

    Args:
        prompts: builder of the prompts, as in inference.
        end_id: the token that ends an answer.
    """

    prompts: ChunkPrompts
    end_id: int

    def _build_examples(self, label: Label) -> Iterator[Example]:
        if label.ops is None or not label.text.split():
            return
        removed = label.removed_lines
        for chunk in self.prompts.pack_chunks(label.text, label.first_line):
            prompt = self.prompts.build_prompt(chunk)
            if not prompt.token_ids:
                continue
            gone = [number in removed for number in range(chunk.line_start, chunk.line_end + 1)]
            ends = self._find_line_ends(prompt.token_ids, len(gone))
            ops = restrict_program(label.ops, chunk)
            yield Example(
                "chunk",
                label.label_set,
                prompt.token_ids,
                self._encode_program(ops, len(prompt.token_ids)),
                line_ends=ends,
                line_removed=gone if ends else (),
                uniform=len(set(gone)) == 1 and all(op.op is not OpName.NORMALIZE for op in ops),
            )

    def _encode_program(self, ops: list[Operation], n_prompt: int) -> list[int]:
        """Encode as many of the operations as fit the limits of inference."""
        card = self.prompts.card
        limit = min(card.chunk.max_answer_tokens, card.context_tokens - n_prompt)
        answer = self._encode_answer(print_program(ops))
        while len(answer) > limit and len(ops) > 1:
            ops = ops[:-1]
            answer = self._encode_answer(print_program(ops))
        return answer

    def _find_line_ends(self, prompt_ids: Sequence[int], n_lines: int) -> Sequence[int]:
        """Find the line breaks behind the chunk's lines; none where a break is not one token of its own."""
        newline = self.prompts.tokenizer.encode("\n", add_special_tokens=False).ids
        template = self.prompts.card.template("chunk")
        before, after = (part.count("\n") for part in template.split("{text}"))
        if len(newline) != 1 or not after:
            return ()
        breaks = [position for position, token in enumerate(prompt_ids) if token == newline[0]]
        return breaks[before : before + n_lines] if len(breaks) == before + n_lines - 1 + after else ()


def restrict_program(ops: Iterable[Operation], chunk: Chunk) -> list[Operation]:
    """Return the part of a text's program that one chunk can see; `keep_chunk()` where there is none.

    Ranges are cut to the chunk. A replacement stays if its string stands in a line that stays, as the prompt shows it.
    """
    removals, replacements, gone = [], [], set[int]()
    for op in ops:
        if op.op is OpName.NORMALIZE:
            replacements.append(op)
        elif taken := clip_removal(op, range(chunk.line_start, chunk.line_end + 1)):
            removals.append(Operation(OpName.REMOVE_LINES, taken.start, taken.stop - 1))
            gone.update(taken)
    shown = chunk.text.split("\n")
    staying = [line.partition("]")[2] for number, line in enumerate(shown, chunk.line_start) if number not in gone]
    visible = [op for op in replacements if op.source_str and any(op.source_str in line for line in staying)]
    return [*removals, *visible] or [Operation(OpName.KEEP_CHUNK)]
