"""Trackers that may record a training run, and the packages they need."""

from __future__ import annotations

from importlib.util import find_spec

from prox_spark.errors import RecipeError
from prox_spark.training.recipe import AdaptRecipe

_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}


def check_tracker(recipe: AdaptRecipe) -> None:
    """Check that the recipe's tracker is installed.

    Raises:
        RecipeError: it is not; the message names the package.
    """
    package = _PACKAGES.get(recipe.tracking)
    if package and find_spec(package) is None:
        raise RecipeError(
            f"tracking = {recipe.tracking} needs the package {package}, which is not installed: `pip install {package}`, or set "
            "tracking=none"
        )
