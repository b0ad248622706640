"""JSON text of nested values."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.types as pat


def write_json_texts(array: Any) -> Iterator[str | None]:
    """Yield the JSON text of each value, and None for null. Fields that are null are left out, as in Spark's `to_json`.

    Args:
        array: strings, numbers, booleans, bytes (base64 in JSON), or lists, maps and structs of these.
    """
    for value in array:
        yield None if not value.is_valid else json.dumps(_to_python(value), ensure_ascii=False, separators=(",", ":"))


def _to_python(scalar: Any) -> Any:
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StructScalar):
        # Fields are taken by position, because an Arrow struct may have two of one name.
        parts = ((field.name, scalar[place]) for place, field in enumerate(scalar.type))
        return {name: _to_python(part) for name, part in parts if part.is_valid}
    if pat.is_map(scalar.type):
        return {str(entry["key"].as_py()): _to_python(entry["value"]) for entry in scalar.values}
    if pat.is_list(scalar.type):
        return [_to_python(part) for part in scalar.values]
    value = scalar.as_py()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value
