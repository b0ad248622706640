from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prox_spark.errors import RecipeError
from prox_spark.training import tracking
from prox_spark.training.recipe import AdaptRecipe
from prox_spark.training.tracking import check_tracker

pytestmark = pytest.mark.unit

TRACKERS = ["tensorboard", "mlflow", "wandb"]


def recipe(**fields: Any) -> AdaptRecipe:
    return AdaptRecipe.parse({"name": "mine", "labels": [{"path": "labels.jsonl"}]} | fields)


def installed(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: object() if name in packages else None)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_tracker_that_is_not_installed_is_refused_with_its_package(
    tracker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch)
    with pytest.raises(RecipeError, match=f"tracking = {tracker} needs the package {tracker}.*`pip install {tracker}`"):
        check_tracker(recipe(tracking=tracker))


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_tracker_that_is_installed_is_accepted(tracker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tracker)
    check_tracker(recipe(tracking=tracker))


def test_no_tracker_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    check_tracker(recipe())


@pytest.mark.parametrize(
    ("fields", "told"), [({}, []), *(({"tracking": tracker}, [tracker]) for tracker in TRACKERS)], ids=str
)
def test_training_reports_to_the_tracker_of_the_recipe_under_the_refiners_name(
    fields: dict[str, str], told: list[str], tmp_path: Path
) -> None:
    from prox_spark.training.trainer import make_training_arguments

    arguments = make_training_arguments(recipe(**fields), tmp_path)
    assert (arguments.report_to, arguments.run_name) == (told, "mine")
