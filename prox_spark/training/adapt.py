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
from prox_spark.training.cards import adapted_card, training_card, write_cards
from prox_spark.training.data import TrainingData
from prox_spark.training.recipe import AdaptRecipe

if TYPE_CHECKING:
    import torch

    from prox_spark.training.trainer import RefinerTrainer

LOG = logging.getLogger(__name__)
_TRAINING = "training"


@dataclass(frozen=True)
class Adaptation:
    """What `adapt` made.

    Attributes:
        directory: of the refiner: a card, its weights or adapter, a model card.
        steps: of training, those of interrupted runs included.
        metrics: on the validation examples; empty without any.
    """

    directory: Path
    steps: int
    metrics: dict[str, float]

    def summary(self) -> str:
        """For the terminal."""
        figures = "".join(f"\n  {name:<38}{value:>9.4f}" for name, value in self.metrics.items())
        return f"adapt: {self.steps:,} steps; the refiner is {self.directory}{figures}"


def adapt(
    recipe: AdaptRecipe, labels: Mapping[str, Sequence[Label]], directory: Path, restart: bool = False
) -> Adaptation:
    """Trains a refiner. A run that was killed is started again with the same call and goes on from its last checkpoint.

    Args:
        recipe: what from, on what, how long.
        labels: of each of the recipe's places.
        directory: where the refiner goes; checkpoints lie below it in `training` and stay there.
        restart: throw away the checkpoints of an earlier run.

    Raises:
        LabelError: a place has no labels of use.
        RefinerError: the start can't be had, or the checkpoints there are of another recipe.
        RecipeError: the card can't be changed like that, or several processes are to train.
    """
    start = find(recipe.start.refiner)
    card = adapted_card(recipe, start)
    # The base comes first: it silences the library's bars, which is possible only before their import.
    base, tokenizer = load_base(start)
    # These import torch and transformers, which nothing else in the package needs.
    from prox_spark.training.loss import AnswerLoss, Collator
    from prox_spark.training.model import (
        end_token_id,
        in_words,
        round_linear_layers,
        trained_state,
        with_adapter,
        write_weights,
    )
    from prox_spark.training.trainer import RefinerTrainer, computes_in_bfloat16, training_arguments
    from prox_spark.training.validation import Validation

    end_id = end_token_id(base, tokenizer)
    tokenizer_json = tokenizer.backend_tokenizer.to_str()
    data = TrainingData.of(recipe, labels, training_card(recipe, start), card, tokenizer_json, end_id)
    made_of = fingerprint(recipe.model_dump(), card.model_dump(), start.model_fingerprint, data.fingerprint)
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
    model = with_adapter(base, recipe, start)
    before = trained_state(model) if recipe.start.share else {}
    loss = AnswerLoss(recipe.optimiser.line_weight, data.line_token_ids)
    arguments = training_arguments(recipe, directory / _TRAINING)
    trainer = RefinerTrainer(model, data.batches, collator, loss, validation, arguments)
    done = trainer.train(resume_from_checkpoint=_last_checkpoint(directory / _TRAINING))
    metrics = _best(trainer, recipe)
    if before:
        metrics = _blended(trainer, before, recipe)
    write_weights(trainer.model, tokenizer, directory)
    write_cards(recipe, card, start, data, in_words(model), made_of, metrics, directory)
    return Adaptation(directory, done.global_step, metrics)


def place_of(recipe: AdaptRecipe) -> Path:
    """Where a refiner goes that is to be found by its name.

    Raises:
        RecipeError: that name is another's.
    """
    if is_shipped(recipe.name):
        raise RecipeError(
            f"{recipe.name} is the name of a refiner that ships with the package, and that one would be found by it: set another "
            "name (--set name=mine), or --output DIR and use the directory as its name"
        )
    return refiners_directory() / recipe.name


def _claim(directory: Path, made_of: str, restart: bool) -> None:
    """Makes the folder of checkpoints, or checks that those in it are of the same recipe."""
    if restart:
        shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    stamp = directory / "made_of"
    if stamp.exists() and stamp.read_text(encoding="utf-8") != made_of:
        raise RefinerError(
            f"{directory} holds checkpoints of another recipe or other labels, or of ones that were changed since: take another --output, or "
            "throw them away with --restart"
        )
    stamp.write_text(made_of, encoding="utf-8")


def _checkpoints(directory: Path) -> list[Path]:
    """Whole checkpoints, oldest first. The state is what the library writes last: one without it, or half of it, was cut short."""
    found = [path.parent for path in directory.glob("checkpoint-*/trainer_state.json") if _is_json(path)]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _last_checkpoint(directory: Path) -> str | None:
    whole = _checkpoints(directory)
    if whole:
        LOG.info("adapt: goes on from %s", whole[-1].name)
    return str(whole[-1]) if whole else None


def _best(trainer: RefinerTrainer, recipe: AdaptRecipe) -> dict[str, float]:
    """Leaves the best weights in the model: those of the best checkpoint, or the mean of the last ones. Returns their figures."""
    if not recipe.checkpoints.validation:
        return {}
    best = trainer.evaluate()
    last = _checkpoints(Path(trainer.args.output_dir))[-recipe.checkpoints.average :]
    if len(last) > 1:
        from prox_spark.training.model import load_state, mean_state, trained_state

        single = trained_state(trainer.model)
        load_state(trainer.model, mean_state(last))
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
    return _figures(best)


def _blended(trainer: RefinerTrainer, before: Mapping[str, torch.Tensor], recipe: AdaptRecipe) -> dict[str, float]:
    """Leaves a mean of the weights before and after training in the model. Returns its figures."""
    from prox_spark.training.model import load_state, trained_state

    after, share = trained_state(trainer.model), recipe.start.share
    load_state(trainer.model, {name: tensor.lerp(before[name].to(tensor), share) for name, tensor in after.items()})
    return _figures(trainer.evaluate()) if recipe.checkpoints.validation else {}


def _figures(evaluated: Mapping[str, float]) -> dict[str, float]:
    """Without the epoch that the library adds, which a plan of batches does not have."""
    return {name.removeprefix("eval_"): value for name, value in evaluated.items() if name.startswith("eval_")}
