"""A recipe as a file: YAML into a validated model, overrides from the command line, the reference of its fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from prox_spark.config.redaction import redacted
from prox_spark.errors import RecipeError


class Section(BaseModel):
    """A part of a recipe. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


class RecipeFile(Section):
    """A whole recipe: what one YAML file holds."""

    explained_by: ClassVar[str] = "prox-spark config"  # the command that prints its reference

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        overrides: Iterable[str] = (),
        beneath: Mapping[str, Any] | None = None,
    ) -> Self:
        """Reads a recipe file and applies `key=value` overrides.

        Args:
            path: a YAML file; None for all defaults.
            overrides: `section.field=value`, value in YAML (`apply.drop_threshold=0.7`, `input.paths=[a, b]`).
            beneath: what holds where the file says nothing else, as data of a recipe.

        Raises:
            RecipeError: no such file, not YAML, an unknown key or a value out of range; the message names each.
        """
        data = _laid_over(beneath or {}, read_yaml(path) if path is not None else {})
        for override in overrides:
            _set(data, override)
        return cls.parse(data, origin=str(path or "the command line"))

    @classmethod
    def parse(cls, data: dict[str, Any], origin: str = "the recipe") -> Self:
        """Validates a mapping; a RecipeError names every bad field."""
        try:
            # `engine:` with all its fields commented out is an empty section.
            given = {name: value for name, value in data.items() if value is not None or cls._takes_none(name)}
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [
                f"  {'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']} (got {e.get('input')!r})"
                for e in error.errors()
            ]
            raise RecipeError(
                f"{origin} is not a valid recipe:\n" + "\n".join(lines) + f"\nSee `{cls.explained_by}` for every field."
            ) from error

    def redacted(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, with what looks like a secret hidden."""
        hidden: dict[str, Any] = redacted(self.model_dump(mode="json"))
        return hidden

    @classmethod
    def _takes_none(cls, name: str) -> bool:
        return name in cls.model_fields and type(None) in get_args(cls.model_fields[name].annotation)

    @classmethod
    def reference(cls) -> str:
        """Every field with its type, default and description, as text."""
        return "\n".join(line for name, field in cls.model_fields.items() for line in [*_described(name, field), ""])


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping that a recipe file holds, empty for an empty file.

    Raises:
        RecipeError: no such file, not YAML, or no mapping.
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


def _laid_over(beneath: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """One recipe over another: fields of a section win one by one, an empty section leaves all that is below."""
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


def _described(name: str, field: FieldInfo) -> Iterator[str]:
    """A field's lines, and below them those of its section; of a list of sections one is shown."""
    section, is_list = _section(field.annotation)
    if section:
        what = " ".join((section.__doc__ or "").split())
        inner = [line for key, sub in section.model_fields.items() for line in _described(key, sub)]
        # A list that is empty by default stays so for who takes the reference as a recipe.
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


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that an annotation holds, alone, as one of its options or in a list, and whether it is a list."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind, get_origin(annotation) is list
    return None, False
