"""Training that is killed, on real torch with a tiny random Llama."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from random_llama import write_card, write_random_llama
from safetensors.torch import load_file
from waiting import wait_until

from prox_spark.errors import RefinerError
from prox_spark.pipeline.labels import read_places
from prox_spark.refiners import find
from prox_spark.refiners.card import load_card
from prox_spark.training.adapt import adapt
from prox_spark.training.recipe import AdaptRecipe

pytestmark = pytest.mark.faults

STEPS, EVERY = 30, 5


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of 30 steps on a dozen labels."""
    folder = tmp_path_factory.mktemp("adapt")
    write_random_llama(folder)
    start = write_card(folder, "doc", "chunk")
    labels = [
        {"label_id": str(n), "text": f"Menu {n}\nA page of text, number {n}.", "keep": n % 2 == 0, "ops": ops}
        for n, ops in enumerate([[{"op": "remove_lines", "line_start": 0, "line_end": 0}], []] * 6)
    ]
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    fields = {
        "name": "tiny-adapted",
        "start": {"refiner": start},
        "labels": [{"path": str(folder / "labels.jsonl")}],
        "lora": {"rank": 2},
        "optimiser": {"steps": STEPS, "tokens_per_step": 400, "warmup_steps": 2, "line_weight": 0.5},
        "checkpoints": {"every_steps": EVERY, "validation": [str(folder / "labels.jsonl")], "average": 2},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(fields))
    return folder / "recipe.yaml"


def weights_in(refiner: Path) -> dict[str, torch.Tensor]:
    [file] = refiner.glob("*model.safetensors")
    return load_file(file)


def losses(directory: Path) -> list[tuple[int, float]]:
    """Read step and training loss of every logged step of a finished run."""
    state = json.loads((directory / "training" / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())
    return [(entry["step"], entry["loss"]) for entry in state["log_history"] if "loss" in entry]


def test_killed_training_goes_on_and_ends_as_one_that_was_not(recipe: Path, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "prox_spark.cli", "adapt", str(recipe), "--output", str(killed)]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(killed.glob("training/checkpoint-*/trainer_state.json")), "a checkpoint", 120)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL, "it was killed in the middle"
    assert not (killed / "refiner.yaml").exists()

    second = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "goes on from checkpoint-" in second.stderr
    assert f"adapt: {STEPS} steps" in second.stdout
    made = AdaptRecipe.load(recipe)
    adaptation = adapt(made, read_places(made.places), whole)
    assert adaptation.steps == STEPS
    assert [step for step, _ in losses(killed)] == [step for step, _ in losses(whole)]
    # The same batches in the same order: the last losses are those of the run that was never killed.
    assert losses(killed)[-1][1] == pytest.approx(losses(whole)[-1][1], rel=1e-3)

    card = load_card(killed / "refiner.yaml")
    assert (card.name, card.adapter) == ("tiny-adapted", ".")
    figures = json.loads((killed / "training.json").read_text())["validation"].keys()
    assert figures == {"loss", "labels_doc_loss", "labels_doc_auc", "labels_chunk_loss"}
    assert f"{STEPS} steps of 400 tokens" in (killed / "README.md").read_text()


def test_checkpoints_of_another_recipe_are_not_gone_on_from(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "made_of").write_text("something else")
    made = AdaptRecipe.load(recipe)
    with pytest.raises(RefinerError, match="--restart"):
        adapt(made, read_places(made.places), tmp_path)


@pytest.mark.parametrize(
    ("lora", "trained"),
    [(None, "all weights"), ({"rank": 2, "first_layer": 1}, "LoRA, rank 2")],
    ids=["whole", "upper"],
)
def test_result_is_a_refiner_whatever_is_trained(
    recipe: Path, tmp_path: Path, lora: dict[str, int] | None, trained: str
) -> None:
    fields = yaml.safe_load(recipe.read_text()) | {"lora": lora}
    fields["optimiser"] |= {"steps": 4, "accumulate": 2}
    fields["checkpoints"] |= {"every_steps": 2}
    made = AdaptRecipe.parse(fields)
    adaptation = adapt(made, read_places(made.places), tmp_path)
    assert adaptation.steps == 4 and trained in (tmp_path / "README.md").read_text()
    refiner = find(str(tmp_path))
    told = json.loads((tmp_path / "training.json").read_text())
    assert told["fingerprints"]["result"] == refiner.model_fingerprint != find(made.start.refiner).model_fingerprint
    again = AdaptRecipe.parse(fields | {"start": {"refiner": str(tmp_path), "adapter": lora is not None}})
    assert adapt(again, read_places(again.places), tmp_path / "again").steps == 4
    start = again.start.model_copy(update={"share": 0.25})
    blended = again.model_copy(update={"start": start})
    adapt(blended, read_places(blended.places), tmp_path / "blended")
    before, after, between = (weights_in(tmp_path / name) for name in ("", "again", "blended"))
    # As stored: the adapter in float16, a whole model in bfloat16.
    for name, tensor in between.items():
        torch.testing.assert_close(
            tensor.float(), after[name].float().lerp(before[name].float(), 0.25), rtol=2e-2, atol=1e-4
        )
    if lora:
        assert refiner.adapter
        moved = {name for name, tensor in before.items() if "lora_B" in name and tensor.any()}
        assert moved and not any(".layers.0." in name for name in moved), "lower layers stay as they are"
