"""From labels to training examples, in the exact prompts that inference uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prox_spark.chunking import Chunk
from prox_spark.labels import Label, clip_removal, estimate_verdict_doubt, is_worth_keeping
from prox_spark.programs import Operation, OpName, print_program
from prox_spark.prompts import PromptBuilder
from prox_spark.refiners.card import ChunkTask, DocTask, Stage


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and the answer to learn.

    Attributes:
        stage: doc or chunk.
        label_set: where it is from.
        prompt_ids: token ids, BOS included where the model has one.
        answer_ids: token ids of the answer, with the token that ends it.
        keep: of the document stage: the verdict; None in the chunk stage.
        line_ends: positions in the prompt of the tokens that end its lines; empty where lines can't be told by tokens.
        line_removed: for each of them, whether the line goes.
        uniform: of the chunk stage: its lines all stay or all go, and nothing in them is replaced.
        doubt: of the document stage: probability that the verdict should be the other one.
        other_id: first token of that one's answer.
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
        """Prompt and answer together."""
        return len(self.prompt_ids) + len(self.answer_ids)


@dataclass(frozen=True)
class ExampleBuilder:
    """Builds the examples of one stage.

    Args:
        prompts: as inference builds them.
        end_id: the token that ends an answer.
        score_noise: how doubtful verdicts are that follow from a teacher's scores, see `estimate_verdict_doubt`.
    """

    prompts: PromptBuilder
    end_id: int
    score_noise: float = 0.0

    def examples(self, labels: Iterable[Label]) -> Iterator[Example]:
        """All examples of the labels that say something for this stage; prompts that inference would skip are skipped."""
        for label in labels:
            yield from self._of_document(label) if self.prompts.stage == "doc" else self._of_chunks(label)

    def _of_document(self, label: Label) -> Iterator[Example]:
        if label.keep is None:
            return
        task = self.prompts.card.task("doc")
        assert isinstance(task, DocTask)
        answer, other = map(self._answer, (task.keep, task.drop) if label.keep else (task.drop, task.keep))
        for prompt in self.prompts.prompts(label.text):
            if prompt.token_ids:
                yield Example(
                    "doc",
                    label.label_set,
                    prompt.token_ids,
                    answer,
                    keep=label.keep,
                    doubt=self._doubt(label),
                    other_id=other[0],
                )

    def _doubt(self, label: Label) -> float:
        if label.edu is None or label.format is None or is_worth_keeping(label.edu, label.format) != label.keep:
            return 0.0
        return estimate_verdict_doubt(label.edu, label.format, self.score_noise)

    def _of_chunks(self, label: Label) -> Iterator[Example]:
        if label.ops is None or not label.text.split():
            return
        removed = label.removed_lines
        for chunk in self.prompts.chunks(label.text, label.first_line):
            prompt = self.prompts.chunk_prompt(chunk)
            if not prompt.token_ids:
                continue
            gone = [number in removed for number in range(chunk.line_start, chunk.line_end + 1)]
            ends = self._line_ends(prompt.token_ids, len(gone))
            ops = chunk_program(label.ops, chunk)
            yield Example(
                "chunk",
                label.label_set,
                prompt.token_ids,
                self._program(ops, len(prompt.token_ids)),
                line_ends=ends,
                line_removed=gone if ends else (),
                uniform=len(set(gone)) == 1 and all(op.op is not OpName.NORMALIZE for op in ops),
            )

    def _program(self, ops: list[Operation], n_prompt: int) -> list[int]:
        """As many of the operations as the limits of inference let the model say."""
        card, task = self.prompts.card, self.prompts.card.task("chunk")
        assert isinstance(task, ChunkTask)
        limit = min(task.max_answer_tokens, card.context_tokens - n_prompt)
        answer = self._answer(print_program(ops))
        while len(answer) > limit and len(ops) > 1:
            ops = ops[:-1]
            answer = self._answer(print_program(ops))
        return answer

    def _answer(self, text: str) -> list[int]:
        return [*self.prompts.tokenizer.encode(text, add_special_tokens=False).ids, self.end_id]

    def _line_ends(self, prompt_ids: Sequence[int], n_lines: int) -> Sequence[int]:
        """Positions of the line breaks behind the chunk's lines, where each is a token of its own."""
        newline = self.prompts.tokenizer.encode("\n", add_special_tokens=False).ids
        template = self.prompts.card.template("chunk")
        before, after = (part.count("\n") for part in template.split("{text}"))
        if len(newline) != 1 or not after:
            return ()
        breaks = [position for position, token in enumerate(prompt_ids) if token == newline[0]]
        return breaks[before : before + n_lines] if len(breaks) == before + n_lines - 1 + after else ()


def chunk_program(ops: Iterable[Operation], chunk: Chunk) -> list[Operation]:
    """The part of a text's program that one chunk can see; `keep_chunk()` where there is none.

    Ranges are cut to the chunk. Replacements are those whose string stands in a line that stays, as the prompt shows it.
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
