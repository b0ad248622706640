"""The recipe of `prox-spark adapt`: one YAML file makes one refiner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from prox_spark.config import RecipeFile, Section
from prox_spark.refiners.card import Stage


class LabelSource(Section):
    """A set of labels to train on."""

    path: str = Field(
        description="JSON Lines (.gz), or a Delta table of labels; `lake/labels#mine` is the set `mine` in a table."
    )
    stages: list[Stage] = Field(["doc", "chunk"], description="What to learn from it, where it says both.")
    uniform: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Chunk stage: share of those chunks that is kept whose lines all stay or all go, with nothing replaced in them. Below 1 a "
        "refiner learns more about where content ends within a chunk.",
    )
    share: float = Field(
        1.0,
        gt=0,
        description="How many prompt tokens of it there are for each of a source with share 1. Sources are repeated, each time in another order.",
    )
    card: dict[str, Any] = Field(
        default_factory=dict,
        description="Changes to training_card for its examples. A set that is named several times, with chunks of other sizes "
        "(`stages: [chunk]`, `card: {tasks: {chunk: {max_chunk_tokens: 350}}}`), shows each line in other surroundings: more to learn "
        "from the same labels.",
    )


class StartConfig(Section):
    """What training starts from."""

    refiner: str = Field(
        "web-135m", description="Its card gives the base, the prompts and the limits; a name, a directory or a hub id."
    )
    adapter: bool = Field(
        False,
        description="Go on from its adapter; then its rank, alpha and layers count, not those of lora. Otherwise from the base.",
    )
    share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Of the weights it starts from in those that result, so that what is learnt costs less of what was known: 0.5 is the "
        "mean of before and after. Needs an adapter to go on from, or lora: null.",
    )


class LoraConfig(Section):
    """The low-rank adapter. Without this section all weights are trained."""

    rank: int = Field(
        16, ge=1, description="Rank of the update. Size of the adapter and risk of overfitting grow with it."
    )
    alpha: float = Field(32.0, gt=0, description="Scale: the update is multiplied by alpha / rank.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Of the adapter's inputs. Useful where data is read several times."
    )
    targets: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        description="Names of the linear layers that are adapted.",
    )
    first_layer: int = Field(
        0, ge=0, description="Layers below it stay as they are: no gradient flows through them, which saves time."
    )


class OptimiserConfig(Section):
    """How long and how fast."""

    steps: int = Field(500, ge=1, description="Updates of the weights.")
    tokens_per_step: int = Field(2800, ge=1, description="Prompt and answer tokens of a batch, padding included.")
    accumulate: int = Field(
        1, ge=1, description="Batches per step, where one batch of that size does not fit the memory."
    )
    learning_rate: float = Field(
        5e-4, gt=0, description="Highest rate; it rises to it and falls as a cosine. Full training wants a tenth."
    )
    warmup_steps: int = Field(20, ge=0, description="Steps of the rise.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to it.")
    verdict_weight: float = Field(
        4.0,
        ge=0,
        description="Weight of the deciding token of the document stage; every other token of an answer has weight 1.",
    )
    score_noise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that each of a teacher's two scores is one off. Above 0 the document stage learns from a verdict near the "
        "rubric's border as from a doubtful one.",
    )
    line_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of a second loss that asks at the end of every line whether it goes. Its read-out is thrown away; with few "
        "labels it teaches lines faster than the sparse tokens of programs.",
    )
    seed: int = Field(0, ge=0, description="Of the order of the data and the adapter's first weights.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="auto: bfloat16 where the GPU or CPU computes with it, else float32."
    )


class CheckpointConfig(Section):
    """Evaluation on the way, and what is kept of it."""

    every_steps: int = Field(100, ge=1, description="Between two evaluations; each leaves a checkpoint to go on from.")
    validation: list[str] = Field(
        default_factory=list,
        description="Labels that are not trained on, places like those of `labels`. Without any, the last checkpoint is taken.",
    )
    validation_examples: int = Field(120, ge=1, description="At most so many of each file and stage, chosen once.")
    keep: int = Field(
        2, ge=2, description="Checkpoints on disk, one more than `average` at least; the best is one of them."
    )
    average: int = Field(
        1,
        ge=1,
        description="Average the weights of the last so many checkpoints; the better of that and the best one is taken, by validation.",
    )


class AdaptRecipe(RecipeFile):
    """How a refiner is made."""

    explained_by: ClassVar[str] = "prox-spark adapt --fields"

    name: str = Field(pattern=r"^[\w.-]+$", description="Of the refiner that results, for recipes.")
    description: str = Field("", description="For its card.")
    licence: str | None = Field(None, description="SPDX expression for its card. Unset: that of the start.")
    attribution: str = Field("", description="Sources and licences of the training data, for its card; Markdown.")
    start: StartConfig = Field(default_factory=StartConfig, description="What training starts from.")
    card: dict[str, Any] = Field(
        default_factory=dict,
        description="Changes to the card of the start: `tasks: {chunk: {max_line_tokens: 96}}`. Training and serving read the same card, but for training_card.",
    )
    training_card: dict[str, Any] = Field(
        default_factory=dict,
        description="Further changes that hold for the training examples only, such as longer chunks to learn from than are served.",
    )
    labels: list[LabelSource] = Field(min_length=1, description="What is trained on.")
    lora: LoraConfig | None = Field(default_factory=LoraConfig, description="The adapter; null: train all weights.")
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig, description="How long and how fast.")
    checkpoints: CheckpointConfig = Field(default_factory=CheckpointConfig, description="Evaluation on the way.")

    @property
    def places(self) -> list[str]:
        """Where its labels are: to train on and to validate on, each once."""
        return list(dict.fromkeys([*(source.path for source in self.labels), *self.checkpoints.validation]))

    def with_places(self, renamed: Callable[[str], str]) -> AdaptRecipe:
        """The recipe with other places of its labels."""
        labels = [source.model_copy(update={"path": renamed(source.path)}) for source in self.labels]
        checkpoints = self.checkpoints.model_copy(update={"validation": [*map(renamed, self.checkpoints.validation)]})
        return self.model_copy(update={"labels": labels, "checkpoints": checkpoints})

    @model_validator(mode="after")
    def _consistent(self) -> AdaptRecipe:
        if self.start.adapter and self.lora is None:
            raise ValueError(
                "lora: null trains all weights, and start.adapter goes on from an adapter: set one of them"
            )
        if self.start.share and self.lora and not self.start.adapter:
            raise ValueError("start.share needs weights that are trained on: set start.adapter, or lora: null")
        if self.checkpoints.average > 1 and not self.checkpoints.validation:
            raise ValueError("checkpoints.average is judged by validation: name labels in checkpoints.validation")
        return self
