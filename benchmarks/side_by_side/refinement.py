"""The work of every way around the model: prompts of a document, and the results of their answers.

It runs in the environments of all ways, so it needs neither Spark nor vLLM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prox_spark.programs import ChunkProgram, DocumentStatus, execute_chunks, parse
from prox_spark.prompts import ChunkPrompts, Prompt, VerdictPrompts
from prox_spark.refiners.card import RefinerCard


class Refinement:
    """Both stages of one refiner.

    Args:
        job: the job of a way, see `jobs.job_of`.

    Attributes:
        doc, chunk: builders of the stages' prompts.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        card = RefinerCard.model_validate_json(job["card"])
        tokenizer = (Path(job["model"]) / "tokenizer.json").read_text(encoding="utf-8")
        self.doc = VerdictPrompts(card, job["fingerprint"], tokenizer)
        self.chunk = ChunkPrompts(card, job["fingerprint"], tokenizer)

    def doc_prompt(self, text: str) -> list[int]:
        """Return the token ids of the document stage's prompt."""
        [prompt] = self.doc.build_prompts(text)
        return prompt.token_ids

    @property
    def doc_request(self) -> dict[str, Any]:
        """Parameters of the request if only the answer's text comes back: one of the two answers' first tokens."""
        told = ("logprobs", "logprob_token_ids", "return_tokens_as_token_ids")
        return {name: value for name, value in self.doc.request_parameters.items() if name not in told}

    def drops(self, answer: str) -> bool:
        """Return True if the answer, a first token, drops: it is then at least as probable as keeping."""
        _, drop = self.doc.verdict_token_ids
        return answer.strip() == self.doc.tokenizer.decode([drop]).strip()

    def chunk_prompts(self, text: str) -> list[Prompt]:
        """Return the prompts of the chunk stage; none is too long, since the builder halves chunks."""
        return [prompt for prompt in self.chunk.build_prompts(text) if not prompt.skip_reason]

    def outcome(self, text: str, prompts: Sequence[Prompt], answers: Sequence[str]) -> dict[str, str]:
        """Return the status and text of a kept document.

        Args:
            text: the document.
            prompts: prompts of its chunks.
            answers: answers to the prompts.
        """
        chunks = []
        for prompt, answer in zip(prompts, answers, strict=True):
            index, start, end = prompt.chunk_index, prompt.line_start, prompt.line_end
            assert index is not None and start is not None and end is not None, "a prompt of the chunk stage"
            chunks.append(ChunkProgram(index, start, end, parse(answer, range(start, end + 1))))
        done = execute_chunks(text, chunks)
        return {"status": str(done.status), "text": done.text}


DROPPED = {"status": str(DocumentStatus.DROPPED_DOC), "text": ""}


def documents(path: str | Path) -> list[dict[str, str]]:
    """Read all rows of a JSON Lines file of `id` and `text`."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_outcomes(folder: str | Path, rows: Iterator[dict[str, str]]) -> None:
    """Write the results of documents: rows of `id`, `status` and `text`."""
    with (Path(folder) / "outcomes.jsonl").open("w", encoding="utf-8") as out:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), file=out)
