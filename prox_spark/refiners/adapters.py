"""Adapters that an engine serves as they are, beside their base; see `engine.max_lora_rank`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from prox_spark.errors import RecipeError
from prox_spark.refiners.build import built_path, made_once
from prox_spark.refiners.registry import ADAPTER_FILES, Refiner, check_unchanged, find


def check_rank(refiner: Refiner, max_rank: int) -> None:
    """Does an engine that takes adapters up to a rank take this one.

    Raises:
        RecipeError: its rank is higher; the message says which to set.
    """
    assert refiner.adapter
    config = json.loads((refiner.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    rank = max(config["r"], *config.get("rank_pattern", {}).values(), 0)
    if rank > max_rank:
        raise RecipeError(
            f"engine.max_lora_rank = {max_rank} and the adapter of refiner {refiner.card.name} has rank {rank}: set it to that or "
            "above, or leave it unset to have adapters merged into their base"
        )


def kept_adapter(refiner: Refiner) -> Path:
    """A copy of a refiner's adapter under its print: an engine may read it at any time, and its own place may change.

    Raises:
        RefinerError: what is in that place is no longer this adapter.
    """
    directory = built_path(refiner).with_name(f"{built_path(refiner).name}-adapter")

    def copy(partial: Path) -> None:
        there = find(refiner.reference)  # on an executor the package lies elsewhere
        check_unchanged(there, refiner.model_fingerprint)
        assert there.adapter
        partial.mkdir()
        for name in ADAPTER_FILES:
            shutil.copy(there.adapter / name, partial)

    return made_once(directory / ADAPTER_FILES[-1], copy).parent
