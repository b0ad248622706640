"""Refiners of a few bytes, for tests in which no model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TASKS = {"doc": {"template": "plain", "max_text_tokens": 8}}


def make_weightless_card(name: str = "tiny", **fields: Any) -> dict[str, Any]:
    """Make the card of a refiner whose base lies beside it. Further fields override its own."""
    return {"name": name, "licence": "MIT", "base": {"path": "."}, "context_tokens": 64, "tasks": TASKS, **fields}


def write_weightless(folder: Path, **fields: Any) -> str:
    """Write such a refiner and return its name for recipes. Its weights file holds its name."""
    card = make_weightless_card(**fields)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "refiner.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_text(card["name"], encoding="utf-8")
    return str(folder)
