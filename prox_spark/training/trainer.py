"""The training loop: transformers' Trainer with our batches, our loss and our validation."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from prox_spark.engine.host.device import choose_cpu_dtype
from prox_spark.errors import RecipeError
from prox_spark.training.examples import Example
from prox_spark.training.loss import AnswerLoss, Batch, Collator
from prox_spark.training.recipe import AdaptRecipe
from prox_spark.training.validation import Validation

LOG = logging.getLogger(__name__)


class RefinerTrainer(Trainer):
    """A Trainer that learns the planned batches in their order.

    Args:
        model: the model, with its adapter if it gets one.
        batches: one per step and accumulation, in order.
        collator: makes the tensors of a batch.
        loss: the loss of a batch.
        validation: measures the model at every checkpoint; None without validation examples.
        arguments: transformers' own.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        batches: Sequence[Sequence[Example]],
        collator: Collator,
        loss: AnswerLoss,
        validation: Validation | None,
        arguments: TrainingArguments,
    ) -> None:
        super().__init__(
            model=model, args=arguments, data_collator=collator, train_dataset=batches, eval_dataset=[], callbacks=[]
        )
        self.model_accepts_loss_kwargs = False
        self._answer_loss, self._validation = loss, validation
        for printer in (ProgressCallback, PrinterCallback):
            self.remove_callback(printer)
        self.add_callback(_Progress(batches))

    def compute_loss(self, model: torch.nn.Module, inputs: Batch, *_: Any, **__: Any) -> torch.Tensor:
        """Return the loss of a batch."""
        return self._answer_loss(model, inputs)[0]

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Return the figures on the validation examples; none without any."""
        if self._validation is None:
            return {}
        self.model.eval()
        found = self._validation(self.model)
        self.model.train()
        metrics = {f"eval_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def stop_tracking(self) -> None:
        """Detach the tracker. Its run ends with the training; figures of later evaluations would open another."""
        for tracker in get_reporting_integration_callbacks(self.args.report_to):
            self.remove_callback(tracker)


def computes_in_bfloat16(recipe: AdaptRecipe) -> bool:
    """Return True if training computes in bfloat16 on this machine."""
    precision = recipe.optimiser.precision
    if precision != "auto":
        return precision == "bfloat16"
    return torch.cuda.is_bf16_supported() if torch.cuda.is_available() else choose_cpu_dtype() == "bfloat16"


def make_training_arguments(recipe: AdaptRecipe, directory: Path) -> TrainingArguments:
    """Make transformers' arguments for a recipe. Checkpoints go below `directory`.

    Raises:
        RecipeError: adapt was started in several processes.
    """
    optimiser, checkpoints = recipe.optimiser, recipe.checkpoints
    on_gpu = torch.cuda.is_available()
    every = min(checkpoints.every_steps, optimiser.steps)
    validated = bool(checkpoints.validation)
    arguments = TrainingArguments(
        output_dir=str(directory),
        max_steps=optimiser.steps,
        per_device_train_batch_size=1,  # an item is a batch
        train_sampling_strategy="sequential",
        gradient_accumulation_steps=optimiser.accumulate,
        learning_rate=optimiser.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=optimiser.warmup_steps,
        weight_decay=optimiser.weight_decay,
        max_grad_norm=optimiser.max_grad_norm,
        seed=optimiser.seed,
        bf16=computes_in_bfloat16(recipe),
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        logging_steps=10,
        eval_strategy="steps" if validated else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        # The best one is kept besides the last ones.
        save_total_limit=max(checkpoints.keep, checkpoints.average + 1),
        load_best_model_at_end=validated,
        metric_for_best_model="eval_loss" if validated else None,
        greater_is_better=False if validated else None,
        remove_unused_columns=False,
        report_to=[] if recipe.tracking == "none" else [recipe.tracking],
        run_name=recipe.name,
        disable_tqdm=True,
    )
    if arguments.world_size > 1:
        raise RecipeError("adapt trains in one process, on one GPU: start it without torchrun or another launcher")
    # On a host with several GPUs transformers would split each batch among them. It counts them when `device` is read.
    _ = arguments.device
    arguments._n_gpu = min(arguments._n_gpu, 1)
    return arguments


class _Progress(TrainerCallback):
    """Logs a line every ten steps: the step, the speed, the time left."""

    def __init__(self, batches: Sequence[Sequence[Example]]) -> None:
        self._n_tokens = [sum(example.n_tokens for example in batch) for batch in batches]
        self._begun = time.monotonic()
        self._first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._begun, self._first_step = time.monotonic(), state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs:
            return
        measured = {name.removeprefix("eval_"): value for name, value in logs.items() if name.startswith("eval_")}
        if measured:
            LOG.info("  validation: %s", ", ".join(f"{name} {value:.4f}" for name, value in measured.items()))
        elif "loss" in logs:
            seconds, done = time.monotonic() - self._begun, state.global_step - self._first_step
            accumulate = args.gradient_accumulation_steps
            tokens = sum(self._n_tokens[self._first_step * accumulate : state.global_step * accumulate])
            left = seconds / max(done, 1) * (state.max_steps - state.global_step)
            LOG.info(
                "step %d of %d: loss %.4f, %.0f tokens/s, %.0f min left",
                state.global_step, state.max_steps, logs["loss"], tokens / seconds, left / 60,
            )  # fmt: skip
