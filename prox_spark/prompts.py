"""From a document to the token ids that a refiner reads. One module for inference and training, so that they can't differ.

Pure: needs the tokenizers library only, no Spark and no model.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from tokenizers import Tokenizer

from prox_spark.chunking import Chunk, number_line, pack_counted
from prox_spark.errors import ReasonCode, RefinerError
from prox_spark.fingerprint import fingerprint
from prox_spark.refiners.card import ChunkTask, DocTask, RefinerCard, Stage

# Either answer with some room; the released ones have five or six tokens.
_FREE_VERDICT_TOKENS = 12


@dataclass(frozen=True)
class Prompt:
    """One request to the model.

    Attributes:
        key: the generation_key; equal for equal prompts under equal models and sampling.
        token_ids: the exact prompt, BOS included where the model has one; empty when skipped.
        chunk_index, line_start, line_end: which lines it is about, end included; None in the document stage.
        skip_reason: why it is not sent; None when it is.
    """

    key: str
    token_ids: list[int]
    chunk_index: int | None = None
    line_start: int | None = None
    line_end: int | None = None
    skip_reason: ReasonCode | None = None


@dataclass(frozen=True)
class PromptBuilder:
    """Builds the prompts of one stage of one refiner. Picklable: travels to executors as it is.

    Args:
        card: the refiner's card.
        stage: doc or chunk.
        model_fingerprint: of the weights.
        tokenizer_json: contents of tokenizer.json.
        grammar: a grammar that answers are decoded under; part of the sampling.
        packing: strict or reference, see GenerationConfig.
        free_verdict: document stage: let the model write what it likes instead of one of its two answers.
    """

    card: RefinerCard
    stage: Stage
    model_fingerprint: str
    tokenizer_json: str
    grammar: str | None = None
    packing: str = "strict"
    free_verdict: bool = False

    @property
    def tokenizer(self) -> Tokenizer:
        """The refiner's tokenizer, parsed once per process. A page that spells a special token gets its letters, not the token."""
        return _tokenizer(self.tokenizer_json, literal=True)

    @property
    def name(self) -> str:
        """Under which `stage` its generations are stored."""
        return self.stage

    @property
    def sampling(self) -> str:
        """Sampling parameters as JSON: greedy, one token for a verdict, a program otherwise."""
        return json.dumps(self.request_parameters, sort_keys=True)

    @cached_property
    def request_parameters(self) -> dict[str, Any]:
        """Body of a completions request, but for model and prompt.

        Source: vLLM 0.32, entrypoints/openai/completion/protocol.py.
        """
        if self.free_verdict:
            return {"temperature": 0, "max_tokens": _FREE_VERDICT_TOKENS}
        if self.stage == "doc":
            # Both answers differ in their first token: its two probabilities are all there is to know.
            ids = list(self.verdict_token_ids)
            wanted = {"logprobs": 2, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
            return {"temperature": 0, "max_tokens": 1, "allowed_token_ids": ids, **wanted}
        parameters: dict[str, Any] = {"temperature": 0, "max_tokens": self._chunk_task.max_answer_tokens}
        if self.grammar:
            parameters["structured_outputs"] = {"grammar": self.grammar}
        return parameters

    @cached_property
    def verdict_token_ids(self) -> tuple[int, int]:
        """First tokens of the keep and the drop answer.

        Raises:
            RefinerError: they are the same token.
        """
        task = self.card.task("doc")
        assert isinstance(task, DocTask)
        keep, drop = (self.tokenizer.encode(word, add_special_tokens=False).ids[0] for word in (task.keep, task.drop))
        if keep == drop:
            raise RefinerError(
                f"refiner {self.card.name}: the answers {task.keep!r} and {task.drop!r} begin with the same token"
            )
        return keep, drop

    @cached_property
    def prompt_fingerprint(self) -> str:
        """SHA-256 over template, limits, answer words and packing."""
        return fingerprint(self.card.prompt_fingerprint(self.stage), self.packing if self.stage == "chunk" else None)

    def prompts(self, text: str, first_line: int = 0) -> list[Prompt]:
        """The prompts of a text: one in the document stage, one per chunk in the chunk stage; none for a text without words.

        Args:
            text: a document; in training and evaluation also a part of one.
            first_line: number of its first line.
        """
        if not text.split():
            return []
        return (
            [self._verdict_prompt(text)]
            if self.stage == "doc"
            else [self.chunk_prompt(chunk) for chunk in self.chunks(text, first_line)]
        )

    def chunks(self, text: str, first_line: int = 0) -> list[Chunk]:
        """Packs the lines of a text into the chunks the refiner reads; lines too long for a prompt are cut in it."""
        task = self._chunk_task
        numbered = [number_line(number, line) for number, line in enumerate(text.split("\n"), first_line)]
        if self.packing == "reference":
            tokenizer = _tokenizer(self.tokenizer_json, literal=False)  # special tokens and all, as the authors count
            counts = [len(tokenizer.encode(line).ids) for line in numbered]
            chunks = pack_counted(numbered, counts, task.max_chunk_tokens)
        else:
            encodings = self.tokenizer.encode_batch_fast(numbered, add_special_tokens=False)
            counts = [len(encoding.ids) for encoding in encodings]
            if task.max_line_tokens:
                for index, count in enumerate(counts):
                    if count > task.max_line_tokens:
                        numbered[index] = self._cut(numbered[index], task.max_line_tokens)
                        counts[index] = task.max_line_tokens
            packed = pack_counted(numbered, counts, task.max_chunk_tokens)
            chunks = [piece for chunk in packed for piece in self._fitting(chunk, counts)]
        return [
            replace(c, index=index, line_start=first_line + c.line_start, line_end=first_line + c.line_end)
            for index, c in enumerate(chunks)
        ]

    def _fitting(self, chunk: Chunk, counts: Sequence[int]) -> list[Chunk]:
        """Halves a chunk until it fits the context: its budget knows the lines, not the breaks between them."""
        n_lines = chunk.line_end - chunk.line_start + 1
        at_most = chunk.n_tokens + n_lines + self.frame_tokens
        room = self.card.context_tokens - self._chunk_task.max_answer_tokens
        if n_lines == 1 or at_most <= room or len(self._token_ids(chunk.text)) <= room:
            return [chunk]
        lines, half = chunk.text.split("\n"), n_lines // 2
        middle = chunk.line_start + half
        first = replace(
            chunk, line_end=middle - 1, text="\n".join(lines[:half]), n_tokens=sum(counts[chunk.line_start : middle])
        )
        second = replace(
            chunk, line_start=middle, text="\n".join(lines[half:]), n_tokens=chunk.n_tokens - first.n_tokens
        )
        return [*self._fitting(first, counts), *self._fitting(second, counts)]

    @cached_property
    def frame_tokens(self) -> int:
        """Tokens of a prompt around its text."""
        return len(self._token_ids(""))

    @property
    def _chunk_task(self) -> ChunkTask:
        task = self.card.task("chunk")
        assert isinstance(task, ChunkTask)
        return task

    def _verdict_prompt(self, text: str) -> Prompt:
        task = self.card.task("doc")
        assert isinstance(task, DocTask)
        return self._prompt(self._cut(text, task.max_text_tokens))

    def chunk_prompt(self, chunk: Chunk) -> Prompt:
        """The prompt of one of a text's `chunks`."""
        return self._prompt(chunk.text, (chunk.index, chunk.line_start, chunk.line_end))

    def _prompt(self, text: str, lines: tuple[int | None, int | None, int | None] = (None, None, None)) -> Prompt:
        token_ids = self._token_ids(text)
        n_tokens = len(token_ids) + self.request_parameters["max_tokens"]
        skip = ReasonCode.PROMPT_TOO_LONG if n_tokens > self.card.context_tokens else None
        return Prompt(self._key(token_ids), [] if skip else token_ids, *lines, skip_reason=skip)

    def _token_ids(self, text: str) -> list[int]:
        template = self.card.template(self.stage)
        special = [token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special]
        if not any(token in template for token in special):
            prompt = template.replace("{text}", text)
            return [*self._bos_ids, *self.tokenizer.encode(prompt, add_special_tokens=False).ids]
        # A chat format made of special tokens: those of the template count as such, those that a page spells do not.
        parser = _tokenizer(self.tokenizer_json, literal=False)
        before, after = (parser.encode(part, add_special_tokens=False).ids for part in template.split("{text}"))
        return [*self._bos_ids, *before, *self.tokenizer.encode(text, add_special_tokens=False).ids, *after]

    def _cut(self, text: str, n_tokens: int) -> str:
        """The text up to the end of its n-th token."""
        head = text[
            : 16 * n_tokens
        ]  # most often enough, and a long document is not tokenised whole for its first lines
        encoding = self.tokenizer.encode(head, add_special_tokens=False)
        if len(encoding.ids) <= n_tokens and len(head) < len(text):
            head, encoding = text, self.tokenizer.encode(text, add_special_tokens=False)
        return head if len(encoding.ids) <= n_tokens else head[: encoding.offsets[n_tokens - 1][1]]

    @cached_property
    def _bos_ids(self) -> list[int]:
        if self.card.bos is None:
            return []
        token_id = self.tokenizer.token_to_id(self.card.bos)
        if token_id is None:
            raise RefinerError(
                f"refiner {self.card.name}: its card says bos {self.card.bos!r}, its tokenizer has no such token"
            )
        return [token_id]

    def _key(self, token_ids: Sequence[int]) -> str:
        digest = hashlib.sha256(self._key_prefix)
        digest.update(struct.pack(f"<{len(token_ids)}I", *token_ids))
        return digest.hexdigest()

    @cached_property
    def _key_prefix(self) -> bytes:
        return fingerprint(self.name, self.model_fingerprint, self.prompt_fingerprint, self.sampling).encode()


@lru_cache(maxsize=4)
def _tokenizer(tokenizer_json: str, literal: bool) -> Tokenizer:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = literal
    return tokenizer
