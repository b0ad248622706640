"""`adapt`: from labels and a base model to a refiner with a card."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prox_spark.errors import RecipeError, RefinerError
from prox_spark.fingerprint import fingerprint
from prox_spark.labels import Label
from prox_spark.paths import refiners_directory
from prox_spark.refiners import find, is_shipped
from prox_spark.refiners.build import load_base
from prox_spark.training.card_changes import make_result_card, make_training_card
from prox_spark.training.cards import write_cards
from prox_spark.training.data import TrainingData
from prox_spark.training.recipe import AdaptRecipe
from prox_spark.training.tracking import check_tracker

if TYPE_CHECKING:
    import torch

    from prox_spark.training.trainer import RefinerTrainer

LOG = logging.getLogger(__name__)
_TRAINING = "training"


@dataclass(frozen=True)
class Adaptation:
    """The result of `adapt`.

    Attributes:
        directory: directory of the refiner: its card, its weights or adapter, a model card.
        steps: number of training steps, including those of interrupted runs.
        metrics: figures on the validation examples; empty without any.
    """

    directory: Path
    steps: int
    metrics: dict[str, float]


def adapt(
    recipe: AdaptRecipe, labels: Mapping[str, Sequence[Label]], directory: Path, restart: bool = False
) -> Adaptation:
    """Train a refiner. The same call after a run was killed goes on from the last checkpoint.

    Args:
        recipe: all settings.
        labels: the labels at each place that the recipe names.
        directory: of the result; checkpoints are written below it in `training` and stay there.
        restart: delete the checkpoints of an earlier run.

    Raises:
        LabelError: a place has no usable labels.
        RefinerError: the start can't be loaded, or the checkpoints in the directory are of another recipe.
        RecipeError: the changes make no valid card, the tracker is not installed, or adapt runs in several processes.
    """
    check_tracker(recipe)
    start = find(recipe.start.refiner)
    card = make_result_card(recipe, start)
    # First of all: this silences progress bars, which is possible only before their library is imported.
    base, tokenizer = load_base(start)
    # Imported here because they import torch and transformers.
    from prox_spark.training.loss import AnswerLoss, Collator
    from prox_spark.training.model import (
        add_adapter,
        copy_trained_state,
        describe_trained,
        find_end_token,
        round_linear_layers,
        write_weights,
    )
    from prox_spark.training.trainer import RefinerTrainer, computes_in_bfloat16, make_training_arguments
    from prox_spark.training.validation import Validation

    end_id = find_end_token(base, tokenizer)
    tokenizer_json = tokenizer.backend_tokenizer.to_str()
    data = TrainingData.of(recipe, labels, make_training_card(recipe, start), card, tokenizer_json, end_id)
    # A run may be resumed with another tracker.
    settings = recipe.model_dump(exclude={"tracking"})
    made_of = fingerprint(settings, card.model_dump(), start.model_fingerprint, data.fingerprint)
    _claim(directory / _TRAINING, made_of, restart)
    LOG.info("adapt: %s", data)
    collator = Collator(end_id, recipe.optimiser.verdict_weight)
    validation = (
        Validation(data.validation, collator, AnswerLoss(0.0, data.line_token_ids), data.verdict_token_ids)
        if data.validation
        else None
    )
    if recipe.lora and computes_in_bfloat16(recipe):
        round_linear_layers(base)
    model = add_adapter(base, recipe, start)
    before = copy_trained_state(model) if recipe.start.share else {}
    loss = AnswerLoss(recipe.optimiser.line_weight, data.line_token_ids)
    arguments = make_training_arguments(recipe, directory / _TRAINING)
    trainer = RefinerTrainer(model, data.batches, collator, loss, validation, arguments)
    done = trainer.train(resume_from_checkpoint=_find_last_checkpoint(directory / _TRAINING))
    trainer.stop_tracking()
    metrics = _load_best(trainer, recipe)
    if before:
        metrics = _blend(trainer, before, recipe)
    write_weights(trainer.model, tokenizer, directory)
    write_cards(recipe, card, start, data, describe_trained(model), made_of, metrics, directory)
    return Adaptation(directory, done.global_step, metrics)


def choose_directory(recipe: AdaptRecipe) -> Path:
    """Return the directory in which the result is found by its name.

    Raises:
        RecipeError: a refiner that ships has this name.
    """
    if is_shipped(recipe.name):
        raise RecipeError(
            f"{recipe.name} is the name of a refiner that ships with the package, and that one would be found by it: set another "
            "name (--set name=mine), or --output DIR and use the directory as its name"
        )
    return refiners_directory() / recipe.name


def _claim(directory: Path, made_of: str, restart: bool) -> None:
    """Make the folder of checkpoints, or check that those in it are of the same recipe."""
    if restart:
        shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    stamp = directory / "made_of"
    if stamp.exists() and stamp.read_text(encoding="utf-8") != made_of:
        raise RefinerError(
            f"{directory} holds checkpoints of another recipe or other labels, or of ones that were changed since: take another --output, or "
            "delete them with --restart"
        )
    stamp.write_text(made_of, encoding="utf-8")


def _list_checkpoints(directory: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first. In others the file written last, the state, is missing or cut."""
    found = [path.parent for path in directory.glob("checkpoint-*/trainer_state.json") if _is_json(path)]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _find_last_checkpoint(directory: Path) -> str | None:
    complete = _list_checkpoints(directory)
    if complete:
        LOG.info("adapt: goes on from %s", complete[-1].name)
    return str(complete[-1]) if complete else None


def _load_best(trainer: RefinerTrainer, recipe: AdaptRecipe) -> dict[str, float]:
    """Load the weights of the best checkpoint, or the mean of the last ones if better, and return their figures."""
    if not recipe.checkpoints.validation:
        return {}
    best = trainer.evaluate()
    last = _list_checkpoints(Path(trainer.args.output_dir))[-recipe.checkpoints.average :]
    if len(last) > 1:
        from prox_spark.training.model import average_checkpoints, copy_trained_state, load_state

        single = copy_trained_state(trainer.model)
        load_state(trainer.model, average_checkpoints(last))
        mean = trainer.evaluate()
        LOG.info(
            "adapt: loss %.4f of the best checkpoint, %.4f of the mean of the last %d",
            best["eval_loss"],
            mean["eval_loss"],
            len(last),
        )
        if mean["eval_loss"] < best["eval_loss"]:
            best = mean
        else:
            load_state(trainer.model, single)
    return _pick_figures(best)


def _blend(trainer: RefinerTrainer, before: Mapping[str, torch.Tensor], recipe: AdaptRecipe) -> dict[str, float]:
    """Load a mean of the weights before and after training into the model, and return its figures."""
    from prox_spark.training.model import copy_trained_state, load_state

    after, share = copy_trained_state(trainer.model), recipe.start.share
    load_state(trainer.model, {name: tensor.lerp(before[name].to(tensor), share) for name, tensor in after.items()})
    return _pick_figures(trainer.evaluate()) if recipe.checkpoints.validation else {}


def _pick_figures(evaluated: Mapping[str, float]) -> dict[str, float]:
    """Return the figures alone, without the epoch that transformers adds: a plan of batches has none."""
    return {name.removeprefix("eval_"): value for name, value in evaluated.items() if name.startswith("eval_")}
