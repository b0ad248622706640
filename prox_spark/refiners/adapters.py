"""Adapters that an engine serves unmerged, beside their base; see `engine.max_lora_rank`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from prox_spark.errors import RecipeError, RefinerError
from prox_spark.refiners.build import built_path, make_once
from prox_spark.refiners.registry import ADAPTER_FILES, Refiner, check_unchanged, find


def check_rank(refiner: Refiner, max_rank: int) -> None:
    """Check that an engine which takes adapters up to a rank takes that of a refiner.

    Raises:
        RecipeError: its rank is higher; the message says what to set.
        RefinerError: the refiner has no adapter.
    """
    config = json.loads((_require_adapter(refiner) / "adapter_config.json").read_text(encoding="utf-8"))
    rank = max(config["r"], *config.get("rank_pattern", {}).values(), 0)
    if rank > max_rank:
        raise RecipeError(
            f"engine.max_lora_rank = {max_rank} and the adapter of refiner {refiner.card.name} has rank {rank}: set it to that or "
            "above, or leave it unset to have adapters merged into their base"
        )


def copy_adapter(refiner: Refiner) -> Path:
    """Copy a refiner's adapter into the cache, under its fingerprint, and return its directory there.

    An engine may read the adapter at any time, and the original may be changed.

    Raises:
        RefinerError: the original is no longer this adapter.
    """
    directory = built_path(refiner).with_name(f"{built_path(refiner).name}-adapter")

    def copy(partial: Path) -> None:
        original = find(refiner.reference)  # on an executor the package lies elsewhere
        check_unchanged(original, refiner.model_fingerprint)
        partial.mkdir()
        for name in ADAPTER_FILES:
            shutil.copy(_require_adapter(original) / name, partial)

    return make_once(directory / ADAPTER_FILES[-1], copy).parent


def _require_adapter(refiner: Refiner) -> Path:
    if refiner.adapter is None:
        raise RefinerError(f"refiner {refiner.card.name} has no adapter: set `adapter` in its card")
    return refiner.adapter
