"""The types of the values of JSON keys over all records of an input. They decide the types of the carried columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Deeper structures are carried as JSON text, because a column's type is no place for a tree.
_MAX_DEPTH = 20
# Doubles hold every integer up to here.
_EXACT_IN_DOUBLE = 1 << 53
_LONG = 1 << 63

# Kinds of values that have neither parts nor digits.
_PLAIN = {str: "string", bool: "boolean", type(None): "null"}
_KIND_OF = {**_PLAIN, dict: "object", list: "array"}


@dataclass(slots=True)
class JsonType:
    """The types of the values that one key has held.

    Attributes:
        kinds: any of `null`, `boolean`, `integer` (exact as a double), `long` (64 bits), `big` (more), `double`, `string`,
            `array`, `object`, `wide` (an object with more distinct keys than it may have columns) and `deep` (a structure
            that is nested too deeply).
        element: type of the arrays' elements; None if there was no array.
        fields: types of the objects' values by key, in the order of first occurrence.
    """

    kinds: set[str] = field(default_factory=set)
    element: JsonType | None = None
    fields: dict[str, JsonType] = field(default_factory=dict)

    def add(self, value: Any, max_keys: int, depth: int = 1) -> bool:
        """Take in a value.

        Args:
            value: as a JSON parser returns it.
            max_keys: an object with more distinct keys becomes `wide`, and its keys are forgotten.
            depth: number of structures that it is nested in.

        Returns:
            False if a number may have lost digits, because parsers make doubles of integers over 64 bits; also False for
            structures that are too deep to look at.
        """
        kind = _KIND_OF.get(type(value))
        if kind is None:
            kind = _find_number_kind(value)
        if kind in ("object", "array") and depth > _MAX_DEPTH:
            self.kinds.add("deep")
            return False
        self.kinds.add(kind)
        if kind == "object":
            return self.add_fields(value, max_keys, depth)
        if kind == "array":
            exact = True
            if self.element is None:
                self.element = JsonType()
            for item in value:
                exact = self.element.add(item, max_keys, depth + 1) and exact
            return exact
        return kind != "double" or abs(value) < _LONG

    def add_fields(self, value: dict[str, Any], max_keys: int, depth: int = 0) -> bool:
        """Take in the fields of an object, like `add`."""
        exact, fields, is_wide = True, self.fields, "wide" in self.kinds
        for key, item in value.items():
            known = fields.get(key)
            # This is the innermost loop over all values of all records. Most values are of a kind that is told at once.
            if known is not None:
                cls = type(item)
                if kind := _PLAIN.get(cls):
                    known.kinds.add(kind)
                    continue
                if cls is int and -_EXACT_IN_DOUBLE <= item <= _EXACT_IN_DOUBLE:
                    known.kinds.add("integer")
                    continue
                if cls is float and -_LONG < item < _LONG:
                    known.kinds.add("double")
                    continue
            else:
                # Values of forgotten keys are still checked for lost digits.
                known = JsonType()
                if not is_wide:
                    fields[key] = known
            exact = known.add(item, max_keys, depth + 1) and exact
        if len(fields) > max_keys:
            self.kinds.add("wide")
            fields.clear()
        return exact

    def merge(self, other: JsonType, max_keys: int) -> None:
        """Take in the types that another one has collected."""
        self.kinds |= other.kinds
        if other.element is not None:
            if self.element is None:
                self.element = JsonType()
            self.element.merge(other.element, max_keys)
        for key, theirs in other.fields.items():
            self.fields.setdefault(key, JsonType()).merge(theirs, max_keys)
        if len(self.fields) > max_keys:
            self.kinds.add("wide")
        if "wide" in self.kinds:
            self.fields.clear()

    def to_dict(self) -> dict[str, Any]:
        """Return the types as JSON data for `from_dict`."""
        return {
            "kinds": sorted(self.kinds),
            "element": self.element and self.element.to_dict(),
            "fields": {key: known.to_dict() for key, known in self.fields.items()},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> JsonType:
        """Return the types that `to_dict` wrote."""
        element = data["element"]
        return cls(
            set(data["kinds"]),
            cls.from_dict(element) if element else None,
            {key: cls.from_dict(known) for key, known in data["fields"].items()},
        )


def merge_types(seen: Iterable[JsonType], max_keys: int) -> JsonType:
    """Return a new type that has taken in all of these."""
    merged = JsonType()
    for one in seen:
        merged.merge(one, max_keys)
    return merged


def _find_number_kind(value: int | float) -> str:
    if isinstance(value, float):
        return "double"
    if -_EXACT_IN_DOUBLE <= value <= _EXACT_IN_DOUBLE:
        return "integer"
    return "long" if -_LONG <= value < _LONG else "big"
