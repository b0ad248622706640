"""From a document to the token ids that a refiner reads. One module for inference and training, so they can't differ.

Pure: needs the tokenizers library only, no Spark and no model.
"""

from __future__ import annotations

import hashlib
import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

from tokenizers import Tokenizer

from prox_spark.chunking import Chunk, number_line, pack_counted
from prox_spark.errors import ReasonCode, RefinerError
from prox_spark.fingerprint import fingerprint
from prox_spark.refiners.card import RefinerCard, Stage

# Room for either answer and a little more; those of the released refiners have five or six tokens.
_FREE_VERDICT_TOKENS = 12


@dataclass(frozen=True)
class Prompt:
    """One request to the model.

    Attributes:
        key: the generation_key; equal for equal prompts under equal models and sampling.
        token_ids: the exact prompt, BOS included where the model has one; empty when skipped.
        chunk_index, line_start, line_end: the lines that it is about, both ends included; None in the document stage.
        skip_reason: why it is not sent; None when it is sent.
    """

    key: str
    token_ids: list[int]
    chunk_index: int | None = None
    line_start: int | None = None
    line_end: int | None = None
    skip_reason: ReasonCode | None = None


@dataclass(frozen=True)
class PromptBuilder(ABC):
    """Turns texts into the prompts of one stage of one model. Picklable: travels to executors as it is.

    Args:
        card: the model's card.
        model_fingerprint: fingerprint of the weights.
        tokenizer_json: contents of tokenizer.json.
        question: name under which generations are stored, for a question of `annotate`; None for a stage of a refiner.
    """

    card: RefinerCard
    model_fingerprint: str
    tokenizer_json: str
    question: str | None = field(default=None, kw_only=True)

    stage: ClassVar[Stage]

    @property
    @abstractmethod
    def request_parameters(self) -> dict[str, Any]:
        """Body of a completions request without model and prompt.

        Source: vLLM 0.32, entrypoints/openai/completion/protocol.py.
        """

    def build_prompts(self, text: str, first_line: int = 0) -> list[Prompt]:
        """Build the prompts of a text: one in the document stage, one per chunk in the chunk stage, none without words.

        Args:
            text: a document; in training and evaluation also a part of one.
            first_line: number of its first line.
        """
        return self._build_prompts(text, first_line) if text.split() else []

    @abstractmethod
    def _build_prompts(self, text: str, first_line: int) -> list[Prompt]: ...

    @abstractmethod
    def without_constraints(self) -> Self:
        """Return a builder of the same prompts whose answers may be any text."""

    @property
    def name(self) -> str:
        """The `stage` under which its generations are stored."""
        return self.question or self.stage

    @property
    def sampling(self) -> str:
        """The sampling parameters as JSON."""
        return json.dumps(self.request_parameters, sort_keys=True)

    @cached_property
    def prompt_fingerprint(self) -> str:
        """SHA-256 over template, limits, answer words and packing."""
        return fingerprint(self.card.prompt_fingerprint(self.stage), None)

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, parsed once per process. A special token spelt in a page is read as letters."""
        return _load_tokenizer(self.tokenizer_json, literal=True)

    @cached_property
    def frame_tokens(self) -> int:
        """Tokens of a prompt around its text."""
        return len(self._encode_prompt(""))

    def _make_prompt(self, text: str, lines: tuple[int | None, int | None, int | None] = (None, None, None)) -> Prompt:
        token_ids = self._encode_prompt(text)
        n_tokens = len(token_ids) + self.request_parameters["max_tokens"]
        skip = ReasonCode.PROMPT_TOO_LONG if n_tokens > self.card.context_tokens else None
        return Prompt(self._hash_key(token_ids), [] if skip else token_ids, *lines, skip_reason=skip)

    def _encode_prompt(self, text: str) -> list[int]:
        template = self.card.template(self.stage)
        special = [token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special]
        if not any(token in template for token in special):
            prompt = template.replace("{text}", text)
            return [*self._bos_ids, *self.tokenizer.encode(prompt, add_special_tokens=False).ids]
        # A chat format made of special tokens: they count as such in the template, but not in a page.
        parser = _load_tokenizer(self.tokenizer_json, literal=False)
        before, after = (parser.encode(part, add_special_tokens=False).ids for part in template.split("{text}"))
        return [*self._bos_ids, *before, *self.tokenizer.encode(text, add_special_tokens=False).ids, *after]

    def _cut(self, text: str, n_tokens: int) -> str:
        """Return the text up to the end of its n-th token."""
        # Most often enough, so that a long document is not tokenised whole for its first lines.
        head = text[: 16 * n_tokens]
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

    def _hash_key(self, token_ids: Sequence[int]) -> str:
        digest = hashlib.sha256(self._key_prefix)
        digest.update(struct.pack(f"<{len(token_ids)}I", *token_ids))
        return digest.hexdigest()

    @cached_property
    def _key_prefix(self) -> bytes:
        return fingerprint(self.name, self.model_fingerprint, self.prompt_fingerprint, self.sampling).encode()


@dataclass(frozen=True)
class DocumentPrompts(PromptBuilder):
    """Builds one prompt per document, from the beginning of its text."""

    stage: ClassVar[Stage] = "doc"

    def _build_prompts(self, text: str, first_line: int) -> list[Prompt]:
        return [self._make_prompt(self._cut(text, self.card.doc.max_text_tokens))]


@dataclass(frozen=True)
class VerdictPrompts(DocumentPrompts):
    """Builds the prompts of the document stage.

    Args:
        is_free: let the model write any text instead of one of its two answers.
    """

    is_free: bool = False

    @cached_property
    def request_parameters(self) -> dict[str, Any]:
        """Body of a completions request without model and prompt: greedy, one token out of two."""
        if self.is_free:
            return {"temperature": 0, "max_tokens": _FREE_VERDICT_TOKENS}
        # The answers differ in their first token, so its two probabilities hold everything.
        ids = list(self.verdict_token_ids)
        wanted = {"logprobs": 2, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        return {"temperature": 0, "max_tokens": 1, "allowed_token_ids": ids, **wanted}

    @cached_property
    def verdict_token_ids(self) -> tuple[int, int]:
        """First tokens of the keep and the drop answer.

        Raises:
            RefinerError: they are the same token.
        """
        task = self.card.doc
        keep, drop = (self.tokenizer.encode(word, add_special_tokens=False).ids[0] for word in (task.keep, task.drop))
        if keep == drop:
            raise RefinerError(
                f"refiner {self.card.name}: the answers {task.keep!r} and {task.drop!r} begin with the same token"
            )
        return keep, drop

    def without_constraints(self) -> Self:
        """Return a builder of the same prompts whose answers may be any text."""
        return replace(self, is_free=True)


@dataclass(frozen=True)
class ChunkPrompts(PromptBuilder):
    """Builds the prompts of the chunk stage, one per chunk of numbered lines.

    Args:
        grammar: grammar that answers are decoded under; part of the sampling.
        packing: strict or reference, see GenerationConfig.
    """

    grammar: str | None = None
    packing: str = "strict"

    stage: ClassVar[Stage] = "chunk"

    @cached_property
    def prompt_fingerprint(self) -> str:
        """SHA-256 over template, limits, answer words and packing."""
        return fingerprint(self.card.prompt_fingerprint(self.stage), self.packing)

    @cached_property
    def request_parameters(self) -> dict[str, Any]:
        """Body of a completions request without model and prompt: greedy, a program."""
        parameters: dict[str, Any] = {"temperature": 0, "max_tokens": self.card.chunk.max_answer_tokens}
        if self.grammar:
            parameters["structured_outputs"] = {"grammar": self.grammar}
        return parameters

    def _build_prompts(self, text: str, first_line: int) -> list[Prompt]:
        return [self.build_prompt(chunk) for chunk in self.pack_chunks(text, first_line)]

    def build_prompt(self, chunk: Chunk) -> Prompt:
        """Build the prompt of a chunk from `pack_chunks`."""
        return self._make_prompt(chunk.text, (chunk.index, chunk.line_start, chunk.line_end))

    def pack_chunks(self, text: str, first_line: int = 0) -> list[Chunk]:
        """Pack the lines of a text into the chunks that the refiner reads, with lines too long for a prompt cut."""
        task = self.card.chunk
        numbered = [number_line(number, line) for number, line in enumerate(text.split("\n"), first_line)]
        if self.packing == "reference":
            # The authors count special tokens too.
            tokenizer = _load_tokenizer(self.tokenizer_json, literal=False)
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
            chunks = [piece for chunk in packed for piece in self._halve_to_fit(chunk, counts)]
        return [
            replace(c, index=index, line_start=first_line + c.line_start, line_end=first_line + c.line_end)
            for index, c in enumerate(chunks)
        ]

    def without_constraints(self) -> Self:
        """Return a builder of the same prompts whose answers may be any text."""
        return replace(self, grammar=None)

    def _halve_to_fit(self, chunk: Chunk, counts: Sequence[int]) -> list[Chunk]:
        """Halve a chunk until it fits the context: its budget covers the lines, but not the breaks between them."""
        n_lines = chunk.line_end - chunk.line_start + 1
        at_most = chunk.n_tokens + n_lines + self.frame_tokens
        room = self.card.context_tokens - self.card.chunk.max_answer_tokens
        if n_lines == 1 or at_most <= room or len(self._encode_prompt(chunk.text)) <= room:
            return [chunk]
        lines, half = chunk.text.split("\n"), n_lines // 2
        middle = chunk.line_start + half
        first = replace(
            chunk, line_end=middle - 1, text="\n".join(lines[:half]), n_tokens=sum(counts[chunk.line_start : middle])
        )
        second = replace(
            chunk, line_start=middle, text="\n".join(lines[half:]), n_tokens=chunk.n_tokens - first.n_tokens
        )
        return [*self._halve_to_fit(first, counts), *self._halve_to_fit(second, counts)]


@lru_cache(maxsize=4)
def _load_tokenizer(tokenizer_json: str, literal: bool) -> Tokenizer:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = literal
    return tokenizer
