"""Mistakes in a recipe or a card in words: each bad field by its dotted name, an unknown one with the nearest known."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

# Two names more different than this are not a slip of the fingers ("gpu" and "device").
_MIN_SIMILARITY = 0.7


def describe_errors(model: type[BaseModel], error: ValidationError, whole: str) -> str:
    """Return a line for each bad field.

    Args:
        model: what the data was to be.
        error: what pydantic found.
        whole: name of the data as a whole, for errors that no single field has.
    """
    return "\n".join(
        f"  {'.'.join(map(str, found['loc'])) or whole}: {_describe(model, found['type'], found['loc'], found['msg'])} "
        f"(got {found.get('input')!r})"
        for found in error.errors()
    )


def _describe(model: type[BaseModel], kind: str, location: tuple[int | str, ...], message: str) -> str:
    if kind != "extra_forbidden":
        return message
    nearest = find_nearest(model, [part for part in location if isinstance(part, str)])
    return f"no such field; did you mean {nearest}?" if nearest else "no such field"


def find_nearest(model: type[BaseModel], path: list[str]) -> str | None:
    """Return the dotted name of the known field, at any depth, that is most like an unknown one; None if none is like it.

    Args:
        model: the recipe or card.
        path: names of the sections around the unknown field, and its own.
    """

    def similarity(known: str) -> tuple[float, float]:
        # The field's own name first; among equals, such as the three `share` of a recipe, the nearer section.
        return _compare(path[-1], known.rpartition(".")[2]), _compare(".".join(path), known)

    nearest = max(_field_names(model), key=similarity, default=None)
    return nearest if nearest and similarity(nearest)[0] >= _MIN_SIMILARITY else None


def _compare(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower(), autojunk=False).ratio()


def _field_names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        section, _ = find_section(field.annotation)
        if section:
            yield from (f"{name}.{inner}" for inner in _field_names(section))


def find_section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the section in an annotation, alone, as one of its options or in a list, and whether it is a list."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind, get_origin(annotation) is list
    return None, False
