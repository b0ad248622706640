"""A recipe as a file: YAML into a validated model, overrides from the command line, the reference of its fields."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from prox_spark.config.redaction import redacted
from prox_spark.errors import RecipeError


class Section(BaseModel):
    """A part of a recipe. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


class RecipeFile(Section):
    """A whole recipe: what one YAML file holds."""

    @classmethod
    def load(cls, path: str | Path | None = None, overrides: Iterable[str] = ()) -> Self:
        """Reads a recipe file and applies `key=value` overrides.

        Args:
            path: a YAML file; None for all defaults.
            overrides: `section.field=value`, value in YAML (`apply.drop_threshold=0.7`, `input.paths=[a, b]`).

        Raises:
            RecipeError: no such file, not YAML, an unknown key or a value out of range; the message names each.
        """
        data: Any = {}
        if path is not None:
            try:
                data = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
            except OSError as error:
                raise RecipeError(f"can't read the recipe {path}: {error.strerror}") from error
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise RecipeError(f"{path} is not YAML: {error}") from error
            if not isinstance(data, dict):
                raise RecipeError(
                    f"{path} must hold a mapping such as `lake: {{root: ./lake}}`, not a {type(data).__name__}"
                )
        for override in overrides:
            _set(data, override)
        return cls.parse(data, origin=str(path or "the command line"))

    @classmethod
    def parse(cls, data: dict[str, Any], origin: str = "the recipe") -> Self:
        """Validates a mapping; a RecipeError names every bad field."""
        try:
            # `engine:` with all its fields commented out is an empty section.
            return cls.model_validate({name: section for name, section in data.items() if section is not None})
        except ValidationError as error:
            lines = [
                f"  {'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']} (got {e.get('input')!r})"
                for e in error.errors()
            ]
            raise RecipeError(
                f"{origin} is not a valid recipe:\n" + "\n".join(lines) + "\nSee `prox-spark config` for every field."
            ) from error

    def redacted(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, with what looks like a secret hidden."""
        hidden: dict[str, Any] = redacted(self.model_dump(mode="json"))
        return hidden

    @classmethod
    def reference(cls) -> str:
        """Every field with its type, default and description, as text."""
        lines: list[str] = []
        for name, field in cls.model_fields.items():
            section = field.annotation
            if isinstance(section, type) and issubclass(section, BaseModel):
                lines += [f"{name}:  # {' '.join((section.__doc__ or '').split())}"]
                for key, sub in section.model_fields.items():
                    lines += _describe(f"  {key}", sub)
            else:
                lines += _describe(name, field)
            lines.append("")
        return "\n".join(lines)


def _set(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise RecipeError(f"--set {override!r}: write section.field=value, such as apply.drop_threshold=0.7")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML: {error}") from error
    target = data
    for part in path[:-1]:
        # A dict-valued field with dots in its keys (spark.conf) takes the rest of the path as one key.
        if target.setdefault(part, {}) is None:
            target[part] = {}
        target = target[part]
        if not isinstance(target, dict):
            raise RecipeError(f"--set {override!r}: {part} is a value, not a section")
        if path[:2] == ["spark", "conf"] and part == "conf":
            target[".".join(path[2:])] = str(value)
            return
    target[path[-1]] = parsed


def _describe(name: str, field: Any) -> list[str]:
    default = field.get_default(call_default_factory=True)
    shown = "" if default is None else json.dumps(default)
    kind = (
        str(field.annotation).replace("typing.", "")
        if not isinstance(field.annotation, type)
        else field.annotation.__name__
    )
    indent = " " * (len(name) - len(name.lstrip()) + 2)
    return [f"{name}: {shown}".rstrip(), f"{indent}# {kind}. {field.description}"]
