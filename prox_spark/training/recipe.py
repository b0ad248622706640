"""The recipe of `prox-spark adapt`: one YAML file, one refiner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from prox_spark.config import RecipeFile, Section
from prox_spark.refiners.card import Stage


class LabelSource(Section):
    """A source of labels to train on."""

    path: str = Field(
        description="JSON Lines (.gz), or a Delta table of labels; `lake/labels#mine` is the set `mine` in a table."
    )
    stages: list[Stage] = Field(["doc", "chunk"], description="Stages to learn from this source.")
    uniform: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Chunk stage: share that is kept of the uniform chunks, those whose lines all stay or are all removed, with nothing replaced "
        "in them. Below 1 a refiner learns more about where content ends within a chunk.",
    )
    share: float = Field(
        1.0,
        gt=0,
        description="Tokens drawn from this source per token of a source with share 1. A source that runs out is repeated in another order.",
    )
    card: dict[str, Any] = Field(
        default_factory=dict,
        description="Changes to training_card for the examples of this source. Name a set several times with chunks of other sizes "
        "(`stages: [chunk]`, `card: {tasks: {chunk: {max_chunk_tokens: 350}}}`) to show each line in other surroundings: the same labels "
        "then teach more.",
    )


class StartConfig(Section):
    """Start of the training."""

    refiner: str = Field(
        "web-135m",
        description="Refiner to start from: a name, a directory or a hub id. Its card gives the base, the prompts and the limits.",
    )
    adapter: bool = Field(
        False,
        description="Continue from the adapter of start.refiner, with its rank, alpha and layers instead of those in lora. `false`: start from the "
        "base.",
    )
    share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Weight of the starting parameters when they are averaged with the trained ones, which limits forgetting (0.5: plain mean). "
        "Needs start.adapter: true, or lora: null.",
    )


class LoraConfig(Section):
    """The low-rank adapter. `lora: null` trains all weights instead."""

    rank: int = Field(
        16, ge=1, description="Rank of the update. The adapter's size and the risk of overfitting grow with it."
    )
    alpha: float = Field(32.0, gt=0, description="Scale of the update, which is multiplied by alpha / rank.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout of the adapter's inputs. Useful if the data is read several times."
    )
    targets: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        description="Names of the linear layers to adapt.",
    )
    first_layer: int = Field(
        0,
        ge=0,
        description="Lowest layer to train. Those below stay as they are and need no gradients, which saves time.",
    )


class OptimiserConfig(Section):
    """Length and speed of the training, and the weights in its loss."""

    steps: int = Field(500, ge=1, description="Number of updates of the weights.")
    tokens_per_step: int = Field(2800, ge=1, description="Prompt and answer tokens of a batch, including padding.")
    accumulate: int = Field(
        1, ge=1, description="Batches per step. Raise it and lower tokens_per_step if a batch does not fit into memory."
    )
    learning_rate: float = Field(
        5e-4,
        gt=0,
        description="Highest learning rate. The rate rises to it linearly and then falls as a cosine. Training all weights needs about a "
        "tenth.",
    )
    warmup_steps: int = Field(20, ge=0, description="Steps in which the learning rate rises.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay of AdamW.")
    max_grad_norm: float = Field(1.0, gt=0, description="Norm to which gradients are clipped.")
    verdict_weight: float = Field(
        4.0,
        ge=0,
        description="Loss weight of the deciding token in the document stage; every other token of an answer has weight 1.",
    )
    score_noise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that each of a teacher's two scores is off by one. Above 0 the document stage treats verdicts near the border of "
        "the rubric as doubtful.",
    )
    line_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of a second loss: at the end of every line the model predicts whether the line is removed. Nothing of this is used in "
        "serving; with few labels it teaches faster than the few tokens of programs.",
    )
    seed: int = Field(0, ge=0, description="Seed of the order of the data and of the adapter's first weights.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Number format to compute in. `auto`: bfloat16 if the GPU or CPU supports it, else float32."
    )


class CheckpointConfig(Section):
    """Validation during training, and the checkpoints to keep."""

    every_steps: int = Field(100, ge=1, description="Steps from one validation to the next; each writes a checkpoint.")
    validation: list[str] = Field(
        default_factory=list,
        description="Labels for validation, given like `path` in labels; don't train on them. Without any, the last checkpoint is the result.",
    )
    validation_examples: int = Field(
        120, ge=1, description="Largest number of examples of each place and stage; they are drawn once."
    )
    keep: int = Field(
        2,
        ge=2,
        description="Checkpoints to keep on disk, the best among them. At least checkpoints.average + 1 are kept.",
    )
    average: int = Field(
        1,
        ge=1,
        description="Average the weights of this many last checkpoints. The result is the average or the best checkpoint, whichever validates "
        "better.",
    )


class AdaptRecipe(RecipeFile):
    """All settings of the training of one refiner."""

    explained_by: ClassVar[str] = "prox-spark adapt --fields"
    example: ClassVar[str] = "optimiser.steps=200"

    name: str = Field(pattern=r"^[\w.-]+$", description="Name of the resulting refiner, for use in recipes.")
    description: str = Field("", description="Description for its card.")
    licence: str | None = Field(None, description="SPDX expression for its card. Unset: the licence of start.refiner.")
    attribution: str = Field("", description="Sources and licences of the training data for its card, in Markdown.")
    start: StartConfig = Field(default_factory=StartConfig, description="Start of the training.")
    card: dict[str, Any] = Field(
        default_factory=dict,
        description="Changes to the card of start.refiner, such as `tasks: {chunk: {max_line_tokens: 96}}`. They hold for training and serving.",
    )
    training_card: dict[str, Any] = Field(
        default_factory=dict,
        description="Further changes that hold for the training examples only, such as longer chunks than are served.",
    )
    labels: list[LabelSource] = Field(min_length=1, description="Sources of labels to train on.")
    lora: LoraConfig | None = Field(
        default_factory=LoraConfig, description="The low-rank adapter; null trains all weights."
    )
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig, description="Length and speed of the training.")
    checkpoints: CheckpointConfig = Field(default_factory=CheckpointConfig, description="Validation and checkpoints.")
    tracking: Literal["none", "tensorboard", "mlflow", "wandb"] = Field(
        "none",
        description="Service that records losses and validation figures during training. Its package must be installed; it reads its own "
        "environment variables, such as MLFLOW_TRACKING_URI and WANDB_PROJECT. `tensorboard` writes below the result's folder `training`, "
        "unless TENSORBOARD_LOGGING_DIR names another.",
    )

    @property
    def places(self) -> list[str]:
        """Places of its labels, to train on and to validate on, each once."""
        return list(dict.fromkeys([*(source.path for source in self.labels), *self.checkpoints.validation]))

    def with_places(self, rename: Callable[[str], str]) -> AdaptRecipe:
        """Return the recipe with other places of its labels."""
        labels = [source.model_copy(update={"path": rename(source.path)}) for source in self.labels]
        checkpoints = self.checkpoints.model_copy(update={"validation": [*map(rename, self.checkpoints.validation)]})
        return self.model_copy(update={"labels": labels, "checkpoints": checkpoints})

    @model_validator(mode="after")
    def _check_consistency(self) -> AdaptRecipe:
        if self.start.adapter and self.lora is None:
            raise ValueError(
                "lora: null trains all weights, and start.adapter continues from an adapter: set one of them"
            )
        if self.start.share and self.lora and not self.start.adapter:
            raise ValueError("start.share needs weights that are trained on: set start.adapter, or lora: null")
        if self.checkpoints.average > 1 and not self.checkpoints.validation:
            raise ValueError("checkpoints.average needs validation: name labels in checkpoints.validation")
        return self
