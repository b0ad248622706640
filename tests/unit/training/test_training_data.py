from __future__ import annotations

import pytest
from tiny_tokenizer import bytes_json

from prox_spark.labels import Label
from prox_spark.programs import Operation, OpName
from prox_spark.refiners import RefinerCard
from prox_spark.training.data import TrainingData
from prox_spark.training.recipe import AdaptRecipe

pytestmark = pytest.mark.unit

CARD = RefinerCard.model_validate(
    {
        "name": "tiny",
        "licence": "MIT",
        "base": {"path": "."},
        "context_tokens": 512,
        "tasks": {
            "doc": {"template": "plain", "max_text_tokens": 40},
            "chunk": {"template": "plain", "max_chunk_tokens": 200, "max_answer_tokens": 60},
        },
    }
)
# What goes of three lines: nothing, all, the first.
GOING = [(), ((0, 2),), ((0, 0),)]


def data(uniform: float) -> TrainingData:
    labels = [
        Label(
            f"{n}",
            "s",
            "Home\nA line.\nAnother.",
            keep=True,
            ops=tuple(Operation(OpName.REMOVE_LINES, *r) for r in ranges),
        )
        for n, ranges in enumerate(GOING * 40)
    ]
    recipe = AdaptRecipe.model_validate({"name": "mine", "labels": [{"path": "a", "uniform": uniform}]})
    return TrainingData.of(recipe, {"a": labels}, CARD, bytes_json(), end_id=2)


def test_chunks_of_one_kind_of_line_are_thinned_out_and_nothing_else() -> None:
    assert data(1).n_available == {"s doc": 120, "s chunk": 120}
    assert data(0).n_available == {"s doc": 120, "s chunk": 40}
    some = data(0.5).n_available
    assert some["s doc"] == 120 and 40 + 20 < some["s chunk"] < 120 - 20


def test_the_same_chunks_stay_each_time() -> None:
    assert data(0.5).fingerprint == data(0.5).fingerprint
