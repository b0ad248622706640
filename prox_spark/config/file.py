"""A recipe as a file: YAML into a validated model, overrides from the command line, the reference of its fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from prox_spark.config.mistakes import describe_errors, find_section
from prox_spark.config.redaction import redact
from prox_spark.errors import RecipeError


class Section(BaseModel):
    """A part of a recipe. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


class RecipeFile(Section):
    """A whole recipe: the content of one YAML file."""

    # The command that prints the reference of the fields, and an override for messages about --set.
    explained_by: ClassVar[str] = "prox-spark config"
    example: ClassVar[str] = "section.field=value"

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        overrides: Iterable[str] = (),
        beneath: Mapping[str, Any] | None = None,
    ) -> Self:
        """Read a recipe file and apply `key=value` overrides.

        Args:
            path: a YAML file; None for all defaults.
            overrides: `section.field=value`, the value in YAML (`apply.drop_threshold=0.7`, `input.paths=[a, b]`).
            beneath: data of a recipe that holds where the file sets nothing.

        Raises:
            RecipeError: the file is missing or not YAML, or a field is unknown or out of range; the message names each.
        """
        data = _overlay(beneath or {}, read_yaml(path) if path is not None else {})
        for override in overrides:
            _apply_override(data, override, cls.example)
        return cls.parse(data, origin=str(path or "the command line"))

    @classmethod
    def parse(cls, data: dict[str, Any], origin: str = "the recipe") -> Self:
        """Validate a mapping. A RecipeError names every bad field."""
        try:
            # `engine:` with all its fields commented out is an empty section.
            given = {name: value for name, value in data.items() if value is not None or cls._allows_none(name)}
            return cls.model_validate(given)
        except ValidationError as error:
            raise RecipeError(
                f"{origin} is not a valid recipe:\n{describe_errors(cls, error, 'recipe')}\n"
                f"See `{cls.explained_by}` for every field."
            ) from error

    def redact(self) -> dict[str, Any]:
        """Return the recipe as JSON-ready data in which everything that looks like a secret is hidden."""
        hidden: dict[str, Any] = redact(self.model_dump(mode="json"))
        return hidden

    @classmethod
    def _allows_none(cls, name: str) -> bool:
        return name in cls.model_fields and type(None) in get_args(cls.model_fields[name].annotation)

    @classmethod
    def reference(cls) -> str:
        """Return every field with its type, default and description, as text."""
        return "\n".join(line for name, field in cls.model_fields.items() for line in [*_describe(name, field), ""])

    @classmethod
    def schema_text(cls) -> str:
        """Return the JSON schema of the file, by which editors complete and check it."""
        return json.dumps(cls.model_json_schema(), indent=2, ensure_ascii=False)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a recipe file, empty for an empty file.

    Raises:
        RecipeError: the file is missing, not YAML, or no mapping.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise RecipeError(f"can't read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path} must hold a mapping such as `lake: {{root: ./lake}}`, not a {type(data).__name__}")
    return data


def _overlay(beneath: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one recipe over another: fields of a section win one by one, an empty section changes nothing."""
    merged: dict[str, Any] = {
        name: dict(value) if isinstance(value, dict) else value for name, value in beneath.items()
    }
    for name, value in data.items():
        below = merged.get(name)
        if isinstance(below, dict) and (value is None or isinstance(value, dict)):
            merged[name] = below | (value or {})
        else:
            merged[name] = value
    return merged


def _apply_override(data: dict[str, Any], override: str, example: str) -> None:
    key, equals, value = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise RecipeError(f"--set {override!r}: write section.field=value, such as {example}")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML: {error}") from error
    target = data
    for part in path[:-1]:
        if target.setdefault(part, {}) is None:
            target[part] = {}
        target = target[part]
        if not isinstance(target, dict):
            raise RecipeError(f"--set {override!r}: {part} is a value, not a section")
        # Keys of spark.conf have dots in them: the rest of the path is one key.
        if path[:2] == ["spark", "conf"] and part == "conf":
            target[".".join(path[2:])] = str(value)
            return
    target[path[-1]] = parsed


def _describe(name: str, field: FieldInfo) -> Iterator[str]:
    """Yield a field's lines and below them those of its section. Of a list of sections one is shown."""
    section, is_list = find_section(field.annotation)
    if section:
        what = " ".join((section.__doc__ or "").split())
        inner = [line for key, sub in section.model_fields.items() for line in _describe(key, sub)]
        # Commented out where the default is an empty list, so that the reference is itself the default recipe.
        is_empty = is_list and not field.is_required()
        yield from (f"{name}: []", f"  # {field.description} Each: {what}") if is_empty else (f"{name}:  # {what}",)
        for number, line in enumerate(inner):
            yield f"  {'# ' * is_empty}{'  ' if number else '- '}{line}" if is_list else f"  {line}"
        return
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    kind = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation)
    yield f"{name}: {'' if default is None else json.dumps(default)}".rstrip()
    required = " Required." if field.is_required() else ""
    yield f"  # {kind.replace('typing.', '')}.{required} {field.description}"
