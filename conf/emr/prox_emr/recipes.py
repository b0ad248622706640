"""The recipe as arguments of a step, so that no file has to travel to the driver."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from prox_emr.errors import SubmitError
from prox_spark.config import Recipe
from prox_spark.config.file import read_yaml
from prox_spark.config.redaction import redact


def load_recipe(
    path: str | None, overrides: list[str], lake: str | None, inputs: list[str]
) -> tuple[Recipe, list[str]]:
    """Read and check a recipe.

    Args:
        path: its file; None for all defaults.
        overrides: `section.field=value`.
        lake: URI of the lake in place of the recipe's; None to keep it.
        inputs: inputs beside the recipe's.

    Returns:
        The recipe, and the arguments with which a job makes the same one.

    Raises:
        RecipeError: the recipe is not valid.
        SubmitError: it or a URI holds a secret, or its lake is on this machine.
    """
    settings = [*flatten(read_yaml(path) if path else {}), *overrides]
    recipe = Recipe.load(None, overrides=settings)
    shown = [recipe.model_dump(mode="json"), lake, *inputs]
    if redact(shown) != shown:
        raise SubmitError(
            "the recipe or a URI holds a secret, and EMR shows the arguments of a step to all who may list steps: leave it to the roles of the job"
        )
    root = lake or recipe.lake.root
    if root and "://" not in root:
        raise SubmitError(
            f"the lake {root} is a folder of this machine: set lake.root or --lake to a URI, such as s3://bucket/lake"
        )
    if not (root or recipe.lake.catalog):
        raise SubmitError("no lake is named: give --lake, or lake.root in the recipe")
    arguments = [word for setting in settings for word in ("--set", setting)]
    return recipe, [*arguments, *(["--lake", lake] if lake else [])]


def flatten(data: dict[str, Any]) -> Iterator[str]:
    """Yield the overrides that make a recipe's data: `section.field=value`, the value in YAML."""
    for section, fields in data.items():
        if not isinstance(fields, dict):
            if fields is not None:
                yield f"{section}={_write(fields)}"
            continue
        for field, value in fields.items():
            if (section, field) == ("spark", "conf"):
                # Keys of Spark have dots, and values are text as it stands.
                yield from (f"spark.conf.{key}={setting}" for key, setting in (value or {}).items())
            else:
                yield f"{section}.{field}={_write(value)}"


def _write(value: Any) -> str:
    """Return a value as YAML in one line. A text that reads as itself stands as it is, because people read these in the console."""
    if isinstance(value, str) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)
